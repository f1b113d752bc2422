//! Programs that hang: the keychain's daemon is stopped; the event command, a credential command and a
//! passphrase command never end. kage waits for a bounded time, prints one line, and holds no lock or lease.

use std::fs;
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process_group};

use crate::audit::{Records, audit, check_succeeds};
use crate::plan::Trial;
use crate::scene::{Ended, Scene};
use crate::secret_service::{PROGRAMS, Session};
use crate::support::{has_all, token};

/// kage waits 10 s for the keychain and 60 s for a command; the rest is for a busy machine.
const KEYCHAIN: Duration = Duration::from_secs(10 + 10);
const COMMAND: Duration = Duration::from_secs(60 + 20);
/// Longer than all these times.
const FOREVER: &str = "sleep 600";
/// The number of concurrent runs that read from a keychain that does not answer.
const ASKING: usize = 5;

pub fn run(trial: &Trial<'_>) {
    let mut parts: Vec<fn(&Trial<'_>)> = vec![keychain, event, interrupted];
    if trial.is_full_run() {
        parts.extend([credential as fn(&Trial<'_>), passphrase]);
    } else {
        trial.note("SKIPPED in a short run: commands that kage waits a minute for");
    }
    thread::scope(|scope| {
        for part in parts {
            scope.spawn(move || part(trial));
        }
    });
}

/// Reports a run that was not refused with status 125, one line and a hint.
fn check_refused(ended: Result<Ended, String>, why: &str) -> Option<String> {
    match ended {
        Ok(ended) => {
            let lines: Vec<_> = ended.err.lines().collect();
            let fits = ended.code() == Some(125) && lines.len() == 2 && lines[0].contains(why);
            (!fits).then(|| format!("it ended with {} and printed {:?}", ended.status, ended.err))
        }
        Err(why) => Some(why),
    }
}

fn keychain(trial: &Trial<'_>) {
    if !has_all(&PROGRAMS) {
        return trial.skip("no Secret Service is installed");
    }
    let scene = Scene::empty(trial.plan);
    let session = Session::unlocked(&scene.path("keyring"));
    let on_bus = |words: &str| {
        let mut command = scene.kage(words);
        command
            .env("DBUS_SESSION_BUS_ADDRESS", &session.address)
            .env("XDG_RUNTIME_DIR", scene.path("no-bus"));
        command
    };
    let add =
        scene.sandbox.kage(["subscription", "add", "work"]).env("XDG_RUNTIME_DIR", scene.path("no-bus"));
    add.env("DBUS_SESSION_BUS_ADDRESS", &session.address).stdin(&token("work")).run().success();
    scene.add("spare", &["--credential", "file"]);
    let stopped = session.stop();
    thread::scope(|scope| {
        let asking = || {
            trial.tried(1);
            let mut command = on_bus("exec -s work -- worker");
            let ended = scene.start(&mut command).end(KEYCHAIN);
            trial.check(check_refused(ended, "the keychain did not answer"), "a stopped keychain");
        };
        let all: Vec<_> = (0..ASKING).map(|_| scope.spawn(asking)).collect();
        // Meanwhile a run that does not need the keychain is not delayed.
        while !all.iter().all(thread::ScopedJoinHandle::is_finished) {
            trial.tried(1);
            let begun = Instant::now();
            trial.check(check_succeeds(&scene, "exec -s spare -- true"), "during a stopped keychain");
            if begun.elapsed() > KEYCHAIN / 4 {
                trial.lost(format_args!("during a stopped keychain a run took {:?}", begun.elapsed()));
            }
            thread::sleep(Duration::from_millis(200));
        }
    });
    drop(stopped);
    let ended = scene.run(&mut on_bus("exec -s work -- true"));
    trial.check(ended.map_or_else(Some, |ended| ended.undocumented_end(&[0])), "a continued keychain");
    trial.check(audit(&scene, &[], Records::Complete), "after a stopped keychain");
}

/// kage does not wait for the event command, which belongs to the user and keeps running.
fn event(trial: &Trial<'_>) {
    let scene = Scene::empty(trial.plan);
    scene.add("work", &["--credential", "file"]);
    let pids = scene.path("pids");
    let config = scene.sandbox.read("home/.config/kage/config.toml");
    let command = format!("echo $$ >>{}; exec {FOREVER}", pids.display());
    scene.sandbox.config(&format!("[events]\ncommand = \"{command}\"\n{config}"));
    // The agent's credential is refused, which makes its subscription unhealthy.
    let row = r#"{\"type\":\"assistant\",\"timestamp\":\"$now\",\"isSidechain\":false,\"isApiErrorMessage\":true,\"error\":\"authentication_failed\",\"apiErrorStatus\":401,\"message\":{\"id\":\"x\",\"model\":\"<synthetic>\",\"content\":[{\"type\":\"text\",\"text\":\"x\"}],\"usage\":{}}}"#;
    scene.sandbox.program("claude", &REFUSED.replace("ROW", row));
    for words in ["exec -- claude -p hi", "exec -- claude -p hi"] {
        trial.tried(1);
        let begun = Instant::now();
        let ended = scene.run(&mut scene.kage(words));
        let odd = ended.map_or_else(Some, |ended| ended.undocumented_end(&[1]));
        trial.check(odd, "an event command that never ends");
        if begun.elapsed() > KEYCHAIN / 2 {
            trial.lost(format_args!("a run with an event command took {:?}", begun.elapsed()));
        }
    }
    scene.sandbox.kage(["subscription", "reset", "work"]).run().success();
    // Each event starts its own command, at an unknown time.
    let known = || -> Vec<u32> {
        let pids = fs::read_to_string(&pids).unwrap_or_default();
        pids.lines().filter_map(|pid| pid.parse().ok()).collect()
    };
    crate::support::wait_until("every event command has written its process id", || {
        let known = known();
        !known.is_empty() && scene.living().iter().all(|pid| known.contains(pid))
    });
    known().into_iter().for_each(crate::scene::kill);
    trial.check(audit(&scene, &[], Records::Partial), "after an event command that never ends");
}

const REFUSED: &str = r#"#!/bin/sh
while [ $# -gt 0 ]; do
  case $1 in --session-id | --resume) session=$2 ;; esac
  shift
done
now=$(date -u +%Y-%m-%dT%H:%M:%S.%3NZ)
printf '%s\n' "ROW" >>"$RECORDS/$session.jsonl"
echo "Failed to authenticate. API Error: 401"
exit 1
"#;

fn with_command(trial: &Trial<'_>) -> Scene {
    let scene = Scene::empty(trial.plan);
    scene.add("spare", &["--credential", "file"]);
    let config = scene.sandbox.read("home/.config/kage/config.toml");
    let hanging = format!("[subscriptions.pool.work]\ncredential = {{ command = \"{FOREVER}\" }}\n");
    scene.sandbox.config(&format!("{config}\n{hanging}"));
    scene
}

fn credential(trial: &Trial<'_>) {
    let scene = with_command(trial);
    let running = scene.start(&mut scene.kage("exec -s work -- worker"));
    trial.tried(1);
    let spare = check_succeeds(&scene, "exec -s spare -- true");
    trial.check(spare, "during a credential command that never ends");
    trial.check(
        check_refused(running.end(COMMAND), "took longer than 60 s"),
        "a credential command that never ends",
    );
    trial.check(audit(&scene, &[], Records::Complete), "after a credential command that never ends");
}

fn passphrase(trial: &Trial<'_>) {
    let scene = Scene::empty(trial.plan);
    let add = scene.sandbox.kage(["subscription", "add", "work", "--credential", "file"]);
    add.env("KAGE_PASSPHRASE", "invented").stdin(&token("work")).run().success();
    let mut command = scene.kage("exec -- worker");
    let ended = scene.start(command.env("KAGE_PASSPHRASE_COMMAND", FOREVER)).end(COMMAND);
    trial.tried(1);
    trial.check(check_refused(ended, "took longer than 60 s"), "a passphrase command that never ends");
    trial.check(crate::audit::orphans(&scene), "after a passphrase command that never ends");
}

/// A ^C immediately ends kage and the command that it waits for.
fn interrupted(trial: &Trial<'_>) {
    let scene = with_command(trial);
    let mut dice = trial.dice(0);
    for _ in 0..trial.scaled(40) {
        let mut command = scene.kage("exec -s work -- worker");
        let running = scene.start(in_a_group(&mut command));
        let group = Pid::from_raw(i32::try_from(running.id()).unwrap()).unwrap();
        // A signal that arrives while kage starts the command may miss it, because it is not running yet.
        crate::support::wait_until("the command runs", || {
            let is_it = |pid: &u32| {
                fs::read(format!("/proc/{pid}/cmdline")).is_ok_and(|line| line.starts_with(b"sleep"))
            };
            scene.living().iter().any(is_it)
        });
        dice.pause(Duration::from_millis(20));
        let signal = [Signal::INT, Signal::TERM, Signal::HUP][usize::try_from(dice.below(3)).unwrap()];
        let _ = kill_process_group(group, signal);
        trial.tried(1);
        match running.end(KEYCHAIN) {
            Ok(ended) if ended.signal() == Some(signal.as_raw()) && ended.err.is_empty() => {}
            Ok(ended) => {
                trial.lost(format_args!("{signal:?} while a command hung: {} {:?}", ended.status, ended.err));
            }
            Err(why) => trial.lost(format_args!("{signal:?} while a command hung: {why}")),
        }
    }
    trial.check(audit(&scene, &[], Records::Complete), "after signals while a command hung");
}

fn in_a_group(command: &mut Command) -> &mut Command {
    std::os::unix::process::CommandExt::process_group(command, 0)
}
