//! What the service's refusals do to a subscription.

use jiff::tz::TimeZone;
use jiff::{Timestamp, ToSpan as _};
use serde_json::{Value, json};

use crate::gemini::scene::{MODEL, Scene, said};
use crate::support::Ran;

/// One refused run of a pool of one in a form: what the agent did, and the subscription afterwards.
fn refused(scene: &Scene, behaviour: &str, format: &str) -> (Ran, Value) {
    let name = format!("{behaviour}-{format}");
    scene.add(&name, &format!("{name}--{behaviour}"));
    let run = [&["exec", "-s", &name, "--", "gemini"], &MODEL[..], &["-o", format, "-p", "hi"]].concat();
    let ran = scene.kage(&run).run();
    let status = scene.sandbox.status_of(&name);
    (ran, status)
}

const FORMATS: [&str; 3] = ["text", "json", "stream-json"];

fn midnight_pacific() -> Timestamp {
    let there = Timestamp::now().to_zoned(TimeZone::get("America/Los_Angeles").unwrap());
    there.checked_add(1.day()).unwrap().start_of_day().unwrap().timestamp()
}

#[test]
fn a_spent_day_exhausts_until_midnight_pacific_in_each_form() {
    let test = a_spent_day_exhausts_until_midnight_pacific_in_each_form;
    let Some(scene) = Scene::of(test) else { return };
    for format in FORMATS {
        let before = midnight_pacific();
        let (ran, status) = refused(&scene, "day", format);
        let expected = if format == "text" { 1 } else { 173 };
        let ran = ran.status(expected);
        assert_eq!(status["status"], "exhausted", "{format}: {}", ran.stderr());
        let until = status["until"].clone();
        assert!([json!(before), json!(midnight_pacific())].contains(&until), "{format}: {status}");
        assert_eq!(said(&ran).len(), 1, "{}", ran.stderr());
        assert_eq!(status["tokens_today"], 0);
    }
}

#[test]
fn each_refusal_is_told_apart() {
    let Some(scene) = Scene::of(each_refusal_is_told_apart) else { return };
    let table = [
        ("hour", "rate_limited"),
        ("minute", "rate_limited"),
        ("bare429", "rate_limited"),
        ("zero", "exhausted"),
        ("key", "unhealthy"),
        ("suspended", "unhealthy"),
        ("503", "active"),
    ];
    for ((behaviour, expected), format) in table.into_iter().zip(FORMATS.into_iter().cycle()) {
        let (ran, status) = refused(&scene, behaviour, format);
        assert_eq!(status["status"], expected, "{behaviour}, {format}: {}", ran.stderr());
    }
}

#[test]
fn a_limit_in_the_words_of_the_model_is_none() {
    let Some(scene) = Scene::with_tool(
        "echo You have exhausted your daily quota on this model.",
        a_limit_in_the_words_of_the_model_is_none,
    ) else {
        return;
    };
    scene.add("work", "work--tool+ok");
    scene.exec(&["--yolo", "-p", "say: You have exhausted your daily quota on this model."]).run().success();
    assert_eq!(scene.sandbox.status_of("work")["status"], "active");
}
