//! Every call that kage makes fails once: with an error, an interruption, a partial write, a disk that is
//! full from then on, or the end of the process. `shim.c` injects the failures.

use std::path::PathBuf;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use crate::audit::{Records, Run, audit};
use crate::dice::Dice;
use crate::plan::Trial;
use crate::scene::Ended;
use crate::shim::{calls_of, preload, shim};
use crate::stage::{STATUS, Stage};

/// The number of concurrent scenes.
const LANES: u64 = 4;
/// The commands whose calls fail.
const VERBS: [&str; 6] = [
    "exec -- worker",
    "exec -- claude -p hi",
    "exec --replace -- claude -p hi",
    "status --json",
    "usage --json",
    "subscription set one --priority 7",
];

/// The output of the last of these commands.
const CHANGED: &str = "kage: updated `one`\n";

/// A failure: its name, the library's `TORTURE_WITH`, and whether all later calls fail too.
struct Fault {
    name: &'static str,
    with: &'static str,
    is_permanent: bool,
}

const INTERRUPTED: &str = "EINTR";
const KILLED: &str = "kill";
const BELOW: [Fault; 6] = [
    Fault { name: "EIO", with: "5", is_permanent: false },
    Fault { name: "ENOSPC", with: "28", is_permanent: false },
    Fault { name: "a full disk", with: "28", is_permanent: true },
    Fault { name: "half a write", with: "short", is_permanent: true },
    Fault { name: INTERRUPTED, with: "4", is_permanent: false },
    Fault { name: KILLED, with: "kill", is_permanent: false },
];
const ANYWHERE: [Fault; 3] = [
    Fault { name: "EIO", with: "5", is_permanent: false },
    Fault { name: "ENOMEM", with: "12", is_permanent: false },
    Fault { name: KILLED, with: "kill", is_permanent: false },
];

/// One try.
struct Try {
    verb: &'static str,
    fault: &'static Fault,
    /// The number of the call that fails.
    at: u64,
}

/// Fails the calls on files below the state directory.
pub fn state(trial: &Trial<'_>) {
    sweep(trial, &BELOW, true);
}

/// Fails all calls, including those for config, credentials, pipes, threads and processes.
pub fn anywhere(trial: &Trial<'_>) {
    sweep(trial, &ANYWHERE, false);
}

fn sweep(trial: &Trial<'_>, faults: &'static [Fault], below_state: bool) {
    let Some(library) = shim(trial) else { return };
    let mut tries = Vec::new();
    for verb in VERBS {
        let stage = Stage::new(trial);
        let calls = calls_of(&stage.scene, &library, below_state, stage.command(verb, "counted"));
        for fault in faults {
            tries.extend((1..=calls).map(|at| Try { verb, fault, at }));
        }
    }
    shuffle(&mut tries, &mut trial.dice(0));
    let next = AtomicUsize::new(0);
    thread::scope(|scope| {
        for _ in 0..LANES {
            scope.spawn(|| {
                let stage = Stage::new(trial);
                while trial.has_time() {
                    let Some(one) = tries.get(next.fetch_add(1, Ordering::Relaxed)) else { return };
                    trial.tried(1);
                    let wrong = problems_of(&stage, one, &library, below_state);
                    let of = format!("`kage {}`, call {} {}", one.verb, one.at, one.fault.name);
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

fn problems_of(stage: &Stage, one: &Try, library: &PathBuf, below_state: bool) -> Vec<String> {
    stage.reset();
    let scene = &stage.scene;
    let mut command = stage.command(one.verb, "tried");
    preload(scene, library, &mut command);
    command.env("TORTURE_AT", one.at.to_string()).env("TORTURE_WITH", one.fault.with);
    if one.fault.is_permanent {
        command.env("TORTURE_FROM", "1");
    }
    if below_state {
        command.env("TORTURE_UNDER", scene.state_dir());
    }
    let ended = match scene.run(&mut command) {
        Ok(ended) => ended,
        Err(why) => return vec![why],
    };
    let mut wrong: Vec<String> = wrong_end(&ended, one).into_iter().collect();
    if one.verb.starts_with("subscription") {
        // The next edit removes the temporary file of a killed one.
        let again = scene.run(&mut stage.command(one.verb, "again"));
        wrong.extend(again.map_or_else(Some, |again| again.undocumented_end(&[0])));
    }
    // A run without a message has booked everything; a killed one has left that to the next kage.
    let quiet = ended.err.is_empty() || ended.err == CHANGED;
    let is_booked = one.verb.starts_with("exec -- ") && quiet && ended.code() == Some(STATUS);
    let runs = [Run { tag: "tried".into(), booked: (u64::from(is_booked), 1) }];
    // Outside the state directory the transcript may be the file that could not be read, which is not
    // reported.
    let is_complete = quiet && (below_state || one.fault.name == KILLED);
    wrong.extend(audit(scene, &runs, if is_complete { Records::Complete } else { Records::Partial }));
    wrong.extend(stage.missing_rows());
    let said = format!(" (it ended with {} and printed {:?})", ended.status, ended.err);
    wrong.into_iter().map(|wrong| wrong + &said).collect()
}

fn wrong_end(ended: &Ended, one: &Try) -> Option<String> {
    let own = if one.verb.starts_with("exec") { STATUS } else { 0 };
    if one.fault.name == KILLED {
        let fits = ended.signal() == Some(9) || ended.code() == Some(own);
        return (!fits).then(|| "the kill changed the exit status".to_owned());
    }
    if one.fault.name == INTERRUPTED {
        let fits = ended.code() == Some(own) && (ended.err.is_empty() || ended.err == CHANGED);
        return (!fits).then(|| "the interrupted call was not retried".to_owned());
    }
    ended.undocumented_end(&[own])
}
