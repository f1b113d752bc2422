//! What the provider's refusals do to a subscription.

use jiff::Timestamp;
use serde_json::{Value, json};

use crate::claude::scene::{ONE_ANSWER, Scene, answer, said_once};
use crate::support::Ran;

/// One refused run of a pool of one: what the agent prints, and the subscription afterwards.
fn refused(scene: &Scene, behaviour: &str) -> (Ran, Value) {
    scene.add("work", &format!("work--{behaviour}"));
    let ran = scene.exec(&["-p", "hi"]).run().status(1);
    assert_eq!(ran.stdout().lines().count(), 1, "the agent's one line: {}", ran.stdout());
    let status = scene.sandbox.status_of("work");
    (ran, status)
}

fn until(epoch: i64) -> Value {
    json!(Timestamp::from_second(epoch).unwrap())
}

#[test]
fn a_five_hour_limit_lasts_until_its_reset_and_the_next_run_is_anothers() {
    let test = a_five_hour_limit_lasts_until_its_reset_and_the_next_run_is_anothers;
    let Some(scene) = Scene::of(test) else { return };
    let (ran, status) = refused(&scene, "429five");
    assert!(ran.stdout().starts_with("You've hit your 5-hour limit"), "{}", ran.stdout());
    said_once(&ran, "work hit its 5-hour limit (until ");
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
fn a_weekly_limit_exhausts() {
    let Some(scene) = Scene::of(a_weekly_limit_exhausts) else { return };
    let (ran, status) = refused(&scene, "429seven");
    said_once(&ran, "work hit its weekly limit (until ");
    assert_eq!(status["status"], "exhausted");
    assert_eq!(status["until"], until(scene.provider.seven_day_reset()));
    scene.exec(&["-p", "hi"]).run().status(75).prints("").is_one_line_and_a_hint();
}

#[test]
fn a_limit_of_one_model_leaves_the_others() {
    let Some(scene) = Scene::of(a_limit_of_one_model_leaves_the_others) else { return };
    let (ran, status) = refused(&scene, "429opus");
    said_once(&ran, "work hit its opus limit (until ");
    assert_eq!(status["status"], "active");
    let limit = json!({
        "scope": "model:opus",
        "window": "seven_day_opus",
        "until": until(scene.provider.seven_day_reset()),
    });
    assert_eq!(status["limits"], json!([limit]));
}

#[test]
fn a_refusal_that_is_not_the_plans_rests_for_moments() {
    let Some(scene) = Scene::of(a_refusal_that_is_not_the_plans_rests_for_moments) else { return };
    scene.sandbox.config("[failover]\nattempts = 0\n");
    let (ran, status) = refused(&scene, "429bare");
    said_once(&ran, "work was throttled; ");
    assert_eq!(status["status"], "rate_limited");
    let rests: Timestamp = status["until"].as_str().unwrap().parse().unwrap();
    assert!(rests.duration_since(Timestamp::now()).as_secs() <= 60, "{status}");
}

#[test]
fn a_rejected_token_is_unhealthy() {
    let Some(scene) = Scene::of(a_rejected_token_is_unhealthy) else { return };
    let (ran, status) = refused(&scene, "401expired");
    said_once(&ran, "the credential of work was rejected; no subscription is ready before ");
    assert_eq!(status["status"], "unhealthy");
}

#[test]
fn what_is_answered_is_no_limit() {
    let Some(scene) = Scene::of(what_is_answered_is_no_limit) else { return };
    for behaviour in ["overage", "warn"] {
        scene.add(behaviour, &format!("{behaviour}--{behaviour}"));
        let args = ["exec", "-s", behaviour, "--", "claude", "-p", "hi"];
        scene.kage(&args).run().success().prints(&answer(behaviour)).says("");
        let status = scene.sandbox.status_of(behaviour);
        assert_eq!((&status["status"], &status["limits"]), (&json!("active"), &json!([])), "{status}");
        assert_eq!(status["tokens_today"], ONE_ANSWER);
    }
}

#[test]
fn an_agent_that_takes_no_token_says_nothing_about_the_account() {
    let test = an_agent_that_takes_no_token_says_nothing_about_the_account;
    let Some(scene) = Scene::of(test) else { return };
    scene.add("work", "work--ok");
    let ran = scene.exec(&["--bare", "-p", "hi"]).run().status(1);
    said_once(&ran, "with `--bare` claude takes an API key and no subscription's token");
    assert_eq!(scene.sandbox.status_of("work")["status"], "active");
    assert_eq!(scene.ledger()[0]["verdict"], "agent_failed");
}
