//! A clock that jumps back and forth by up to a year, and midnights: `shim.c` shifts the time of day of each
//! process.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::Command;
use std::thread;

use jiff::civil::{Date, DateTime};
use jiff::tz::TimeZone;
use jiff::{Timestamp, ToSpan as _};
use serde_json::Value;

use crate::audit::{Records, Run, audit, check_succeeds};
use crate::plan::Trial;
use crate::scene::{PATIENCE, Scene, TOKENS};
use crate::shim::{preload, shim};

const STATUS: i32 = 7;
const YEAR: u64 = 366 * 24 * 3600;
/// The number of runs of each thread in a scene.
const ROUNDS: u64 = 12;
/// The number of threads in a scene.
const LANES: u64 = 3;

/// A command of the scene's kage with a shifted clock.
fn shifted(scene: &Scene, library: &PathBuf, words: &str, seconds: i64) -> Command {
    let mut command = scene.kage(words);
    preload(scene, library, &mut command);
    command.env("TORTURE_CLOCK", seconds.to_string());
    command
}

/// Concurrent runs whose clocks differ from the real time by up to a year.
pub fn jumps(trial: &Trial<'_>) {
    let Some(library) = shim(trial) else { return };
    let mut number = 0;
    while trial.has_time() {
        let scene = Scene::new(trial.plan);
        let lane = |lane: u64| {
            let mut dice = trial.dice((number << 8) | lane);
            let round = |at: u64| {
                let shift = i64::try_from(dice.below(2 * YEAR)).unwrap() - i64::try_from(YEAR).unwrap();
                let way = ["exec -- worker", "exec -- claude -p hi"][usize::try_from(dice.below(2)).unwrap()];
                let tag = format!("{lane}-{at}");
                let mut command = shifted(&scene, &library, way, shift);
                let ended = scene.run(command.env("TAG", &tag).env("STATUS", STATUS.to_string()));
                trial.tried(1);
                let of = format!("`kage {way}` {shift} s off");
                match ended {
                    Ok(ended) if ended.code() == Some(STATUS) && ended.err.is_empty() => {}
                    Ok(ended) => trial.lost(format_args!("{of} ended with {} {:?}", ended.status, ended.err)),
                    Err(why) => trial.lost(format_args!("{of}: {why}")),
                }
                for words in ["status --json", "usage --json", "why"] {
                    let looked = scene.run(&mut shifted(&scene, &library, words, shift));
                    let odd = looked.map_or_else(Some, |ended| ended.undocumented_end(&[0]));
                    trial.check(odd, format_args!("`kage {words}` {shift} s off"));
                }
                Run { tag, booked: (1, 1) }
            };
            (0..ROUNDS).map(round).collect::<Vec<_>>()
        };
        let lane = &lane;
        let runs: Vec<Run> = thread::scope(|scope| {
            let lanes: Vec<_> = (0..LANES).map(|at| scope.spawn(move || lane(at))).collect();
            lanes.into_iter().flat_map(|lane| lane.join().unwrap()).collect()
        });
        // The totals are those of the last day that any clock showed; everything else must be as usual.
        let found = audit(&scene, &runs, Records::Complete).into_iter();
        let found = found.filter(|found| !found.contains("in the totals"));
        trial.check(found, format_args!("after scene {number}"));
        number += 1;
    }
}

/// Nights in Berlin: one with a missing hour, one with a repeated hour, a normal one, and two at the end of a
/// month.
const NIGHTS: [&str; 5] = ["2026-03-29", "2026-10-25", "2026-07-15", "2027-01-01", "2028-02-29"];

/// Runs around midnight and around the change of the clocks, in order: the daily totals are those of the
/// day's runs, and a daily budget is spent within the day and reset on the next.
pub fn nights(trial: &Trial<'_>) {
    let Some(library) = shim(trial) else { return };
    let mut number = 0;
    while trial.has_time() {
        let day = NIGHTS[usize::try_from(number).unwrap() % NIGHTS.len()];
        night(trial, &library, day.parse().unwrap(), number);
        number += 1;
    }
}

fn night(trial: &Trial<'_>, library: &PathBuf, day: Date, number: u64) {
    let scene = Scene::empty(trial.plan);
    // Four runs of 46 tokens reach the budget.
    scene.add("one", &["--credential", "file"]);
    let config = scene.sandbox.read("home/.config/kage/config.toml");
    scene.sandbox.config(
        &config.replace("[subscriptions.pool.one]", "[subscriptions.pool.one]\ntokens_per_day = 180"),
    );
    let zone = TimeZone::get("Europe/Berlin").unwrap();
    let mut dice = trial.dice(number);
    let mut at = DateTime::from_parts(day, jiff::civil::time(0, 0, 0, 0)).to_zoned(zone.clone()).unwrap();
    at = at.checked_sub(2.hours()).unwrap();
    let mut used: BTreeMap<Date, u64> = BTreeMap::new();
    let until = at.checked_add(34.hours()).unwrap();
    while at < until {
        let shift = at.timestamp().as_second() - Timestamp::now().as_second();
        let mut command = shifted(&scene, library, "exec -- claude -p hi", shift);
        let ended = scene.run(command.env("TZ", "Europe/Berlin"));
        trial.tried(1);
        let spent = used.entry(at.date()).or_default();
        let expected = if *spent >= 180 { 75 } else { 0 };
        let of = format!("at {at}, with {spent} tokens used");
        match ended {
            Ok(ended) if ended.code() == Some(expected) && ended.wrong_output().is_none() => {}
            Ok(ended) => trial.lost(format_args!("{of}: it ended with {} {:?}", ended.status, ended.err)),
            Err(why) => trial.lost(format_args!("{of}: {why}")),
        }
        *spent += if expected == 0 { TOKENS } else { 0 };
        let mut look = shifted(&scene, library, "status --json", shift);
        let looked = scene.start(look.env("TZ", "Europe/Berlin")).end(PATIENCE).unwrap();
        let status: Value = serde_json::from_str(&looked.out).unwrap_or_default();
        let shown = status["subscriptions"][0]["tokens_today"].as_u64();
        if shown != Some(*spent) {
            trial.lost(format_args!("{of}: the status shows {shown:?}, not {spent}"));
        }
        // At least a minute away from midnight, so that a slow machine does not cross it.
        at = at.checked_add(i64::try_from(20 + dice.below(150)).unwrap().minutes()).unwrap();
        if at.hour() == 23 && at.minute() == 59 {
            at = at.checked_add(2.minutes()).unwrap();
        }
    }
    trial.check(check_succeeds(&scene, "status --json"), format_args!("after the night of {day}"));
}
