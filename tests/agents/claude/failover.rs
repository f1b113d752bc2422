//! A refused run continues on the next subscription, and the caller sees one clean answer.

use jiff::Timestamp;
use serde_json::{Value, json};

use crate::claude::scene::{Scene, answer, assert_one_line};
use crate::provider::Request;
use crate::support::{Call, Ran};

const FORMATS: [&[&str]; 3] =
    [&[], &["--output-format", "json"], &["--output-format", "stream-json", "--verbose"]];

/// A pool that tries `work` first. The provider treats `work` as `behavior` says, and answers `spare`.
fn pool(scene: &Scene, behavior: &str) {
    scene
        .sandbox
        .config("[subscriptions]\nstrategy = \"priority\"\n\n[failover]\nthrottle_wait = \"200ms\"\n");
    scene.add_first("work", &format!("work--{behavior}"));
    scene.add("spare", "spare--ok");
}

/// `claude -p` with a prompt, or with the prompt on standard input.
fn ask(scene: &Scene, format: &[&str], on_stdin: bool) -> Call {
    if on_stdin {
        scene.exec(&[&["-p"], format].concat()).stdin("hi")
    } else {
        scene.exec(&[&["-p", "hi"], format].concat())
    }
}

/// The lines of an output without the values that differ between runs (ids and times).
fn comparable(output: &str) -> Vec<Value> {
    let mut lines: Vec<Value> =
        output.lines().map(|line| serde_json::from_str(line).unwrap_or_else(|_| json!(line))).collect();
    for line in &mut lines {
        remove_volatile(line);
    }
    lines
}

fn remove_volatile(value: &mut Value) {
    const VOLATILE: [&str; 10] = [
        "uuid",
        "session_id",
        "timestamp",
        "request_id",
        "id",
        "duration_ms",
        "duration_api_ms",
        "ttft_ms",
        "messaging_socket_path",
        "time_to_request_ms",
    ];
    match value {
        Value::Object(fields) => {
            fields.retain(|key, _| !VOLATILE.contains(&key.as_str()) && !key.ends_with("_ms"));
            fields.values_mut().for_each(remove_volatile);
        }
        Value::Array(items) => items.iter_mut().for_each(remove_volatile),
        _ => {}
    }
}

/// The conversation as the provider received it.
fn conversation(request: &Request) -> String {
    request.body["messages"].to_string()
}

fn assert_limited(scene: &Scene, name: &str) {
    let status = scene.sandbox.status_of(name);
    assert_eq!(status["status"], "rate_limited");
    let until = Timestamp::from_second(scene.provider.five_hour_reset()).unwrap();
    assert_eq!(status["until"], json!(until));
}

fn assert_one_switch(ran: &Ran) {
    assert_one_line(ran, "work hit its 5-hour limit (resets ");
    assert_one_line(ran, "; continuing on spare");
}

fn assert_limit_is_invisible(scene: &Scene, format: &[&str], on_stdin: bool) {
    pool(scene, "429five");
    let ran = ask(scene, format, on_stdin).run().success();
    assert_one_switch(&ran);
    assert_limited(scene, "work");
    assert_eq!(scene.ran_on(), ["work", "spare"]);
    // The output of `spare` alone: it is the only subscription left.
    let alone = ask(scene, format, on_stdin).run().success().says("");
    assert_eq!(comparable(&ran.stdout()), comparable(&alone.stdout()));
    let requests = scene.provider.messages();
    assert_eq!(requests.len(), 3);
    let prompts = |request| conversation(request).matches("hi").count();
    assert_eq!(prompts(&requests[1]), prompts(&requests[2]));
    let sessions: Vec<_> = comparable_sessions(&ran.stdout());
    assert!(sessions.iter().all(|session| *session == sessions[0]), "one session: {sessions:?}");
}

fn comparable_sessions(output: &str) -> Vec<Value> {
    let lines = output.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
    lines.map(|line| line["session_id"].clone()).collect()
}

#[test]
fn a_limit_is_invisible_in_text_output() {
    let Some(scene) = Scene::of(a_limit_is_invisible_in_text_output) else { return };
    assert_limit_is_invisible(&scene, FORMATS[0], false);
}

#[test]
fn a_limit_is_invisible_in_json_output() {
    let Some(scene) = Scene::of(a_limit_is_invisible_in_json_output) else { return };
    assert_limit_is_invisible(&scene, FORMATS[1], false);
}

