//! When a subscription is out of quota, another one continues, and the caller sees one clean result.

use serde_json::Value;

use crate::gemini::scene::{ONE_ANSWER, Scene, answer, key};
use crate::support::Ran;

/// A pool that tries `spent` first. The service treats `spent` as `behavior` says, and answers `spare`.
fn pool(scene: &Scene, behavior: &str) {
    scene.add("spent", &format!("spent--{behavior}")).add("spare", "spare--ok");
    scene.sandbox.kage(["subscription", "set", "spent", "--priority", "200"]).run().success();
}

fn lines(ran: &Ran) -> Vec<Value> {
    ran.stdout().lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[test]
fn text_comes_from_the_subscription_that_answered() {
    let Some(scene) = Scene::of(text_comes_from_the_subscription_that_answered) else { return };
    pool(&scene, "day");
    scene.exec(&["-p", "hi"]).run().success().prints(&answer("ok"));
    assert_eq!(scene.ran_on(), ["spent", "spare"]);
    assert_eq!(scene.keys(), [key("spent--day"), key("spare--ok")]);
    assert_eq!(scene.sandbox.status_of("spent")["status"], "exhausted");
    assert_eq!((scene.tokens_of("spent"), scene.tokens_of("spare")), (0.into(), ONE_ANSWER.into()));
}

#[test]
fn the_json_object_comes_from_the_subscription_that_answered() {
    let Some(scene) = Scene::of(the_json_object_comes_from_the_subscription_that_answered) else { return };
    pool(&scene, "day");
    let ran = scene.exec(&["-o", "json", "-p", "hi"]).run().success();
    let object: Value = serde_json::from_str(&ran.stdout()).unwrap();
    assert_eq!(object["response"], answer("ok").trim_end());
    assert_eq!(scene.ran_on(), ["spent", "spare"]);
}

#[test]
fn the_stream_starts_once_and_ends_with_success() {
    let Some(scene) = Scene::of(the_stream_starts_once_and_ends_with_success) else { return };
    pool(&scene, "day");
    let ran = scene.exec(&["-o", "stream-json", "-p", "hi"]).run().success();
    let lines = lines(&ran);
    let count = |kind: &str| lines.iter().filter(|line| line["type"] == kind).count();
    assert_eq!((count("init"), count("result")), (1, 1), "{}", ran.stdout());
    assert_eq!(lines.iter().filter(|line| line["role"] == "user").count(), 1, "{}", ran.stdout());
    assert_eq!(lines.last().unwrap()["status"], "success");
    assert_eq!(scene.ran_on(), ["spent", "spare"]);
}

#[test]
fn work_that_was_done_continues_and_is_not_repeated() {
    let test = work_that_was_done_continues_and_is_not_repeated;
    let Some(scene) = Scene::with_tool("echo once >> ran", test) else { return };
    pool(&scene, "tool+day");
    scene.exec(&["--yolo", "-p", "run it"]).run().success().prints(&answer("ok"));
    assert_eq!(scene.sandbox.read("work/ran"), "once\n");
    assert_eq!(scene.ran_on(), ["spent", "spare"]);
    let requests = scene.service.turns();
    let conversation = requests.last().unwrap().conversation();
    for part in ["run it", "I will run it.", "functionCall", "functionResponse"] {
        assert!(conversation.contains(part), "`{part}` is not in {conversation}");
    }
    let sessions: Vec<_> = scene.sandbox.ledger().iter().map(|attempt| attempt["session"].clone()).collect();
    assert_eq!(sessions[0], sessions[1]);
    assert_eq!(scene.tokens_of("spent"), ONE_ANSWER);
}

#[test]
fn spent_prepaid_credits_do_not_hold_up_a_run() {
    for format in ["text", "json", "stream-json"] {
        let Some(scene) = Scene::of(spent_prepaid_credits_do_not_hold_up_a_run) else { return };
        pool(&scene, "prepay");
        let began = std::time::Instant::now();
        let ran = scene.exec(&["-o", format, "-p", "hi"]).run().success();
        assert!(began.elapsed().as_secs() < 15, "{format}: {:?}", began.elapsed());
        assert!(ran.stdout().contains("the service (ok)."), "{format}: {}", ran.stdout());
        assert!(ran.stderr().contains("continuing on spare"), "{format}: {}", ran.stderr());
        assert_eq!(scene.ran_on(), ["spent", "spare"], "{format}");
        assert_eq!(scene.sandbox.status_of("spent")["status"], "unhealthy", "{format}");
    }
}
