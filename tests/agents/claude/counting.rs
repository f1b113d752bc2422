//! The ledger has the tokens that the provider reported, each under the subscription that used them.

use std::collections::BTreeMap;
use std::fs;

use serde_json::{Value, json};

use crate::claude::live::{PROMPT, begin, begun, hit_the_limit, leave, tmux};
use crate::claude::scene::{Scene, answer, files_below};
use crate::provider::Request;
use crate::support::{CONFIG, kage, token, wait_until};

/// Tokens: input, output, read from the cache, written to it for five minutes and for an hour.
type Count = [u64; 5];

/// The fields of a [`Count`] in the provider's answers.
const REPORTED: [&str; 5] = [
    "/input_tokens",
    "/output_tokens",
    "/cache_read_input_tokens",
    "/cache_creation/ephemeral_5m_input_tokens",
    "/cache_creation/ephemeral_1h_input_tokens",
];

/// The fields of a [`Count`] in the ledger.
const BOOKED: [&str; 5] = [
    "/input_tokens",
    "/output_tokens",
    "/cache_read_tokens",
    "/cache_write_5m_tokens",
    "/cache_write_1h_tokens",
];

fn numbers(value: &Value, paths: [&str; 5]) -> Count {
    paths.map(|path| value.pointer(path).and_then(Value::as_u64).unwrap_or(0))
}

fn sums(counts: impl Iterator<Item = (String, Count)>) -> BTreeMap<String, Count> {
    let mut sums = BTreeMap::<_, Count>::new();
    for (name, count) in counts.filter(|(_, count)| *count != Count::default()) {
        sums.entry(name).or_default().iter_mut().zip(count).for_each(|(sum, more)| *sum += more);
    }
    sums
}

/// The usage in all answers of the provider, by subscription and model. `tails` has the end of each token.
fn reported(scene: &Scene, tails: &[(&str, &str)]) -> BTreeMap<String, Count> {
    sums(scene.provider.messages().into_iter().map(|request| {
        let bearer = request.authorization.unwrap_or_default();
        let (name, _) = tails.iter().find(|(_, tail)| bearer == format!("Bearer {}", token(tail))).unwrap();
        (format!("{name} {}", request.body["model"].as_str().unwrap()), numbers(&request.usage, REPORTED))
    }))
}

/// The usage in the ledger, by subscription and model.
fn booked(scene: &Scene) -> BTreeMap<String, Count> {
    let ledger = scene.ledger();
    let models = |line: &Value| line["models"].as_object().cloned().unwrap_or_default();
    sums(ledger.iter().flat_map(|line| {
        let name = line["subscription"].as_str().unwrap();
        let booked = models(line).into_iter();
        booked.map(move |(model, count)| (format!("{name} {model}"), numbers(&count, BOOKED)))
    }))
}

/// A pool that tries `work` first. The arguments select the provider's behavior towards `work` and `spare`.
fn pool(scene: &Scene, work: &str, spare: &str) {
    let known = scene.sandbox.read(CONFIG);
    scene.sandbox.config(&format!("{known}\n[subscriptions]\nstrategy = \"priority\"\n"));
    scene.add_first("work", &format!("work--{work}")).add("spare", &format!("spare--{spare}"));
    scene.provider.vary_usage();
}

/// Checks that the ledger has what the provider reported.
fn assert_booked(scene: &Scene, work: &str, spare: &str) {
    let (work, spare) = (format!("work--{work}"), format!("spare--{spare}"));
    let reported = reported(scene, &[("work", &work), ("spare", &spare)]);
    assert_eq!(booked(scene), reported, "{:#?}", scene.ledger());
}

const TOOLS: &str = "--dangerously-skip-permissions";

#[test]
fn each_subscription_has_its_own_tokens_after_a_switch() {
    let test = each_subscription_has_its_own_tokens_after_a_switch;
    let Some(scene) = Scene::with_tool("echo ran >> tool-ran", test) else { return };
    pool(&scene, "tool+429five", "tool+ok");
    scene.exec(&["-p", TOOLS, "hi"]).run().success().prints(&answer("ok"));
    assert_eq!(scene.ran_on(), ["work", "spare"]);
    let statuses: Vec<_> = scene.provider.messages().iter().map(|request| request.status).collect();
    assert_eq!(statuses, [200, 429, 200, 200]);
    assert_booked(&scene, "tool+429five", "tool+ok");
    // From here on, the agent's figures for the session include both subscriptions.
    let session = scene.ledger()[0]["session"].as_str().unwrap().to_owned();
    for format in ["json", "stream-json", "text"] {
        let args = ["-p", "--verbose", "--output-format", format, "--resume", &session, "go on"];
        scene.exec(&args).run().success();
        assert_booked(&scene, "tool+429five", "tool+ok");
    }
    scene.exec(&["-p", "--fork-session", "--resume", &session, "and on"]).run().success();
    assert_booked(&scene, "tool+429five", "tool+ok");
}

#[test]
fn tokens_of_a_subagent_belong_to_the_subscription_that_ran_it() {
    let Some(scene) = Scene::of(tokens_of_a_subagent_belong_to_the_subscription_that_ran_it) else { return };
    pool(&scene, "agent+429five+1", "agent+ok");
    scene.exec(&["-p", TOOLS, "hi"]).run().success().prints(&answer("ok"));
    assert_eq!(scene.ran_on(), ["work", "spare"]);
    let statuses: Vec<_> = scene.provider.messages().iter().map(|request| request.status).collect();
    assert_eq!(statuses, [200, 200, 429, 200, 200, 200], "an answer of a subagent on each");
    assert_booked(&scene, "agent+429five+1", "agent+ok");
}