#[test]
fn a_limit_is_invisible_in_json_lines() {
    let Some(scene) = Scene::of(a_limit_is_invisible_in_json_lines) else { return };
    assert_limit_is_invisible(&scene, FORMATS[2], false);
}

#[test]
fn a_prompt_on_standard_input_is_sent_again_in_text() {
    let Some(scene) = Scene::of(a_prompt_on_standard_input_is_sent_again_in_text) else { return };
    assert_limit_is_invisible(&scene, FORMATS[0], true);
}

#[test]
fn a_prompt_on_standard_input_is_sent_again_in_json() {
    let Some(scene) = Scene::of(a_prompt_on_standard_input_is_sent_again_in_json) else { return };
    assert_limit_is_invisible(&scene, FORMATS[1], true);
}

#[test]
fn a_prompt_on_standard_input_is_sent_again_in_json_lines() {
    let Some(scene) = Scene::of(a_prompt_on_standard_input_is_sent_again_in_json_lines) else { return };
    assert_limit_is_invisible(&scene, FORMATS[2], true);
}

/// After a tool call the conversation continues: the next request contains all of it, and the tool ran once.
fn assert_work_continues(scene: &Scene, format: &[&str], on_stdin: bool) {
    pool(scene, "tool+429five");
    let format = [format, &["--dangerously-skip-permissions"]].concat();
    let ran = ask(scene, &format, on_stdin).run().success();
    assert_one_switch(&ran);
    assert_limited(scene, "work");
    assert_eq!(scene.sandbox.read("work/tool-ran"), "ran\n");
    let requests = scene.provider.messages();
    assert_eq!(requests.iter().map(|request| request.status).collect::<Vec<_>>(), [200, 429, 200]);
    let whole = conversation(&requests[2]);
    for part in ["\"hi\"", "tool_use", "tool_result", "Continue where you left off."] {
        assert_eq!(whole.matches(part).count().min(1), 1, "no {part} in {whole}");
    }
    assert!(!whole.contains("5-hour limit"), "{whole}");
    assert_eq!(requests[1].session, requests[2].session, "both are one session");
    let lines = comparable(&ran.stdout());
    let count = |key: &str, value: &str| lines.iter().filter(|line| line[key] == value).count();
    if format.contains(&"stream-json") {
        assert_eq!((count("subtype", "init"), count("type", "result")), (1, 1), "{}", ran.stdout());
        assert!(lines.iter().all(|line| line["is_api_error_message"] != true), "{}", ran.stdout());
    }
    assert!(!ran.stdout().contains("5-hour limit"), "{}", ran.stdout());
    assert!(ran.stdout().contains(answer("ok").trim()), "{}", ran.stdout());
}

#[test]
fn work_continues_in_text() {
    let Some(scene) = Scene::with_tool("echo ran >> tool-ran", work_continues_in_text) else { return };
    assert_work_continues(&scene, FORMATS[0], false);
}

#[test]
fn work_continues_in_json() {
    let Some(scene) = Scene::with_tool("echo ran >> tool-ran", work_continues_in_json) else { return };
    assert_work_continues(&scene, FORMATS[1], false);
}

#[test]
fn work_continues_in_json_lines() {
    let test = work_continues_in_json_lines;
    let Some(scene) = Scene::with_tool("echo ran >> tool-ran", test) else { return };
    assert_work_continues(&scene, FORMATS[2], true);
}

#[test]
fn the_model_stays_when_the_kind_of_credential_changes() {
    let Some(scene) = Scene::of(the_model_stays_when_the_kind_of_credential_changes) else { return };
    scene.sandbox.config("[subscriptions]\nstrategy = \"priority\"\n");
    scene.add_first("work", "work--429five");
    let key = "sk-ant-api03-invented-spare--plain";
    let add = ["subscription", "add", "spare", "--credential", "file", "--env", &scene.address()];
    scene.sandbox.kage(add).stdin(key).run().success();
    scene.exec(&["-p", "hi"]).run().success().prints(&answer("plain"));
    let models: Vec<_> =
        scene.provider.messages().iter().map(|request| request.body["model"].clone()).collect();
    assert!(models[0].as_str().unwrap().contains("sonnet"), "{models:?}");
    assert_eq!(models[0], models[1], "the model changed silently");
}

