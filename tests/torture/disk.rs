//! A disk that is full or fills up, and one that becomes read-only: a small file system over the state
//! directory, in its own mount namespace.

use std::fs;
use std::path::Path;
use std::process::Command;
use std::thread;

use rustix::process::geteuid;

use crate::audit::{Records, Run, audit, ledger};
use crate::dice::Dice;
use crate::plan::Trial;
use crate::scene::Scene;

const STATUS: i32 = 7;

/// Runs `work` in a thread with its own mounts, which its children inherit. The mounts end with the last of
/// these processes.
#[allow(unsafe_code)]
fn with_own_mounts(trial: &Trial<'_>, work: impl Fn() + Send + Sync) {
    if !geteuid().is_root() {
        return trial.skip("mounts need root");
    }
    let made = thread::scope(|scope| {
        let lane = scope.spawn(|| {
            // SAFETY: the call takes a number and gives this thread its own mount table.
            let is_apart = unsafe { libc::unshare(libc::CLONE_NEWNS) } == 0;
            let is_private = is_apart && mount(&["--make-rprivate", "/"]);
            if is_private {
                work();
            }
            is_private
        });
        lane.join().unwrap()
    });
    if !made {
        trial.skip("could not create a mount namespace");
    }
}

fn mount(words: &[&str]) -> bool {
    Command::new("mount")
        .args(words)
        .stderr(std::process::Stdio::null())
        .status()
        .is_ok_and(|ended| ended.success())
}

/// A pool whose state is on a file system with this number of pages.
fn on_a_small_disk(trial: &Trial<'_>, pages: u64) -> Scene {
    let scene = Scene::new(trial.plan);
    fs::create_dir_all(scene.state_dir()).unwrap();
    let size = format!("size={}k", pages * 4);
    let dir = scene.state_dir();
    // The state already has the subscriptions that were just added.
    let known = fs::read(dir.join("state.json")).unwrap_or_default();
    assert!(mount(&["-t", "tmpfs", "-o", &size, "none", dir.to_str().unwrap()]), "could not mount a tmpfs");
    fs::write(dir.join("state.json"), known).unwrap();
    scene
}

fn unmount(scene: &Scene) {
    let ended = Command::new("umount").arg("-l").arg(scene.state_dir()).status();
    assert!(ended.is_ok_and(|ended| ended.success()), "could not unmount");
}

pub fn full(trial: &Trial<'_>) {
    with_own_mounts(trial, || {
        let dice = &mut trial.dice(0);
        while trial.has_time() {
            let scene = on_a_small_disk(trial, 8 + dice.below(8));
            for at in 0..6 {
                run_on_full_disk(trial, &scene, dice, at);
            }
            unmount(&scene);
        }
    });
}

/// A run on a disk that is full, or that the agent fills, to the last byte or nearly.
fn run_on_full_disk(trial: &Trial<'_>, scene: &Scene, dice: &mut Dice, at: u64) {
    let tag = format!("full-{at}");
    let filling = scene.state_dir().join("filling");
    let before = ledger(scene).unwrap_or_default();
    let is_full_before = dice.below(2) == 0;
    let spare = dice.below(3) * 4096;
    let script = format!("claude -p hi; status=$?; {}; exit $status", fill(&filling, spare));
    scene.sandbox.program("filler", &format!("#!/bin/sh\n{script}\n"));
    if is_full_before {
        let _ = Command::new("sh").args(["-c", &fill(&filling, spare)]).status();
    }
    // `filler` runs an agent and fills the disk after the agent has written its usage.
    let words = ["exec -- filler", "exec -- claude -p hi", "exec -- worker"];
    let word = words[usize::try_from(dice.below(3)).unwrap()];
    let ended = scene.run(scene.kage(word).env("TAG", &tag).env("STATUS", STATUS.to_string()));
    let _ = fs::remove_file(&filling);
    trial.tried(1);
    let of = format!("`kage {word}` with {spare} bytes left");
    let ended = match ended {
        Ok(ended) => ended,
        Err(why) => return trial.lost(format_args!("{of}: {why}")),
    };
    trial.check(ended.undocumented_end(&[STATUS]), &of);
    check_after(trial, scene, tag, ended.err.is_empty() && ended.code() == Some(STATUS), &before, &of);
}

/// A shell command that fills the disk except for `spare` bytes, which must be whole pages.
fn fill(filling: &Path, spare: u64) -> String {
    let filling = filling.display();
    format!("cat /dev/zero >'{filling}' 2>/dev/null; truncate -s -{spare} '{filling}'; true")
}

/// Audits the scene and checks that the ledger still has the earlier rows.
fn check_after(
    trial: &Trial<'_>,
    scene: &Scene,
    tag: String,
    is_booked: bool,
    before: &[serde_json::Value],
    of: &str,
) {
    let runs = [Run { tag, booked: (u64::from(is_booked), 1) }];
    trial.check(audit(scene, &runs, Records::Partial), of);
    let rows = ledger(scene).unwrap_or_default();
    let gone = before.iter().filter(|row| !rows.contains(row)).count();
    if gone > 0 {
        trial.lost(format_args!("{of}: {gone} of the earlier runs are gone"));
    }
}

pub fn read_only(trial: &Trial<'_>) {
    with_own_mounts(trial, || {
        let dice = &mut trial.dice(1);
        while trial.has_time() {
            let scene = on_a_small_disk(trial, 64);
            for at in 0..6 {
                run_on_read_only_disk(trial, &scene, dice, at);
            }
            unmount(&scene);
        }
    });
}

/// A run on a disk that is read-only from the start or becomes read-only during the run.
fn run_on_read_only_disk(trial: &Trial<'_>, scene: &Scene, dice: &mut Dice, at: u64) {
    let tag = format!("read-only-{at}");
    let dir = scene.state_dir();
    let before = ledger(scene).unwrap_or_default();
    let remount = |how: &str| mount(&["-o", &format!("remount,{how}"), dir.to_str().unwrap()]);
    let word = ["exec -- claude -p hi", "exec -- worker"][usize::try_from(dice.below(2)).unwrap()];
    let is_before = dice.below(2) == 0;
    if is_before {
        assert!(remount("ro"), "could not remount");
    }
    let mut command = scene.kage(word);
    command.env("TAG", &tag).env("STATUS", STATUS.to_string()).env("PAUSE", "0.04");
    let running = scene.start(&mut command);
    if !is_before {
        dice.pause(std::time::Duration::from_millis(40));
        // The kernel refuses this while a file is open for writing.
        while !remount("ro") {
            thread::yield_now();
        }
    }
    let ended = running.end(crate::scene::PATIENCE);
    trial.tried(1);
    // `kage status` must work without writing.
    let looked = scene.run(&mut scene.kage("status --json"));
    assert!(remount("rw"), "could not remount");
    let when = if is_before { "from the start" } else { "during the run" };
    let of = format!("`kage {word}`, read-only {when}");
    match (looked, ended) {
        (Ok(looked), Ok(ended)) => {
            let is_odd = looked.code() != Some(0) && looked.undocumented_end(&[]).is_some();
            trial.check(is_odd.then(|| format!("status printed {:?}", looked.err)), &of);
            trial.check(ended.undocumented_end(&[STATUS]), &of);
            check_after(
                trial,
                scene,
                tag,
                ended.err.is_empty() && ended.code() == Some(STATUS),
                &before,
                &of,
            );
        }
        (looked, ended) => {
            trial.check(looked.err().into_iter().chain(ended.err()), &of);
        }
    }
}
