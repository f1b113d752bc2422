//! After a refused attempt another subscription continues, and the caller sees one clean result.

use serde_json::{Value, json};

use crate::codex::scene::{ANSWER, ONE_ANSWER, Scene, key};

/// A pool that tries `work` first. The provider treats `work` as `behavior` says, and answers `spare`.
fn pool(test: impl Fn(), behavior: &str) -> Option<Scene> {
    let scene = Scene::of(test)?;
    scene.add("work", behavior).add("spare", "ok");
    scene.sandbox.kage(["subscription", "set", "spare", "--priority", "1"]).run().success();
    Some(scene)
}

fn events(stdout: &str) -> Vec<Value> {
    stdout.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

fn types(events: &[Value]) -> Vec<&str> {
    events.iter().map(|event| event["type"].as_str().unwrap()).collect()
}

#[test]
fn a_limited_run_is_answered_by_the_next_subscription() {
    let test = a_limited_run_is_answered_by_the_next_subscription;
    let Some(scene) = pool(test, "limit") else { return };
    scene.exec(&["hi"]).run().success().prints(ANSWER);
    assert_eq!(scene.ran_on(), ["work", "spare"]);
    assert_eq!(scene.keys(), [key("work", "limit"), key("spare", "ok")]);
    // No work was done yet, so kage ran the original command again.
    assert!(scene.provider.turns()[1].conversation().contains("\"hi\""));
}

#[test]
fn json_lines_show_one_run_without_the_failure() {
    let test = json_lines_show_one_run_without_the_failure;
    let Some(scene) = pool(test, "limit") else { return };
    let ran = scene.exec(&["--json", "hi"]).run().success();
    let events = events(&ran.stdout());
    assert_eq!(types(&events), ["thread.started", "turn.started", "item.completed", "turn.completed"]);
    assert_eq!(events[2]["item"]["text"], "Hello from the provider (ok).");
}

#[test]
fn after_a_tool_call_the_conversation_continues_and_the_tool_does_not_run_again() {
    let test = after_a_tool_call_the_conversation_continues_and_the_tool_does_not_run_again;
    let Some(scene) = pool(test, "tool+limit") else { return };
    scene.exec(&["the prompt of the user"]).run().success().prints(ANSWER);
    assert_eq!(scene.tool_runs(), 1);
    assert_eq!(scene.ran_on(), ["work", "spare"]);
    let requests = scene.provider.turns();
    let last = requests.last().unwrap();
    assert_eq!(last.bearer, key("spare", "ok"));
    let conversation = last.conversation();
    assert_eq!(conversation.matches("the prompt of the user").count(), 1, "{conversation}");
    assert!(conversation.contains("function_call_output"), "{conversation}");
    let first = requests[0].headers.iter().find(|(name, _)| name == "session-id");
    assert_eq!(last.headers.iter().find(|(name, _)| name == "session-id"), first);
}

#[test]
fn json_lines_that_continue_after_a_tool_call_start_only_once() {
    let test = json_lines_that_continue_after_a_tool_call_start_only_once;
    let Some(scene) = pool(test, "tool+limit") else { return };
    let ran = scene.exec(&["--json", "hi"]).run().success();
    let events = events(&ran.stdout());
    let types = types(&events);
    assert_eq!(types.iter().filter(|kind| **kind == "thread.started").count(), 1, "{types:?}");
    assert!(!types.contains(&"turn.failed") && !types.contains(&"error"), "{types:?}");
    assert_eq!(types.last(), Some(&"turn.completed"));
    assert_eq!(scene.tool_runs(), 1);
}

#[test]
fn when_all_are_limited_the_last_failure_is_shown_unchanged() {
    let test = when_all_are_limited_the_last_failure_is_shown_unchanged;
    let Some(scene) = Scene::of(test) else { return };
    scene.add("one", "limit").add("two", "limit");
    let ran = scene.exec(&["--json", "hi"]).run().status(1);
    let events = events(&ran.stdout());
    assert_eq!(types(&events).last(), Some(&"turn.failed"));
    assert_eq!(scene.ran_on().len(), 2);
    assert_eq!(scene.sandbox.status_of("one")["status"], json!("rate_limited"));
    assert_eq!(scene.sandbox.status_of("two")["status"], json!("rate_limited"));
}

#[test]
fn two_parallel_runs_in_a_directory_have_their_own_tokens() {
    let Some(scene) = Scene::of(two_parallel_runs_in_a_directory_have_their_own_tokens) else { return };
    scene.add("once", "ok").add("twice", "tool+ok");
    std::thread::scope(|threads| {
        for _ in 0..2 {
            threads.spawn(|| scene.exec(&["hi"]).run().success());
        }
    });
    let ledger = scene.sandbox.ledger();
    assert_ne!(ledger[0]["session"], ledger[1]["session"]);
    let tokens = |name| scene.sandbox.status_of(name)["tokens_today"].as_u64();
    assert_eq!((tokens("once"), tokens("twice")), (Some(ONE_ANSWER), Some(2 * ONE_ANSWER)));
}