#[test]
fn a_conversation_that_the_user_resumed_continues() {
    let Some(scene) = Scene::of(a_conversation_that_the_user_resumed_continues) else { return };
    pool(&scene, "429five+1");
    let first = scene.exec(&["-p", "first words", "--output-format", "json"]).run().success();
    let session = serde_json::from_str::<Value>(&first.stdout()).unwrap()["session_id"].clone();
    let args = ["-p", "--resume", session.as_str().unwrap(), "second words"];
    let ran = scene.exec(&args).run().success().prints(&answer("ok"));
    assert_one_switch(&ran);
    let requests = scene.provider.messages();
    let whole = conversation(requests.last().unwrap());
    for part in ["first words", "second words", "Continue where you left off."] {
        assert_eq!(whole.matches(part).count(), 1, "{part} in {whole}");
    }
}

#[test]
fn a_rejected_credential_causes_a_switch_and_an_overloaded_provider_does_not() {
    let test = a_rejected_credential_causes_a_switch_and_an_overloaded_provider_does_not;
    let Some(scene) = Scene::of(test) else { return };
    pool(&scene, "401expired");
    let ran = scene.exec(&["-p", "hi"]).run().success().prints(&answer("ok"));
    assert_one_line(&ran, "the credential of work was rejected; continuing on spare");
    scene.sandbox.kage(["subscription", "set", "spare", "--priority", "1"]).run().success();
    scene.add_first("busy", "busy--529");
    let ran = scene.exec(&["-p", "hi"]).run().status(1);
    assert!(ran.stdout().contains("529"), "{}", ran.stdout());
    assert_one_line(&ran, "the provider is overloaded; retrying on busy in ");
    assert_eq!(scene.ran_on()[2..], ["busy", "busy"]);
    assert_eq!(scene.sandbox.status_of("busy")["status"], "active");
}

#[test]
fn a_throttled_run_waits_once_and_then_switches() {
    let Some(scene) = Scene::of(a_throttled_run_waits_once_and_then_switches) else { return };
    pool(&scene, "429bare");
    let ran = scene.exec(&["-p", "hi"]).run().success().prints(&answer("ok"));
    let said = ran.stderr();
    let lines: Vec<_> = said.lines().collect();
    let [first, second] = lines[..] else { panic!("{said}") };
    assert!(first.contains("work was throttled; retrying on work in "), "{said}");
    assert!(second.contains("work was throttled; continuing on spare"), "{said}");
    assert_eq!(scene.ran_on(), ["work", "work", "spare"]);
}

#[test]
fn the_agent_retries_only_twice_when_kage_can_take_over() {
    let Some(scene) = Scene::of(the_agent_retries_only_twice_when_kage_can_take_over) else { return };
    pool(&scene, "429key");
    let mut call = scene.exec(&["-p", "hi"]);
    call.command.env_remove("CLAUDE_CODE_MAX_RETRIES");
    call.run().success().prints(&answer("ok"));
    let requests = scene.provider.messages().len();
    assert_eq!(requests, 3 + 3 + 1, "two retries in each attempt on work");
}

#[test]
fn utilization_that_the_agent_reports_is_recorded() {
    let Some(scene) = Scene::of(utilization_that_the_agent_reports_is_recorded) else { return };
    pool(&scene, "warn");
    scene.exec(&["-p", "hi", "--output-format", "stream-json", "--verbose"]).run().success().says("");
    let status = scene.sandbox.status_of("work");
    assert!(status["utilization"]["five_hour"].as_f64().unwrap() >= 0.9, "{status}");
    // Near its limit a subscription ranks last.
    scene.exec(&["-p", "hi"]).run().success().says("");
    assert_eq!(scene.ran_on(), ["work", "spare"]);
}

#[test]
fn with_no_subscription_left_the_last_answer_and_the_next_reset_are_shown() {
    let test = with_no_subscription_left_the_last_answer_and_the_next_reset_are_shown;
    let Some(scene) = Scene::of(test) else { return };
    scene.add("work", "work--429five").add("spare", "spare--429five");
    for format in FORMATS {
        for name in ["work", "spare"] {
            scene.sandbox.kage(["subscription", "reset", name]).run().success();
        }
        let ran = ask(&scene, format, false).run().status(1);
        let said = ran.stderr();
        assert_eq!(said.lines().count(), 2, "{said}");
        assert!(said.contains("; no subscription is ready until "), "{said}");
        let count = |word: &str| ran.stdout().matches(word).count();
        assert!(count("You've hit your 5-hour limit") >= 1, "{}", ran.stdout());
        assert!(count("\"subtype\":\"init\"") <= 1 && count("\"type\":\"result\"") <= 1, "{}", ran.stdout());
    }
    assert_eq!(scene.ran_on().len(), 6);
}
