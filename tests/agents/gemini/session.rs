//! Sessions: resumed, ended by a signal, and in parallel.

use std::process::Stdio;

use crate::gemini::scene::{Scene, answer, key};
use crate::support::wait_until;

#[test]
fn a_resumed_session_stays_on_its_subscription() {
    let Some(scene) = Scene::of(a_resumed_session_stays_on_its_subscription) else { return };
    scene.add("first", "first--ok").add("second", "second--ok");
    for _ in 0..2 {
        scene.exec(&["-p", "hi"]).run().success().prints(&answer("ok"));
    }
    let first = &scene.sandbox.ledger()[0];
    let session = first["session"].as_str().unwrap().to_owned();
    scene.exec(&["-p", "go on", "--resume", &session]).run().success().prints(&answer("ok"));
    scene.exec(&["-p", "and on", "-r", "latest"]).run().success();
    let ran_on = scene.ran_on();
    assert_ne!(ran_on[0], ran_on[1], "new sessions take turns");
    assert_eq!(ran_on[0], ran_on[2], "a resumed one stays");
    let request = &scene.service.turns()[2];
    for part in ["hi", "the service (ok)", "go on"] {
        assert!(request.conversation().contains(part), "`{part}` is not in {}", request.conversation());
    }
}

#[test]
fn a_signal_to_kage_ends_the_agent() {
    let Some(scene) = Scene::of(a_signal_to_kage_ends_the_agent) else { return };
    scene.add("work", "work--hang");
    let mut command = scene.exec(&["-p", "hi"]).command;
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    let mut kage = command.spawn().unwrap();
    wait_until("the request", || !scene.service.turns().is_empty());
    let pid = kage.id().to_string();
    let killed = scene.sandbox.call("/bin/kill".as_ref(), ["-TERM", &pid]).run();
    killed.success();
    wait_until("the end of kage", || kage.try_wait().unwrap().is_some());
    let agent = scene.sandbox.path("bin/gemini");
    let left = scene.sandbox.call("pgrep".as_ref(), ["-f".as_ref(), agent.as_os_str()]).run();
    left.status(1).prints("");
    assert_eq!(scene.keys(), [key("work--hang")]);
}

#[test]
fn two_parallel_runs_in_a_directory_have_their_own_tokens() {
    let Some(scene) = Scene::with_tool("true", two_parallel_runs_in_a_directory_have_their_own_tokens) else {
        return;
    };
    scene.add("once", "once--ok").add("twice", "twice--tool+ok");
    std::thread::scope(|threads| {
        for _ in 0..2 {
            threads.spawn(|| scene.exec(&["-p", "hi", "--yolo"]).run().success());
        }
    });
    let ledger = scene.sandbox.ledger();
    assert_ne!(ledger[0]["session"], ledger[1]["session"]);
    let runs = |tail: &str| scene.keys().iter().filter(|one| **one == key(tail)).count() as u64;
    let tokens = |name| scene.sandbox.status_of(name)["tokens_today"].as_u64().unwrap();
    // Each answer uses the same number of tokens.
    assert_eq!(tokens("once") * runs("twice--tool+ok"), tokens("twice") * runs("once--ok"));
    assert!(tokens("twice") > tokens("once"));
}
