//! Resumed conversations, and calls without a conversation.

use std::fs;

use serde_json::Value;

use crate::claude::scene::{ONE_ANSWER, Scene, answer};
use crate::claude::settings::competing;
use crate::support::token;

fn json_pair(one: u64, other: u64) -> (Value, Value) {
    (one.into(), other.into())
}

/// A pool of two subscriptions of the same priority, which take turns.
fn pool_of_two(scene: &Scene) {
    scene.add("first", "first--ok").add("second", "second--ok");
}

#[test]
fn a_resumed_session_stays_on_its_subscription_and_counts_new_tokens_only() {
    let test = a_resumed_session_stays_on_its_subscription_and_counts_new_tokens_only;
    let Some(scene) = Scene::of(test) else { return };
    pool_of_two(&scene);
    for _ in 0..2 {
        scene.exec(&["-p", "hi"]).run().success().prints(&answer("ok"));
    }
    let session = scene.ledger()[0]["session"].as_str().unwrap().to_owned();
    for _ in 0..2 {
        scene.exec(&["-p", "--resume", &session, "go on"]).run().success().prints(&answer("ok")).says("");
    }
    let ran_on = scene.ran_on();
    let (one, other) = (ran_on[0].clone(), ran_on[1].clone());
    assert_ne!(one, other, "new sessions take turns");
    assert_eq!(ran_on[2..], [one.clone(), one.clone()], "a resumed one stays");
    assert_eq!((scene.tokens_of(&one), scene.tokens_of(&other)), json_pair(3 * ONE_ANSWER, ONE_ANSWER));
    let requests = scene.provider.messages();
    assert_eq!((&requests[2].session, &requests[3].session), (&Some(session.clone()), &Some(session)));
}

#[test]
fn the_latest_session_of_a_directory_is_found() {
    let Some(scene) = Scene::of(the_latest_session_of_a_directory_is_found) else { return };
    pool_of_two(&scene);
    // The first call finds no session to continue, so the agent starts one.
    for args in [["-p", "--continue", "hi"].as_slice(), &["-p", "--continue", "go on"], &["-pc", "and on"]] {
        scene.exec(args).run().success().prints(&answer("ok")).says("");
    }
    let ran_on = scene.ran_on();
    assert!(ran_on.iter().all(|name| *name == ran_on[0]), "{ran_on:?}");
    assert_eq!(scene.tokens_of(&ran_on[0]), 3 * ONE_ANSWER);
    let sessions: Vec<_> = scene.provider.messages().into_iter().map(|request| request.session).collect();
    assert!(sessions.iter().all(|session| *session == sessions[0]), "{sessions:?}");
}

#[test]
fn the_latest_session_is_found_under_any_directory_name() {
    let test = the_latest_session_is_found_under_any_directory_name;
    let Some(scene) = Scene::of(test) else { return };
    pool_of_two(&scene);
    for name in ["h\u{e4}\u{df} \u{4ed5}\u{4e8b} \u{1f600}".to_owned(), "long/".repeat(60)] {
        let dir = scene.sandbox.path("work").join(name);
        fs::create_dir_all(&dir).unwrap();
        for args in [["-p", "hi"].as_slice(), &["-p", "--continue", "go on"]] {
            scene.exec(args).cwd(&dir).run().success().prints(&answer("ok")).says("");
        }
    }
    let counted: u64 = ["first", "second"].map(|name| scene.tokens_of(name).as_u64().unwrap()).iter().sum();
    assert_eq!(counted, 4 * ONE_ANSWER);
}

#[test]
fn transcripts_are_found_with_an_empty_config_dir_variable() {
    let Some(scene) = Scene::of(transcripts_are_found_with_an_empty_config_dir_variable) else { return };
    scene.add("work", "work--ok");
    scene.settings("work/settings.json", &competing());
    scene.exec(&["-p", "hi"]).env("CLAUDE_CONFIG_DIR", "").run().success().prints(&answer("ok"));
    scene.assert_only_token(&token("work--ok"));
    assert_eq!(scene.tokens_of("work"), ONE_ANSWER);
}

#[test]
fn each_answer_of_a_run_with_a_tool_is_counted_once() {
    let test = each_answer_of_a_run_with_a_tool_is_counted_once;
    let Some(scene) = Scene::with_tool("echo ran >> tool-ran", test) else { return };
    scene.add("work", "work--tool+ok");
    scene.exec(&["-p", "--dangerously-skip-permissions", "hi"]).run().success().prints(&answer("ok"));
    assert_eq!(scene.sandbox.read("work/tool-ran"), "ran\n");
    assert_eq!(scene.tokens_of("work"), 2 * ONE_ANSWER);
}

#[test]
fn a_limited_session_continues_elsewhere_without_running_its_tool_again() {
    let test = a_limited_session_continues_elsewhere_without_running_its_tool_again;
    let Some(scene) = Scene::with_tool("echo ran >> tool-ran", test) else { return };
    scene.add("work", "work--tool+429five");
    scene.exec(&["-p", "--dangerously-skip-permissions", "hi"]).run().status(1);
    assert_eq!(scene.tokens_of("work"), ONE_ANSWER);
    let session = scene.ledger()[0]["session"].as_str().unwrap().to_owned();
    scene.add("spare", "spare--ok");
    scene.exec(&["-p", "--resume", &session, "go on"]).run().success().prints(&answer("ok")).says("");
    assert_eq!(scene.ran_on(), ["work", "spare"]);
    assert_eq!((scene.tokens_of("work"), scene.tokens_of("spare")), json_pair(ONE_ANSWER, ONE_ANSWER));
    assert_eq!(scene.sandbox.read("work/tool-ran"), "ran\n");
}

#[test]
fn calls_without_a_conversation_run_unchanged() {
    let Some(scene) = Scene::of(calls_without_a_conversation_run_unchanged) else { return };
    scene.add("work", "work--ok");
    for args in [["--version"].as_slice(), &["mcp", "list"], &["--help"]] {
        let bare = scene.bare(args).run().success();
        scene.exec(args).run().success().prints(&bare.stdout()).says(&bare.stderr());
    }
    assert!(scene.provider.requests().is_empty());
    assert_eq!(scene.tokens_of("work"), 0);
}

#[test]
fn two_parallel_runs_in_a_directory_have_separate_conversations() {
    let test = two_parallel_runs_in_a_directory_have_separate_conversations;
    let Some(scene) = Scene::of(test) else { return };
    pool_of_two(&scene);
    std::thread::scope(|threads| {
        for _ in 0..2 {
            threads.spawn(|| scene.exec(&["-p", "hi"]).run().success().prints(&answer("ok")));
        }
    });
    for name in ["first", "second"] {
        let bearer = format!("Bearer {}", token(&format!("{name}--ok")));
        let requests = scene.provider.messages().into_iter();
        let requests = requests.filter(|request| request.authorization.as_ref() == Some(&bearer));
        let sent: Vec<_> = requests.map(|request| request.session.unwrap()).collect();
        let ledger = scene.ledger().into_iter().filter(|attempt| attempt["subscription"] == name);
        let recorded: Vec<_> =
            ledger.map(|attempt| attempt["session"].as_str().unwrap().to_owned()).collect();
        assert_eq!((recorded.len(), recorded), (1, sent), "{name}");
        assert_eq!(scene.tokens_of(name), ONE_ANSWER);
    }
}
