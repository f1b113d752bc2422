//! kill -9 of kage, the agent or both, at any time, in every way to run an agent.

use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::Duration;

use crate::audit::{Records, Run, audit};
use crate::dice::Dice;
use crate::plan::Trial;
use crate::scene::{Ended, PATIENCE, Scene, kill};

/// The number of kills in a full run.
const KILLS: u64 = 2_000;
/// Concurrent pools, and concurrent runs in each.
const POOLS: u64 = 2;
const LANES: u64 = 4;
/// The number of runs of a thread between two audits.
const ROUNDS: u64 = 12;

/// The ways to run an agent; the last word is the program.
const WAYS: [&str; 6] = [
    "exec -- worker",
    "exec -- claude -p hi",
    "exec -- claude -p --output-format stream-json --verbose hi",
    "exec --replace -- worker",
    "exec --replace -- claude -p hi",
    "exec -- claude",
];
/// The index of the way that runs at a terminal.
const SESSION: usize = 5;

pub fn run(trial: &Trial<'_>) {
    let wanted = trial.scaled(KILLS);
    let begun = AtomicU64::new(0);
    // A full run continues until all kills are done.
    let may_continue = || trial.has_time() || (trial.is_full_run() && !trial.has_failed_enough());
    thread::scope(|scope| {
        for pool in 0..POOLS {
            let begun = &begun;
            scope.spawn(move || {
                let mut part = 0;
                while may_continue() && begun.fetch_add(LANES * ROUNDS, Ordering::Relaxed) < wanted {
                    segment(trial, (pool << 20) | part);
                    part += 1;
                }
            });
        }
    });
}

/// A number of kills in one pool, followed by an audit.
fn segment(trial: &Trial<'_>, number: u64) {
    let scene = Scene::new(trial.plan);
    let lane = |lane: u64| {
        let mut dice = trial.dice((number << 8) | lane);
        let round = |at: u64| round(trial, &scene, &mut dice, format!("{number}-{lane}-{at}"));
        (0..ROUNDS).map(round).collect::<Vec<_>>()
    };
    let lane = &lane;
    let runs: Vec<Run> = thread::scope(|scope| {
        let lanes: Vec<_> = (0..LANES).map(|at| scope.spawn(move || lane(at))).collect();
        lanes.into_iter().flat_map(|lane| lane.join().unwrap()).collect()
    });
    trial.check(audit(&scene, &runs, Records::Complete), format_args!("after segment {number}"));
}

/// One run with one kill.
fn round(trial: &Trial<'_>, scene: &Scene, dice: &mut Dice, tag: String) -> Run {
    let way = usize::try_from(dice.below(WAYS.len() as u64)).unwrap();
    let (victim, late) = (dice.below(3), dice.below(2) == 0);
    let mut command = scene.kage(WAYS[way]);
    command.env("TAG", &tag).env("ROWS", "2").env("STATUS", "7");
    // Half of the agents are slow, so that some are killed at work and some have just ended.
    if dice.below(2) == 0 {
        command.env("PAUSE", "0.02");
    }
    let running =
        if way == SESSION { scene.start_at_a_terminal(&mut command) } else { scene.start(&mut command) };
    let kage = running.id();
    if victim == 0 {
        dice.pause(Duration::from_millis(60));
        kill(kage);
    } else if let Some(agent) = agent_of(scene, &tag) {
        dice.pause(Duration::from_millis(if late { 60 } else { 5 }));
        if victim == 1 {
            kill(agent);
        } else {
            let both = if dice.below(2) == 0 { [kage, agent] } else { [agent, kage] };
            both.into_iter().for_each(kill);
        }
    }
    let is_replaced = WAYS[way].contains("--replace");
    let ended = running.end(PATIENCE);
    trial.tried(1);
    let ended = match ended {
        Ok(ended) => ended,
        Err(why) => {
            trial.lost(format_args!("`kage {}` ({tag}): {why}", WAYS[way]));
            return Run { tag, booked: (0, 1) };
        }
    };
    trial.check(wrong_end(&ended, victim, is_replaced), format_args!("`kage {}` ({tag})", WAYS[way]));
    let lived = ended.signal().is_none() && !is_replaced;
    Run { tag, booked: (u64::from(lived), 1) }
}

/// The process id of a run's agent, once it has logged its start. `None` if it does not start.
fn agent_of(scene: &Scene, tag: &str) -> Option<u32> {
    for _ in 0..5_000 {
        let log = scene.log();
        if let Some(words) =
            log.iter().find(|words| words[0] == "begin" && words[1] == tag && words.len() == 4)
        {
            return words[3].parse().ok();
        }
        thread::sleep(Duration::from_millis(1));
    }
    None
}

fn wrong_end(ended: &Ended, victim: u64, is_replaced: bool) -> Option<String> {
    let fits = match (ended.code(), ended.signal()) {
        // The agent's own end.
        (Some(7), _) => true,
        // The agent was killed: kage exits with 128 plus the signal, as a shell does.
        (Some(137), _) => victim != 0,
        (_, Some(9)) => victim != 1 || is_replaced,
        _ => false,
    };
    let odd = || format!("it ended with {} and printed {:?}, {:?}", ended.status, ended.err, ended.out);
    (!fits).then(odd).or_else(|| (!ended.err.is_empty()).then(|| format!("it printed {:?}", ended.err)))
}
