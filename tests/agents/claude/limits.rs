//! How the provider's refusals change the status of a subscription.

use jiff::Timestamp;
use serde_json::{Value, json};

use crate::claude::scene::{ONE_ANSWER, Scene, answer, assert_one_line};
use crate::support::Ran;

/// Runs the agent on a pool of one, and is refused. Returns the run and the subscription's status afterwards.
fn refused(scene: &Scene, behavior: &str) -> (Ran, Value) {
    scene.add("work", &format!("work--{behavior}"));
    let ran = scene.exec(&["-p", "hi"]).run().status(1);
    assert_eq!(ran.stdout().lines().count(), 1, "the agent prints one line: {}", ran.stdout());
    let status = scene.sandbox.status_of("work");
    (ran, status)
}

fn until(epoch: i64) -> Value {
    json!(Timestamp::from_second(epoch).unwrap())
}

#[test]
fn a_five_hour_limit_lasts_until_its_reset_and_the_next_run_uses_another() {
    let test = a_five_hour_limit_lasts_until_its_reset_and_the_next_run_uses_another;
    let Some(scene) = Scene::of(test) else { return };
    let (ran, status) = refused(&scene, "429five");
    assert!(ran.stdout().starts_with("You've hit your 5-hour limit"), "{}", ran.stdout());
    assert_one_line(&ran, "work hit its 5-hour limit (resets ");
    assert_eq!(status["status"], "rate_limited");
    assert_eq!(status["until"], until(scene.provider.five_hour_reset()));
    assert_eq!(status["tokens_today"], 0);
    let shown = scene.sandbox.kage(["status"]).run().success().stdout();
    assert!(shown.contains("rate_limited until "), "{shown}");
    scene.add("spare", "spare--ok");
    scene.exec(&["-p", "hi"]).run().success().prints(&answer("ok")).says("");
    assert_eq!(scene.ran_on(), ["work", "spare"]);
    assert_eq!(scene.provider.messages().len(), 2);
}

#[test]
fn a_weekly_limit_exhausts_a_subscription() {
    let Some(scene) = Scene::of(a_weekly_limit_exhausts_a_subscription) else { return };
    let (ran, status) = refused(&scene, "429seven");
    assert_one_line(&ran, "work hit its weekly limit (resets ");
    assert_eq!(status["status"], "exhausted");
    assert_eq!(status["until"], until(scene.provider.seven_day_reset()));
    scene.exec(&["-p", "hi"]).run().status(75).prints("").is_one_line_and_a_hint();
}

#[test]
fn a_limit_of_one_model_does_not_limit_the_others() {
    let Some(scene) = Scene::of(a_limit_of_one_model_does_not_limit_the_others) else { return };
    let (ran, status) = refused(&scene, "429opus");
    assert_one_line(&ran, "work hit its Opus limit (resets ");
    assert_eq!(status["status"], "active");
    let limit = json!({
        "scope": "model:opus",
        "window": "seven_day_opus",
        "until": until(scene.provider.seven_day_reset()),
    });
    assert_eq!(status["limits"], json!([limit]));
}

#[test]
fn throttling_limits_a_subscription_for_seconds() {
    let Some(scene) = Scene::of(throttling_limits_a_subscription_for_seconds) else { return };
    scene.sandbox.config("[failover]\nattempts = 0\n");
    let (ran, status) = refused(&scene, "429bare");
    assert_one_line(&ran, "work was throttled; ");
    assert_eq!(status["status"], "rate_limited");
    let rests: Timestamp = status["until"].as_str().unwrap().parse().unwrap();
    assert!(rests.duration_since(Timestamp::now()).as_secs() <= 60, "{status}");
}

#[test]
fn a_rejected_token_makes_a_subscription_unhealthy() {
    let Some(scene) = Scene::of(a_rejected_token_makes_a_subscription_unhealthy) else { return };
    let (ran, status) = refused(&scene, "401expired");
    assert_one_line(&ran, "the credential of work was rejected; no subscription is ready until ");
    assert_eq!(status["status"], "unhealthy");
}

#[test]
fn an_answered_request_is_not_a_limit() {
    let Some(scene) = Scene::of(an_answered_request_is_not_a_limit) else { return };
    for behavior in ["overage", "warn"] {
        scene.add(behavior, &format!("{behavior}--{behavior}"));
        let args = ["exec", "-s", behavior, "--", "claude", "-p", "hi"];
        scene.kage(&args).run().success().prints(&answer(behavior)).says("");
        let status = scene.sandbox.status_of(behavior);
        assert_eq!((&status["status"], &status["limits"]), (&json!("active"), &json!([])), "{status}");
        assert_eq!(status["tokens_today"], ONE_ANSWER);
    }
}

#[test]
fn a_subscription_stays_active_if_the_agent_ignores_its_token() {
    let test = a_subscription_stays_active_if_the_agent_ignores_its_token;
    let Some(scene) = Scene::of(test) else { return };
    scene.add("work", "work--ok");
    let ran = scene.exec(&["--bare", "-p", "hi"]).run().status(1);
    assert_one_line(&ran, "with `--bare`, claude accepts an API key but no subscription token");
    assert_eq!(scene.sandbox.status_of("work")["status"], "active");
    assert_eq!(scene.ledger()[0]["verdict"], "agent_failed");
}
