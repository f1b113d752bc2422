//! Locks that succeed without an effect, as on some network file systems. Updates of the state may be lost,
//! which is counted here, and a state that two processes write at the same time is set aside. But the state
//! loads, nothing crashes, and doctor warns.

use std::path::Path;
use std::thread;

use serde_json::Value;

use crate::audit::{Records, Run, audit, check_succeeds};
use crate::plan::Trial;
use crate::scene::Scene;
use crate::shim::{preload, shim};
use crate::support::has_all;

const LANES: u64 = 6;
const ROUNDS: u64 = 10;
const STATUS: i32 = 7;

pub fn run(trial: &Trial<'_>) {
    doctor_warns(trial);
    let Some(library) = shim(trial) else { return };
    let (mut number, mut overwritten, mut updates, mut set_aside) = (0, 0, 0, 0);
    while trial.has_time() {
        let scene = Scene::new(trial.plan);
        let lane = |lane: u64| {
            let mut dice = trial.dice((number << 8) | lane);
            let round = |at: u64| {
                let way = ["exec -- worker", "exec -- claude -p hi"][usize::try_from(dice.below(2)).unwrap()];
                let tag = format!("{lane}-{at}");
                let mut command = scene.kage(way);
                preload(&scene, &library, command.env("TORTURE_LOCKS", "none"));
                let ended = scene.run(command.env("TAG", &tag).env("STATUS", STATUS.to_string()));
                trial.tried(1);
                match ended {
                    Ok(ended) => trial.check(ended.undocumented_end(&[STATUS]), format_args!("`kage {way}`")),
                    Err(why) => trial.lost(format_args!("`kage {way}`: {why}")),
                }
                // A row may be missing, but appends need no lock to stay complete.
                Run { tag, booked: (0, 1) }
            };
            (0..ROUNDS).map(round).collect::<Vec<_>>()
        };
        let lane = &lane;
        let runs: Vec<Run> = thread::scope(|scope| {
            let lanes: Vec<_> = (0..LANES).map(|at| scope.spawn(move || lane(at))).collect();
            lanes.into_iter().flat_map(|lane| lane.join().unwrap()).collect()
        });
        // A state that two processes wrote at the same time is set aside as damaged.
        let found = audit(&scene, &runs, Records::Partial);
        let (damaged, wrong): (Vec<_>, Vec<_>) =
            found.into_iter().partition(|found| found.contains(".damaged-"));
        set_aside += damaged.len();
        trial.check(wrong, format_args!("after scene {number}"));
        updates += runs.len() as u64;
        overwritten += (runs.len() as u64 + 1).saturating_sub(runs_today(&scene));
        number += 1;
    }
    trial.note(format!("{overwritten} of {updates} choices overwritten, {set_aside} files set aside"));
}

fn runs_today(scene: &Scene) -> u64 {
    let status: Value = scene.sandbox.status();
    let all = status["subscriptions"].as_array().unwrap();
    all.iter().map(|one| one["runs_today"].as_u64().unwrap()).sum()
}

/// strace changes the answer of statfs(2) to NFS. Source: statfs(2), the first field is the magic number.
fn doctor_warns(trial: &Trial<'_>) {
    if !has_all(&["strace"]) {
        return trial.skip("strace is not installed");
    }
    let scene = Scene::new(trial.plan);
    trial.check(check_succeeds(&scene, "exec -- true"), "without strace");
    let poke = "inject=statfs:retval=0:poke_exit=@arg2=6969000000000000";
    let words = ["-f", "-qq", "-o", "/dev/null", "-e", poke, scene.kage.to_str().unwrap(), "doctor"];
    let ended = scene.run(&mut scene.program(Path::new("strace"), words));
    trial.tried(1);
    match ended {
        Ok(ended) if ended.err.contains("invalid") => trial.note("strace is too old for NFS"),
        Ok(ended) if ended.out.contains("NFS") => {}
        Ok(ended) => trial.lost(format_args!("doctor does not mention NFS: {} {}", ended.out, ended.err)),
        Err(why) => trial.lost(why),
    }
}
