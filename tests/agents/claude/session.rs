//! Conversations that are gone on with, and calls that are no conversation.

use std::fs;

use serde_json::Value;

use crate::claude::scene::{ONE_ANSWER, Scene, answer};
use crate::claude::settings::competing;
use crate::support::token;

fn json_pair(one: u64, other: u64) -> (Value, Value) {
    (one.into(), other.into())
}

/// A pool of two equals, which take turns.
fn pool_of_two(scene: &Scene) {
    scene.add("first", "first--ok").add("second", "second--ok");
}

#[test]
fn a_resumed_session_stays_on_its_subscription_and_counts_what_is_new() {
    let test = a_resumed_session_stays_on_its_subscription_and_counts_what_is_new;
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
    let asked = scene.provider.messages();
    assert_eq!((&asked[2].session, &asked[3].session), (&Some(session.clone()), &Some(session)));
}

#[test]
fn the_latest_session_of_a_directory_is_found_again() {
    let Some(scene) = Scene::of(the_latest_session_of_a_directory_is_found_again) else { return };
    pool_of_two(&scene);
    // The first finds nothing to go on with, and the agent begins a session.
    for args in [["-p", "--continue", "hi"].as_slice(), &["-p", "--continue", "go on"], &["-pc", "and on"]] {
        scene.exec(args).run().success().prints(&answer("ok")).says("");
    }
    let ran_on = scene.ran_on();
    assert!(ran_on.iter().all(|name| *name == ran_on[0]), "{ran_on:?}");
    assert_eq!(scene.tokens_of(&ran_on[0]), 3 * ONE_ANSWER);
    let sessions: Vec<_> = scene.provider.messages().into_iter().map(|asked| asked.session).collect();
    assert!(sessions.iter().all(|session| *session == sessions[0]), "{sessions:?}");
}

#[test]
fn the_latest_session_is_found_whatever_its_directory_is_called() {
    let test = the_latest_session_is_found_whatever_its_directory_is_called;
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
fn records_are_found_where_an_empty_config_dir_puts_them() {
    let Some(scene) = Scene::of(records_are_found_where_an_empty_config_dir_puts_them) else { return };
    scene.add("work", "work--ok");
    scene.settings("work/settings.json", &competing());
    scene.exec(&["-p", "hi"]).env("CLAUDE_CONFIG_DIR", "").run().success().prints(&answer("ok"));
    scene.bears_only(&token("work--ok"));
    assert_eq!(scene.tokens_of("work"), ONE_ANSWER);
}

#[test]
fn each_answer_of_a_run_with_a_tool_counts_once() {
    let test = each_answer_of_a_run_with_a_tool_counts_once;
    let Some(scene) = Scene::with_tool("echo ran >> tool-ran", test) else { return };
    scene.add("work", "work--tool+ok");
    scene.exec(&["-p", "--dangerously-skip-permissions", "hi"]).run().success().prints(&answer("ok"));
    assert_eq!(scene.sandbox.read("work/tool-ran"), "ran\n");
    assert_eq!(scene.tokens_of("work"), 2 * ONE_ANSWER);
}

#[test]
fn a_session_that_hit_a_limit_goes_on_elsewhere_without_its_tool_run_again() {
    let test = a_session_that_hit_a_limit_goes_on_elsewhere_without_its_tool_run_again;
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
fn what_is_no_conversation_runs_as_it_is() {
    let Some(scene) = Scene::of(what_is_no_conversation_runs_as_it_is) else { return };
    scene.add("work", "work--ok");
    for args in [["--version"].as_slice(), &["mcp", "list"], &["--help"]] {
        let bare = scene.bare(args).run().success();
        scene.exec(args).run().success().prints(&bare.stdout()).says(&bare.stderr());
    }
    assert!(scene.provider.requests().is_empty());
    assert_eq!(scene.tokens_of("work"), 0);
}

#[test]
fn two_runs_at_once_in_a_directory_have_each_its_own_conversation() {
    let test = two_runs_at_once_in_a_directory_have_each_its_own_conversation;
    let Some(scene) = Scene::of(test) else { return };
    pool_of_two(&scene);
    std::thread::scope(|threads| {
        for _ in 0..2 {
            threads.spawn(|| scene.exec(&["-p", "hi"]).run().success().prints(&answer("ok")));
        }
    });
    for name in ["first", "second"] {
        let bearer = format!("Bearer {}", token(&format!("{name}--ok")));
        let asked = scene.provider.messages().into_iter();
        let asked = asked.filter(|asked| asked.authorization.as_ref() == Some(&bearer));
        let asked: Vec<_> = asked.map(|asked| asked.session.unwrap()).collect();
        let ledger = scene.ledger().into_iter().filter(|attempt| attempt["subscription"] == name);
        let noted: Vec<_> = ledger.map(|attempt| attempt["session"].as_str().unwrap().to_owned()).collect();
        assert_eq!((noted.len(), noted), (1, asked), "{name}");
        assert_eq!(scene.tokens_of(name), ONE_ANSWER);
    }
}
