//! A kage that is stopped in the middle of a transaction and may hold a lock: reports still work, another run
//! waits for a bounded time and then prints why it could not start, and the stopped kage ends normally when
//! it is continued.

use std::fs;
use std::path::PathBuf;
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::Signal;

use crate::audit::{Records, Run, audit, check_succeeds};
use crate::plan::Trial;
use crate::scene::{Running, Scene, send};
use crate::shim::{calls_of, preload, shim};

/// kage waits 30 s for a lock; the rest is for a busy machine.
const PATIENCE: Duration = Duration::from_secs(30 + 15);
const STATUS: i32 = 7;
/// The command that is stopped.
const RUN: &str = "exec -- claude -p hi";
/// Concurrent scenes in which a run waits for all of that time.
const LONG_WAITS: u64 = 12;

pub fn run(trial: &Trial<'_>) {
    let Some(library) = shim(trial) else { return };
    let library = &library;
    let held: u64 = thread::scope(|scope| {
        let lanes: Vec<_> =
            (0..LONG_WAITS).map(|lane| scope.spawn(move || wait_long(trial, library, lane))).collect();
        lanes.into_iter().map(|lane| lane.join().unwrap()).sum()
    });
    if held == 0 {
        trial.lost("no stopped kage held a lock");
    }
    trial.note(format!("{held} held a lock"));
    while trial.has_time() {
        wait_briefly(trial, library, trial.tries());
        stop_reader(trial, library, trial.tries());
    }
}

/// Starts a kage that stops at a call. Returns it and whether it is stopped; otherwise it has ended before
/// the call.
fn stopped(scene: &Scene, library: &PathBuf, words: &str, at: u64) -> (Running, bool) {
    let mut command = scene.kage(words);
    preload(scene, library, command.env("TAG", "stopped").env("STATUS", STATUS.to_string()));
    command
        .env("TORTURE_AT", at.to_string())
        .env("TORTURE_WITH", "stop")
        .env("TORTURE_UNDER", scene.state_dir());
    let mut running = scene.start(&mut command);
    let until = Instant::now() + PATIENCE;
    loop {
        let stat = fs::read_to_string(format!("/proc/{}/stat", running.id())).unwrap_or_default();
        if stat.rsplit(')').next().is_some_and(|rest| rest.starts_with(" T")) {
            return (running, true);
        }
        if running.has_ended() || Instant::now() > until {
            return (running, false);
        }
        thread::sleep(Duration::from_millis(2));
    }
}

fn calls(scene: &Scene, library: &PathBuf, words: &str) -> u64 {
    calls_of(scene, library, true, scene.kage(words))
}

/// Another run waits until it gives up. Returns 1 if it had to.
fn wait_long(trial: &Trial<'_>, library: &PathBuf, lane: u64) -> u64 {
    let scene = Scene::new(trial.plan);
    // Spread over all the calls of a run.
    let calls = calls(&scene, library, RUN);
    let at = 1 + lane * calls / LONG_WAITS;
    let (holder, is_stopped) = stopped(&scene, library, RUN, at);
    trial.tried(1);
    let of = format!("stopped at call {at} of {calls}");
    if is_stopped {
        trial.check(check_succeeds(&scene, "status --json"), &of);
    }
    let mut command = scene.kage("exec -- worker");
    command.env("TAG", "waiting").env("STATUS", STATUS.to_string());
    let waiting = scene.start(&mut command).end(PATIENCE);
    send(holder.id(), Signal::CONT);
    let mut gave_up = 0;
    let mut booked = 1;
    match waiting {
        Ok(ended) => {
            trial.check(ended.undocumented_end(&[STATUS]), &of);
            if !ended.err.is_empty() {
                (gave_up, booked) = (1, 0);
                if !ended.err.contains("another kage has held") {
                    trial.lost(format_args!("{of}: the waiting run printed {:?}", ended.err));
                }
            }
        }
        Err(why) => trial.lost(format_args!("{of}: the waiting run: {why}")),
    }
    check_holder_ends(trial, &scene, holder, booked, &of);
    gave_up
}

