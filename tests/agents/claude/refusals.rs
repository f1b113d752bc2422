//! Whose fault a refusal is, with the real agent: which subscription rests and until when, and which one
//! answers.

use serde_json::{Value, json};

use crate::claude::scene::{Scene, answer};

const CONFIG: &str = "[subscriptions]\nstrategy = \"priority\"\n\n[failover]\nthrottle_wait = \"200ms\"\n";

/// A pool that tries `bad` first. The provider treats `bad` as `behavior` says, and answers `good`.
fn pool(scene: &Scene, bad: &str, good: &str) {
    scene.sandbox.config(CONFIG);
    scene.add_first("bad", &format!("bad--{bad}")).add("good", &format!("good--{good}"));
}

/// The answer in a form of the agent's output.
fn text_of(form: &str, stdout: &str) -> String {
    match form {
        "text" => stdout.to_owned(),
        _ => {
            let last = stdout.lines().last().unwrap_or_default();
            let value: Value = serde_json::from_str(last).unwrap_or_else(|why| panic!("{why}: {stdout}"));
            format!("{}\n", value["result"].as_str().unwrap_or_default())
        }
    }
}

#[test]
fn a_refused_account_rests_and_another_subscription_answers() {
    // Behavior, status of `bad`, whether only a reset ends it, the reason.
    let table = [
        ("disabled", "unhealthy", true, "disabled"),
        ("identity", "unhealthy", true, "verified"),
        ("terms", "unhealthy", true, "terms"),
        ("extra", "unhealthy", false, ""),
        ("spendcap", "exhausted", false, ""),
        ("429seven", "exhausted", false, ""),
    ];
    for ((behavior, status, is_lasting, reason), form) in
        table.into_iter().zip(["text", "json", "stream-json"].into_iter().cycle())
    {
        let Some(scene) = Scene::of(a_refused_account_rests_and_another_subscription_answers) else { return };
        pool(&scene, behavior, "ok");
        let mut args = vec!["-p", "hi", "--output-format", form];
        if form == "stream-json" {
            args.push("--verbose");
        }
        let ran = scene.exec(&args).run().success();
        assert_eq!(text_of(form, &ran.stdout()), answer("ok"), "{behavior}");
        assert!(ran.stderr().contains("continuing on good"), "{behavior}: {}", ran.stderr());
        assert_eq!(scene.ran_on(), ["bad", "good"], "{behavior}");
        let known = scene.sandbox.status_of("bad");
        assert_eq!(known["status"], status, "{behavior}: {known}");
        assert!(known["reason"].as_str().unwrap_or_default().contains(reason), "{behavior}: {known}");
        scene.exec(&["-p", "hi"]).run().success().prints(&answer("ok")).says("");
        assert_eq!(scene.ran_on(), ["bad", "good", "good"], "{behavior}");
        if is_lasting {
            scene.sandbox.kage(["subscription", "reset", "bad"]).run().success();
            assert_eq!(scene.sandbox.status_of("bad")["status"], "active", "{behavior}");
        }
    }
}

#[test]
fn a_network_that_refuses_both_subscriptions_puts_nobody_away() {
    for page in ["403net", "403page", "407page", "captive"] {
        let test = a_network_that_refuses_both_subscriptions_puts_nobody_away;
        let Some(scene) = Scene::of(test) else { return };
        pool(&scene, page, page);
        let ran = scene.exec(&["-p", "hi"]).run().status(1);
        assert!(ran.stderr().contains("retrying on bad"), "{page}: {} {}", ran.stdout(), ran.stderr());
        assert_eq!(scene.ran_on(), ["bad", "bad"], "{page}: one pause, one retry");
        for name in ["bad", "good"] {
            assert_eq!(scene.sandbox.status_of(name)["status"], "active", "{page}: {name}");
        }
        scene.add_first("back", "back--ok");
        scene.exec(&["-p", "hi"]).run().success().prints(&answer("ok")).says("");
    }
}

#[test]
fn the_same_403_of_two_subscriptions_is_the_networks() {
    let Some(scene) = Scene::of(the_same_403_of_two_subscriptions_is_the_networks) else { return };
    pool(&scene, "403", "403");
    let ran = scene.exec(&["-p", "hi"]).run().status(1);
    assert_eq!(scene.ran_on(), ["bad", "good", "good"], "{}", ran.stderr());
    for name in ["bad", "good"] {
        assert_eq!(scene.sandbox.status_of(name)["status"], "active", "{name}: {}", ran.stderr());
    }
}