#[test]
fn parallel_runs_in_one_directory_have_their_own_tokens() {
    let Some(scene) = Scene::with_tool("true", parallel_runs_in_one_directory_have_their_own_tokens) else {
        return;
    };
    scene.add("work", "work--tool+ok").add("spare", "spare--ok");
    scene.provider.vary_usage();
    let runs = [0; 4].map(|_| scene.exec(&["-p", TOOLS, "hi"]).command.spawn().unwrap());
    for mut run in runs {
        assert!(run.wait().unwrap().success());
    }
    assert_eq!(scene.ledger().len(), 4);
    assert_booked(&scene, "tool+ok", "ok");
}

#[test]
fn without_a_transcript_the_result_shows_what_a_run_used() {
    let Some(scene) = Scene::with_tool("true", without_a_transcript_the_result_shows_what_a_run_used) else {
        return;
    };
    pool(&scene, "429five", "tool+ok");
    let forgets = ["-p", "--no-session-persistence", TOOLS, "hi", "--output-format"];
    for format in [&["json"][..], &["json", "--verbose"], &["stream-json", "--verbose"]] {
        let earlier = scene.ledger().len();
        scene.exec(&[&forgets[..], format].concat()).run().success();
        assert!(scene.ledger()[earlier..].iter().any(|line| line["models"] != json!(null)), "{format:?}");
        assert_booked(&scene, "429five", "tool+ok");
    }
    let session = "0a1b2c3d-0000-4000-8000-000000000001";
    scene.exec(&["-p", "--session-id", session, "hi"]).run().success();
    // What the session used before does not belong to this run.
    scene.exec(&[&forgets[..], &["json", "--resume", session]].concat()).run().success();
    assert_booked(&scene, "429five", "tool+ok");
    let turns = [&forgets[..], &["stream-json", "--verbose", "--input-format", "stream-json"]].concat();
    let turn = "{\"type\":\"user\",\"message\":{\"role\":\"user\",\"content\":\"hi\"}}\n";
    scene.exec(&turns).stdin(&turn.repeat(3)).run().success();
    assert_booked(&scene, "429five", "tool+ok");
    scene.exec(&[&forgets[..], &["text"]].concat()).run().success();
    assert_eq!(scene.ledger().last().unwrap()["models"], json!(null), "text output has no usage");
}

fn requests_of(scene: &Scene, name: &str) -> Vec<Request> {
    let mut requests = scene.provider.messages();
    let bearer = format!("invented-{name}--");
    requests.retain(|request| request.authorization.as_ref().is_some_and(|is| is.contains(&bearer)));
    requests
}

#[test]
fn tokens_of_a_terminal_session_are_split_at_the_switch() {
    let scene = Scene::of(tokens_of_a_terminal_session_are_split_at_the_switch).and_then(begun);
    let Some(scene) = scene else { return };
    pool(&scene, "429five+1", "ok");
    let tmux = tmux(&scene);
    let pane = tmux.first();
    begin(&pane, "");
    hit_the_limit(&pane);
    pane.shows(&format!("❯ {PROMPT}"));
    wait_until("an answer on the other subscription", || recorded(&scene) == 2);
    pane.enter("one more");
    wait_until("its second answer", || recorded(&scene) == 3);
    leave(&pane);
    assert_eq!(scene.ran_on(), ["work", "spare"]);
    assert_booked(&scene, "429five+1", "ok");
}

/// The number of answers in the agent's transcripts. An answer that is not in them yet is canceled on exit.
fn recorded(scene: &Scene) -> usize {
    let rows = files_below(&scene.sandbox.path("home/.claude/projects"));
    let text: String = rows.iter().filter_map(|file| fs::read_to_string(file).ok()).collect();
    let is_answer = |row: &&str| row.contains("\"type\":\"assistant\"") && row.contains(answer("ok").trim());
    text.lines().filter(is_answer).count()
}

/// A terminal session sends two more requests at its start and records neither: a quota probe (for one token)
/// and a request for a title. Print mode sends neither.
#[test]
fn only_the_conversation_of_a_session_is_counted() {
    let scene = Scene::of(only_the_conversation_of_a_session_is_counted).and_then(begun);
    let Some(scene) = scene else { return };
    pool(&scene, "ok", "ok");
    let tmux = tmux(&scene);
    let pane = tmux.first();
    let sends_extra = "CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC=";
    pane.enter(&format!("{sends_extra} {} exec -- claude", kage().display()));
    pane.shows("auto mode on");
    pane.enter("hello there");
    pane.shows(answer("ok").trim());
    wait_until("all three requests to arrive", || requests_of(&scene, "work").len() == 3);
    leave(&pane);
    let requests = requests_of(&scene, "work");
    let is_extra = |request: &&Request| request.body["tools"].as_array().is_none_or(Vec::is_empty);
    let (extra, conversation): (Vec<_>, Vec<_>) = requests.iter().partition(is_extra);
    assert_eq!((&extra[0].body["max_tokens"], conversation.len()), (&json!(1), 1));
    assert!(extra[1].body["messages"].to_string().contains("title"), "{}", extra[1].body);
    let counted = booked(&scene).into_values().collect::<Vec<_>>();
    assert_eq!(counted, [numbers(&conversation[0].usage, REPORTED)]);
    let mut print = scene.exec(&["-p", "hi"]);
    print.command.env_remove("CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC");
    print.run().success().prints(&answer("ok"));
    assert_eq!(requests_of(&scene, "work").len(), 4);
}