/// The holder is continued before the waiting run gives up: both succeed.
fn wait_briefly(trial: &Trial<'_>, library: &PathBuf, lane: u64) {
    let scene = Scene::new(trial.plan);
    let mut dice = trial.dice(lane);
    let at = 1 + dice.below(calls(&scene, library, RUN));
    let (holder, _) = stopped(&scene, library, RUN, at);
    trial.tried(1);
    let of = format!("briefly stopped at call {at}");
    let mut command = scene.kage("exec -- worker");
    command.env("TAG", "waiting").env("STATUS", STATUS.to_string());
    let waiting = scene.start(&mut command);
    dice.pause(Duration::from_millis(100));
    send(holder.id(), Signal::CONT);
    match waiting.end(PATIENCE) {
        Ok(ended) if ended.code() == Some(STATUS) && ended.err.is_empty() => {}
        Ok(ended) => {
            trial.lost(format_args!("{of}: the waiting run ended with {} {:?}", ended.status, ended.err));
        }
        Err(why) => trial.lost(format_args!("{of}: the waiting run: {why}")),
    }
    check_holder_ends(trial, &scene, holder, 1, &of);
}

/// A kage that only reads is stopped. Meanwhile a run ends. The reader may have seen it as still running.
fn stop_reader(trial: &Trial<'_>, library: &PathBuf, lane: u64) {
    let scene = Scene::new(trial.plan);
    let mut dice = trial.dice(lane);
    let words = ["status --json", "usage --json"][usize::try_from(dice.below(2)).unwrap()];
    // Creates the files of the state: without them the number of calls would differ.
    trial.check(check_succeeds(&scene, "exec -- true"), "before anything is stopped");
    // For a killed run it also books the usage, with an unknown number of further calls.
    let at = 1 + (lane / 2 + dice.below(2)) % (2 * calls(&scene, library, words) + 20);
    let mut command = scene.kage(RUN);
    let mut run =
        scene.start(command.env("TAG", "waiting").env("STATUS", STATUS.to_string()).env("PAUSE", "0.4"));
    let agent = |tag: &str| {
        let mut pid = None;
        crate::support::wait_until("the agent runs", || {
            let begun = scene.log().into_iter().find(|words| words[1] == tag && words.len() == 4);
            pid = begun.map(|words| words[3].parse().unwrap());
            pid.is_some()
        });
        pid.unwrap()
    };
    agent("waiting");
    let mut command = scene.kage(RUN);
    let killed = scene.start(command.env("TAG", "killed").env("ROWS", "2").env("PAUSE", "0.01"));
    let pids = [killed.id(), agent("killed")];
    dice.pause(Duration::from_millis(30));
    pids.into_iter().for_each(crate::scene::kill);
    trial.check(killed.end(PATIENCE).err(), "a killed run");
    let (reader, _) = stopped(&scene, library, words, at);
    trial.tried(1);
    let of = format!("`kage {words}` stopped at call {at}");
    // The reader may hold a lock that the run waits for.
    let until = Instant::now() + Duration::from_secs(2);
    while !run.has_ended() && Instant::now() < until {
        thread::sleep(Duration::from_millis(2));
    }
    send(reader.id(), Signal::CONT);
    match run.end(PATIENCE) {
        Ok(ended) if ended.code() == Some(STATUS) && ended.err.is_empty() => {}
        Ok(ended) => trial.lost(format_args!("{of}: the run ended with {} {:?}", ended.status, ended.err)),
        Err(why) => trial.lost(format_args!("{of}: the run: {why}")),
    }
    let looked = reader.end(PATIENCE).map_or_else(Some, |ended| ended.undocumented_end(&[0]));
    let run = Run { tag: "waiting".into(), booked: (1, 1) };
    trial.check(looked.into_iter().chain(audit(&scene, &[run], Records::Complete)), &of);
}

/// Checks that the stopped kage ends normally after it is continued.
fn check_holder_ends(trial: &Trial<'_>, scene: &Scene, holder: Running, waiting: u64, of: &str) {
    match holder.end(PATIENCE) {
        Ok(ended) if ended.code() == Some(STATUS) && ended.err.is_empty() => {}
        Ok(ended) => trial.lost(format_args!("{of}: it ended with {} {:?}", ended.status, ended.err)),
        Err(why) => trial.lost(format_args!("{of}: {why}")),
    }
    let run = |tag: &str, least| Run { tag: tag.into(), booked: (least, 1) };
    let found = audit(scene, &[run("stopped", 1), run("waiting", waiting)], Records::Complete);
    trial.check(found, of);
}
