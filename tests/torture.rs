//! Tries to break kage many times at random: kills, full and failing disks, damaged files, jumping clocks,
//! misbehaving agents. After each try it audits the state and the ledger. `bash tests/torture.sh` runs it for
//! two minutes, `cargo test` for some seconds. It prints a line per class: how often it was tried, and what
//! was lost.

// A failed unwrap is a failed test.
#![allow(unreachable_pub, clippy::unwrap_used)]

#[path = "support/dice.rs"]
mod dice;
#[path = "support/pty.rs"]
mod pty;
#[path = "support/secret_service.rs"]
mod secret_service;
mod support;

#[path = "torture/agents.rs"]
mod agents;
#[path = "torture/audit.rs"]
mod audit;
#[path = "torture/calls.rs"]
mod calls;
#[path = "torture/clock.rs"]
mod clock;
#[path = "torture/damage.rs"]
mod damage;
#[path = "torture/disk.rs"]
mod disk;
#[path = "torture/hanging.rs"]
mod hanging;
#[path = "torture/kills.rs"]
mod kills;
#[path = "torture/leases.rs"]
mod leases;
#[path = "torture/lockless.rs"]
mod lockless;
#[path = "torture/plan.rs"]
mod plan;
#[path = "torture/scene.rs"]
mod scene;
#[path = "torture/shim.rs"]
mod shim;
#[path = "torture/stage.rs"]
mod stage;
#[path = "torture/stopped.rs"]
mod stopped;
#[path = "torture/vanished.rs"]
mod vanished;
#[path = "torture/versions.rs"]
mod versions;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::process::ExitCode;
use std::thread;
use std::time::Instant;

use plan::{Class, Plan, Trial};

#[rustfmt::skip]
const CLASSES: [Class; 16] = [
    Class { name: "stopped", what: "a holder of the lock is stopped", share: 0, run: stopped::run },
    Class { name: "hanging", what: "keychain, commands and event command hang", share: 0, run: hanging::run },
    Class { name: "kills", what: "kill -9 of kage, the agent or both at any time", share: 30, run: kills::run },
    Class { name: "calls", what: "each call below the state directory fails once", share: 28, run: calls::state },
    Class { name: "anywhere", what: "each call of any kind fails once", share: 8, run: calls::anywhere },
    Class { name: "full-disk", what: "the disk is full or fills up", share: 3, run: disk::full },
    Class { name: "read-only", what: "the state becomes read-only", share: 2, run: disk::read_only },
    Class { name: "vanished", what: "directories vanish under running agents", share: 3, run: vanished::run },
    Class { name: "damaged", what: "state, ledger, config and credentials cut and garbled", share: 7, run: damage::run },
    Class { name: "huge", what: "files of 64 MiB", share: 5, run: damage::huge },
    Class { name: "clock", what: "the clock jumps by up to a year", share: 3, run: clock::jumps },
    Class { name: "nights", what: "midnight, with and without a change of the clocks", share: 2, run: clock::nights },
    Class { name: "leases", what: "5,000 leases of dead and reused process ids", share: 2, run: leases::run },
    Class { name: "versions", what: "two versions of kage on one state", share: 2, run: versions::run },
    Class { name: "lockless", what: "locks that have no effect", share: 2, run: lockless::run },
    Class { name: "agents", what: "agents that misbehave", share: 5, run: agents::run },
];

fn main() -> ExitCode {
    let Some(plan) = Plan::read() else { return ExitCode::SUCCESS };
    let begun = Instant::now();
    println!("torture of {} for {} s, SEED={}", plan.kage.display(), plan.seconds, plan.seed);
    let is_wanted = |class: &&Class| plan.only.as_deref().is_none_or(|only| only == class.name);
    let wanted: Vec<_> = CLASSES.iter().filter(is_wanted).collect();
    if wanted.is_empty() {
        eprintln!("unknown class; one of: {}", CLASSES.map(|class| class.name).join(", "));
        return ExitCode::FAILURE;
    }
    let (concurrent, others): (Vec<_>, Vec<_>) = wanted.into_iter().partition(|class| class.share == 0);
    let sums: Vec<_> = thread::scope(|scope| {
        let concurrent: Vec<_> =
            concurrent.into_iter().map(|class| scope.spawn(|| run_class(class, &plan))).collect();
        let others: Vec<_> = others.into_iter().map(|class| run_class(class, &plan)).collect();
        concurrent.into_iter().map(|handle| handle.join().unwrap()).chain(others).collect()
    });
    let (tries, losses) = sums.iter().fold((0, 0), |sum, one| (sum.0 + one.0, sum.1 + one.1));
    let seconds = begun.elapsed().as_secs();
    println!("total: {tries} tries, {losses} losses in {seconds} s, SEED={}", plan.seed);
    if losses == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// Runs a class and prints its line. Returns the number of tries and of losses.
fn run_class(class: &Class, plan: &Plan) -> (u64, usize) {
    let trial = Trial::new(plan, class);
    if let Err(panic) = catch_unwind(AssertUnwindSafe(|| (class.run)(&trial))) {
        let text = panic.downcast_ref::<String>().map(String::as_str);
        trial.lost(text.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or("a panic"));
    }
    let (tries, losses, notes) = (trial.tries(), trial.losses().len(), trial.notes());
    let notes = if notes.is_empty() { notes } else { format!(" ({notes})") };
    println!("{:<10} {tries:>6} tries {losses:>3} lost  {}{notes}", class.name, class.what);
    (tries, losses)
}
