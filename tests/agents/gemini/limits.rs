//! How the service's refusals change the status of a subscription.

use jiff::tz::TimeZone;
use jiff::{Timestamp, ToSpan as _};
use serde_json::{Value, json};

use crate::gemini::scene::{MODEL, Scene, said};
use crate::support::Ran;

/// One refused run on one subscription in this output format. Returns the run and the status afterwards.
fn refused(scene: &Scene, behavior: &str, format: &str) -> (Ran, Value) {
    let name = format!("{behavior}-{format}");
    scene.add(&name, &format!("{name}--{behavior}"));
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
fn a_used_up_daily_quota_lasts_until_midnight_pacific_in_each_format() {
    let test = a_used_up_daily_quota_lasts_until_midnight_pacific_in_each_format;
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
fn refusals_are_distinguished() {
    let Some(scene) = Scene::of(refusals_are_distinguished) else { return };
    let table = [
        ("hour", "rate_limited"),
        ("minute", "rate_limited"),
        ("bare429", "rate_limited"),
        ("zero", "exhausted"),
        ("key", "unhealthy"),
        ("suspended", "unhealthy"),
        ("503", "active"),
    ];
    for ((behavior, expected), format) in table.into_iter().zip(FORMATS.into_iter().cycle()) {
        let (ran, status) = refused(&scene, behavior, format);
        assert_eq!(status["status"], expected, "{behavior}, {format}: {}", ran.stderr());
    }
}

#[test]
fn a_limit_in_the_text_of_the_model_is_not_a_limit() {
    let Some(scene) = Scene::with_tool(
        "echo You have exhausted your daily quota on this model.",
        a_limit_in_the_text_of_the_model_is_not_a_limit,
    ) else {
        return;
    };
    scene.add("work", "work--tool+ok");
    scene.exec(&["--yolo", "-p", "say: You have exhausted your daily quota on this model."]).run().success();
    assert_eq!(scene.sandbox.status_of("work")["status"], "active");
}