#[test]
fn a_request_refused_for_itself_is_nobodys_fault() {
    let Some(scene) = Scene::of(a_request_refused_for_itself_is_nobodys_fault) else { return };
    pool(&scene, "context", "ok");
    let ran = scene.exec(&["-p", "hi"]).run().status(1);
    assert_eq!((scene.ran_on(), ran.stderr()), (vec!["bad".to_owned()], String::new()));
    let known = scene.sandbox.status_of("bad");
    assert_eq!((&known["status"], &known["limits"]), (&json!("active"), &json!([])), "{known}");
}

#[test]
fn a_subscription_whose_requests_are_refused_for_an_unknown_reason_is_reported() {
    let test = a_subscription_whose_requests_are_refused_for_an_unknown_reason_is_reported;
    let Some(scene) = Scene::of(test) else { return };
    pool(&scene, "strange", "ok");
    for said in
        ["", "", "kage: warning: the last 3 attempts on bad ended with an unknown error: API Error: 400 "]
    {
        let ran = scene.exec(&["-p", "hi"]).run().status(1);
        assert!(ran.stderr().starts_with(said), "{}", ran.stderr());
        assert_eq!(ran.stderr().is_empty(), said.is_empty(), "{}", ran.stderr());
    }
    assert_eq!(scene.sandbox.status_of("bad")["status"], "active");
    let found = scene.sandbox.kage(["doctor", "--json"]).run().stdout();
    assert!(found.contains("requests-refused"), "{found}");
    scene.kage(&["exec", "-s", "good", "--", "claude", "-p", "hi"]).run().success();
    // Refused everywhere, it is the requests.
    scene.add("worse", "worse--strange");
    scene.kage(&["exec", "-s", "worse", "--", "claude", "-p", "hi"]).run().status(1).says("");
    scene.exec(&["-p", "hi"]).run().status(1).says("");
}

#[test]
fn a_cost_budget_stops_a_model_of_a_known_family_and_cannot_bind_for_an_unknown_one() {
    let test = a_cost_budget_stops_a_model_of_a_known_family_and_cannot_bind_for_an_unknown_one;
    let Some(scene) = Scene::of(test) else { return };
    scene.add("work", "work--ok");
    scene.sandbox.kage(["subscription", "set", "work", "--cost-per-day", "0.0001"]).run().success();
    let run = |model: &str| scene.exec(&["-p", "hi", "--model", model]).run();
    let ran = run("mystery-1").success();
    assert!(
        ran.stderr().contains("kage: warning: the cost budget of `work` cannot limit mystery-1: "),
        "{}",
        ran.stderr()
    );
    assert!(ran.stderr().contains("no price is known"), "{}", ran.stderr());
    let found = scene.sandbox.kage(["doctor", "--json"]).run().stdout();
    assert!(found.contains("budget-unpriced") && found.contains("mystery-1"), "{found}");
    // The price of the nearest version is used, and the second run is stopped.
    run("claude-sonnet-9-1").success();
    assert!(run("claude-sonnet-9-1").status(75).stderr().contains("out of budget"));
    let usage = scene.sandbox.kage(["usage", "--by", "model"]).run().success().stdout();
    assert!(usage.contains("claude-sonnet-9-1 (at the price of claude-sonnet-5-5)"), "{usage}");
}

#[test]
fn an_overload_that_persists_gets_one_attempt_at_another_gateway() {
    let test = an_overload_that_persists_gets_one_attempt_at_another_gateway;
    let Some(scene) = Scene::of(test) else { return };
    pool(&scene, "529", "529");
    let elsewhere = scene.address().replace("127.0.0.1", "localhost");
    scene.sandbox.add_with("elsewhere", "elsewhere--ok", &["--priority", "1", "--env", &elsewhere]);
    scene.exec(&["-p", "hi"]).run().success().prints(&answer("ok"));
    assert_eq!(scene.ran_on(), ["bad", "bad", "elsewhere"], "`good` has the address that is overloaded");
    for name in ["bad", "good", "elsewhere"] {
        assert_eq!(scene.sandbox.status_of(name)["status"], "active", "{name}");
    }
}
