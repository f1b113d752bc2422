//! Directories vanish during runs: only their contents are lost.

use std::fs;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::Duration;

use crate::audit::{Records, Run, audit};
use crate::dice::Dice;
use crate::plan::Trial;
use crate::scene::{PATIENCE, Scene};

const LANES: u64 = 4;
const ROUNDS: u64 = 8;
const STATUS: i32 = 7;

/// The paths that are removed, relative to the home.
const PATHS: [&str; 9] = [
    ".local/state/kage",
    ".local/state",
    ".local/state/kage/usage",
    ".local/state/kage/state.json",
    ".local/state/kage/state.lock",
    ".local/state/kage/usage.lock",
    ".local/state/kage/hooks",
    ".claude/projects",
    "../work/deep",
];

const WAYS: [&str; 4] =
    ["exec -- worker", "exec -- claude -p hi", "exec --replace -- claude -p hi", "exec -- claude"];

pub fn run(trial: &Trial<'_>) {
    let mut number = 0;
    while trial.has_time() {
        segment(trial, number);
        number += 1;
    }
}

fn segment(trial: &Trial<'_>, number: u64) {
    let scene = Scene::new(trial.plan);
    fs::create_dir_all(scene.path("work/deep")).unwrap();
    let (over, moved) = (AtomicBool::new(false), AtomicU64::new(0));
    let lane = |lane: u64| {
        let mut dice = trial.dice((number << 8) | lane);
        let round = |at| round(trial, &scene, &mut dice, format!("{number}-{lane}-{at}"));
        (0..ROUNDS).map(round).collect::<Vec<_>>()
    };
    let lane = &lane;
    let runs: Vec<Run> = thread::scope(|scope| {
        let lanes: Vec<_> = (0..LANES).map(|at| scope.spawn(move || lane(at))).collect();
        let remover = scope.spawn(|| {
            let mut dice = trial.dice((number << 8) | 0xff);
            while !over.load(Ordering::Relaxed) {
                dice.pause(Duration::from_millis(8));
                remove(&scene, PATHS[usize::try_from(dice.below(9)).unwrap()], &moved);
            }
        });
        let runs = lanes.into_iter().flat_map(|lane| lane.join().unwrap()).collect();
        over.store(true, Ordering::Relaxed);
        remover.join().unwrap();
        runs
    });
    fs::create_dir_all(scene.path("work/deep")).unwrap();
    trial.check(audit(&scene, &runs, Records::Partial), format_args!("after segment {number}"));
}

/// Removes a path. Transcripts are only moved, because the audit counts their tokens.
fn remove(scene: &Scene, path_in_home: &str, moved: &AtomicU64) {
    let path: PathBuf = scene.path("home").join(path_in_home);
    if path_in_home.starts_with(".claude") {
        let aside = format!("home/.claude/gone-{}", moved.fetch_add(1, Ordering::Relaxed));
        let _ = fs::rename(&path, scene.path(&aside));
        let _ = fs::create_dir_all(scene.records());
        return;
    }
    let _ = fs::remove_file(&path).or_else(|_| fs::remove_dir_all(&path));
    let _ = fs::create_dir_all(scene.path("work/deep"));
}

fn round(trial: &Trial<'_>, scene: &Scene, dice: &mut Dice, tag: String) -> Run {
    let way = WAYS[usize::try_from(dice.below(4)).unwrap()];
    let mut command = scene.kage(way);
    command.env("TAG", &tag).env("STATUS", STATUS.to_string()).env("PAUSE", "0.01");
    let dir = scene.path("work/deep");
    if dice.below(4) == 0 && dir.exists() {
        // The agent and its shell run in a directory that may be removed.
        command = scene.program("sh".as_ref(), ["-c", "cd deep 2>/dev/null; exec \"$@\"", "sh"]);
        command.arg(&scene.kage).args(way.split(' '));
        command.env("TAG", &tag).env("STATUS", STATUS.to_string()).env("PAUSE", "0.01");
    }
    let ended = scene.start(&mut command).end(PATIENCE);
    trial.tried(1);
    match ended {
        Ok(mut ended) => {
            // Shells, including the agent's, print this in a directory that was removed.
            let is_kages = |line: &&str| !line.contains("getcwd() failed");
            ended.err = ended.err.lines().filter(is_kages).map(|line| line.to_owned() + "\n").collect();
            trial.check(ended.undocumented_end(&[STATUS]), format_args!("`kage {way}`"));
        }
        Err(why) => trial.lost(format_args!("`kage {way}`: {why}")),
    }
    Run { tag, booked: (0, 1) }
}
