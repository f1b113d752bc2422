//! Locks that succeed and lock nothing, as some network file systems have them. Updates of the state may be
//! lost then, and are counted here, and what two write at once is set aside; the state loads, nothing crashes,
//! and doctor warns.

use std::path::Path;
use std::thread;

use serde_json::Value;

use crate::audit::{Books, Run, audit, is_well};
use crate::plan::Trial;
use crate::scene::Scene;
use crate::shim::{between, shim};
use crate::support::has_all;

const LANES: u64 = 6;
const ROUNDS: u64 = 10;
const STATUS: i32 = 7;

pub fn run(trial: &Trial<'_>) {
    doctor_warns(trial);
    let Some(library) = shim(trial) else { return };
    let (mut number, mut overwritten, mut updates, mut set_aside) = (0, 0, 0, 0);
    while trial.goes_on() {
        let scene = Scene::new(trial.plan);
        let lane = |lane: u64| {
            let mut dice = trial.dice((number << 8) | lane);
            let round = |at: u64| {
                let way = ["exec -- worker", "exec -- claude -p hi"][usize::try_from(dice.below(2)).unwrap()];
                let tag = format!("{lane}-{at}");
                let mut command = scene.kage(way);
                between(&scene, &library, command.env("TORTURE_LOCKS", "none"));
                let ended = scene.run(command.env("TAG", &tag).env("STATUS", STATUS.to_string()));
                trial.tried(1);
                match ended {
                    Ok(ended) => trial.check(ended.is_undocumented(&[STATUS]), format_args!("`kage {way}`")),
                    Err(why) => trial.lost(format_args!("`kage {way}`: {why}")),
                }
                // The ledger is appended to, which needs no lock to be whole.
                Run { tag, booked: (0, 1) }
            };
            (0..ROUNDS).map(round).collect::<Vec<_>>()
        };
        let lane = &lane;
        let runs: Vec<Run> = thread::scope(|scope| {
            let lanes: Vec<_> = (0..LANES).map(|at| scope.spawn(move || lane(at))).collect();
            lanes.into_iter().flat_map(|lane| lane.join().unwrap()).collect()
        });
        // What two have written at once is set aside as damaged, with a line that says so.
        let found = audit(&scene, &runs, Books::InPart);
        let (damaged, wrong): (Vec<_>, Vec<_>) =
            found.into_iter().partition(|found| found.contains(".damaged-"));
        set_aside += damaged.len();
        trial.check(wrong, format_args!("after scene {number}"));
        updates += runs.len() as u64;
        overwritten += (runs.len() as u64 + 1).saturating_sub(runs_today(&scene));
        number += 1;
    }
    trial.note(format!("told: {overwritten} of {updates} choices overwritten, {set_aside} files set aside"));
}

fn runs_today(scene: &Scene) -> u64 {
    let status: Value = scene.sandbox.status();
    let all = status["subscriptions"].as_array().unwrap();
    all.iter().map(|one| one["runs_today"].as_u64().unwrap()).sum()
}

/// strace makes of the file system's answer that it is NFS. Source: statfs(2), the magic number comes first.
fn doctor_warns(trial: &Trial<'_>) {
    if !has_all(&["strace"]) {
        return trial.skip("strace is not installed");
    }
    let scene = Scene::new(trial.plan);
    trial.check(is_well(&scene, "exec -- true"), "without strace");
    let poke = "inject=statfs:retval=0:poke_exit=@arg2=6969000000000000";
    let words = ["-f", "-qq", "-o", "/dev/null", "-e", poke, scene.kage.to_str().unwrap(), "doctor"];
    let ended = scene.run(&mut scene.program(Path::new("strace"), words));
    trial.tried(1);
    match ended {
        Ok(ended) if ended.err.contains("invalid") => trial.note("strace is too old for NFS"),
        Ok(ended) if ended.out.contains("NFS") => {}
        Ok(ended) => trial.lost(format_args!("doctor says nothing of NFS: {} {}", ended.out, ended.err)),
        Err(why) => trial.lost(why),
    }
}
