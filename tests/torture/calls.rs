//! Every call that kage makes fails once: with an error, an interruption, half a write, a full disk from then
//! on, or the end of the process. `shim.c` stands in between.

use std::path::PathBuf;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use crate::audit::{Books, Run, audit};
use crate::dice::Dice;
use crate::plan::Trial;
use crate::scene::Ended;
use crate::shim::{between, calls_of, shim};
use crate::stage::{STATUS, Stage};

/// Scenes at once.
const LANES: u64 = 4;
/// What is run while its calls fail.
const VERBS: [&str; 6] = [
    "exec -- worker",
    "exec -- claude -p hi",
    "exec --replace -- claude -p hi",
    "status --json",
    "usage --json",
    "subscription set one --priority 7",
];

/// What the last of them says when it is done.
const CHANGED: &str = "kage: `one` is changed\n";

/// A failure: its name, what the library makes of it, and whether it stays.
struct Failing {
    name: &'static str,
    with: &'static str,
    stays: bool,
}

const INTERRUPTED: &str = "EINTR";
const KILLED: &str = "kill";
const BELOW: [Failing; 6] = [
    Failing { name: "EIO", with: "5", stays: false },
    Failing { name: "ENOSPC", with: "28", stays: false },
    Failing { name: "a full disk", with: "28", stays: true },
    Failing { name: "half a write", with: "short", stays: true },
    Failing { name: INTERRUPTED, with: "4", stays: false },
    Failing { name: KILLED, with: "kill", stays: false },
];
const ANYWHERE: [Failing; 3] = [
    Failing { name: "EIO", with: "5", stays: false },
    Failing { name: "ENOMEM", with: "12", stays: false },
    Failing { name: KILLED, with: "kill", stays: false },
];

/// One try.
struct Try {
    verb: &'static str,
    failing: &'static Failing,
    /// Which of its calls.
    at: u64,
}

/// The calls on files below the state directory.
pub fn state(trial: &Trial<'_>) {
    sweep(trial, &BELOW, true);
}

/// All calls: config, credentials, pipes, threads, processes too.
pub fn anywhere(trial: &Trial<'_>) {
    sweep(trial, &ANYWHERE, false);
}

fn sweep(trial: &Trial<'_>, failings: &'static [Failing], under: bool) {
    let Some(library) = shim(trial) else { return };
    let mut tries = Vec::new();
    for verb in VERBS {
        let stage = Stage::new(trial);
        let calls = calls_of(&stage.scene, &library, under, stage.command(verb, "counted"));
        for failing in failings {
            tries.extend((1..=calls).map(|at| Try { verb, failing, at }));
        }
    }
    shuffle(&mut tries, &mut trial.dice(0));
    let next = AtomicUsize::new(0);
    thread::scope(|scope| {
        for _ in 0..LANES {
            scope.spawn(|| {
                let stage = Stage::new(trial);
                while trial.goes_on() {
                    let Some(one) = tries.get(next.fetch_add(1, Ordering::Relaxed)) else { return };
                    trial.tried(1);
                    let wrong = wrong_with(&stage, one, &library, under);
                    let of = format!("`kage {}`, call {} {}", one.verb, one.at, one.failing.name);
                    trial.check(wrong, of);
                }
            });
        }
    });
    if trial.tries() < tries.len() as u64 {
        trial.note(format!("of {}", tries.len()));
    }
}

fn shuffle<T>(all: &mut [T], dice: &mut Dice) {
    for at in (1..all.len()).rev() {
        all.swap(at, usize::try_from(dice.below(at as u64 + 1)).unwrap());
    }
}

fn wrong_with(stage: &Stage, one: &Try, library: &PathBuf, under: bool) -> Vec<String> {
    stage.reset();
    let scene = &stage.scene;
    let mut command = stage.command(one.verb, "tried");
    between(scene, library, &mut command);
    command.env("TORTURE_AT", one.at.to_string()).env("TORTURE_WITH", one.failing.with);
    if one.failing.stays {
        command.env("TORTURE_FROM", "1");
    }
    if under {
        command.env("TORTURE_UNDER", scene.state_dir());
    }
    let ended = match scene.run(&mut command) {
        Ok(ended) => ended,
        Err(why) => return vec![why],
    };
    let mut wrong: Vec<String> = wrong_end(&ended, one).into_iter().collect();
    if one.verb.starts_with("subscription") {
        // What a killed one was writing goes with the next edit.
        let again = scene.run(&mut stage.command(one.verb, "again"));
        wrong.extend(again.map_or_else(Some, |again| again.is_undocumented(&[0])));
    }
    // Whoever says nothing has booked all of it, and whoever was killed left it to the next.
    let quiet = ended.err.is_empty() || ended.err == CHANGED;
    let is_booked = one.verb.starts_with("exec -- ") && quiet && ended.code() == Some(STATUS);
    let runs = [Run { tag: "tried".into(), booked: (u64::from(is_booked), 1) }];
    // Elsewhere than below the state directory it may be the records that could not be read, which nobody tells.
    let is_whole = quiet && (under || one.failing.name == KILLED);
    wrong.extend(audit(scene, &runs, if is_whole { Books::Whole } else { Books::InPart }));
    wrong.extend(stage.gone());
    // The words that belong to what went wrong.
    let said = format!(" (it ended with {} and said {:?})", ended.status, ended.err);
    wrong.into_iter().map(|wrong| wrong + &said).collect()
}

fn wrong_end(ended: &Ended, one: &Try) -> Option<String> {
    let own = if one.verb.starts_with("exec") { STATUS } else { 0 };
    if one.failing.name == KILLED {
        let fits = ended.signal() == Some(9) || ended.code() == Some(own);
        return (!fits).then(|| "a kill".to_owned());
    }
    if one.failing.name == INTERRUPTED {
        let fits = ended.code() == Some(own) && (ended.err.is_empty() || ended.err == CHANGED);
        return (!fits).then(|| "an interruption was no mere interruption".to_owned());
    }
    ended.is_undocumented(&[own])
}
