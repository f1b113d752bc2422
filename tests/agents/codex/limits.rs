//! How the provider's refusals change the status of a subscription.

use jiff::Timestamp;
use serde_json::{Value, json};

use crate::codex::scene::{ANSWER, ONE_ANSWER, Scene};

/// Runs the agent on a pool of one, and is refused. Returns the subscription's status afterwards.
fn refused(scene: &Scene, behavior: &str) -> Value {
    scene.add("work", behavior);
    scene.exec(&["hi"]).run().status(1).prints("");
    scene.sandbox.status_of("work")
}

fn until(epoch: i64) -> Value {
    json!(Timestamp::from_second(epoch).unwrap())
}

#[test]
fn a_five_hour_limit_lasts_exactly_until_its_reset() {
    let Some(scene) = Scene::of(a_five_hour_limit_lasts_exactly_until_its_reset) else { return };
    let status = refused(&scene, "limit");
    assert_eq!(status["status"], "rate_limited");
    assert_eq!(status["until"], until(scene.provider.five_hour_reset()));
    assert_eq!(status["tokens_today"], 0);
    assert_eq!(scene.provider.turns().len(), 1);
}

#[test]
fn a_weekly_limit_exhausts_a_subscription() {
    let Some(scene) = Scene::of(a_weekly_limit_exhausts_a_subscription) else { return };
    let status = refused(&scene, "limit7");
    assert_eq!(status["status"], "exhausted");
    assert_eq!(status["until"], until(scene.provider.seven_day_reset()));
    scene.exec(&["hi"]).run().status(75).prints("").is_one_line_and_a_hint();
}

#[test]
fn a_subscription_without_credit_is_unhealthy() {
    let Some(scene) = Scene::of(a_subscription_without_credit_is_unhealthy) else { return };
    assert_eq!(refused(&scene, "quota")["status"], "unhealthy");
}

#[test]
fn a_subscription_with_a_rejected_key_is_unhealthy() {
    let Some(scene) = Scene::of(a_subscription_with_a_rejected_key_is_unhealthy) else { return };
    assert_eq!(refused(&scene, "401")["status"], "unhealthy");
}

#[test]
fn too_many_requests_limit_a_subscription_for_seconds() {
    let Some(scene) = Scene::of(too_many_requests_limit_a_subscription_for_seconds) else { return };
    let status = refused(&scene, "429");
    assert_eq!(status["status"], "rate_limited");
    let until: Timestamp = status["until"].as_str().unwrap().parse().unwrap();
    assert!(until.duration_since(Timestamp::now()).as_secs() < 120, "{until}");
}

#[test]
fn a_subscription_stays_active_if_the_provider_is_at_capacity() {
    let Some(scene) = Scene::of(a_subscription_stays_active_if_the_provider_is_at_capacity) else { return };
    assert_eq!(refused(&scene, "503")["status"], "active");
}

#[test]
fn an_answer_is_booked_with_its_tokens() {
    let test = an_answer_is_booked_with_its_tokens;
    let Some(scene) = Scene::of(test) else { return };
    scene.add("work", "ok");
    scene.exec(&["hi"]).run().success().prints(ANSWER);
    let status = scene.sandbox.status_of("work");
    assert_eq!(status["status"], "active");
    assert_eq!(status["tokens_today"], ONE_ANSWER);
    let [attempt] = &scene.sandbox.ledger()[..] else { panic!("one attempt, one line") };
    let models = attempt["models"].as_object().unwrap();
    let (_, count) = models.iter().next().unwrap();
    assert_eq!((&count["input_tokens"], &count["output_tokens"]), (&json!(60), &json!(20)));
    assert_eq!(count["cache_read_tokens"], 40);
}

#[test]
fn a_resumed_session_counts_only_new_tokens() {
    let Some(scene) = Scene::of(a_resumed_session_counts_only_new_tokens) else { return };
    scene.add("work", "ok");
    scene.exec(&["hi"]).run().success();
    scene.exec(&["resume", "--last", "more"]).run().success().prints(ANSWER);
    assert_eq!(scene.sandbox.status_of("work")["tokens_today"], 2 * ONE_ANSWER);
}
