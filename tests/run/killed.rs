//! After kills, damage and full disks the state loads, no lease is left, and kage starts no agent whose run
//! it could not book.

// A failed unwrap is a failed test.
#![allow(clippy::unwrap_used)]

use std::fs;
use std::io::{BufRead as _, BufReader, Read as _};
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::process::ExitStatusExt as _;
use std::process::Stdio;
use std::thread;
use std::time::Duration;

use crate::dice::{Dice, seed};
use crate::support::{Sandbox, missing_is_failure};
use rustix::process::{Pid, Signal, geteuid, kill_process};
use serde_json::Value;

const STATE: &str = "home/.local/state/kage/state.json";
/// Concurrent runs, so that killed ones hold the lock while others wait for it.
const LANES: u64 = 4;
const ROUNDS: u64 = 60;

fn kill(pid: u32) {
    let pid = Pid::from_raw(i32::try_from(pid).unwrap()).unwrap();
    // The process may have ended already.
    let _ = kill_process(pid, Signal::KILL);
}

fn pool() -> Sandbox {
    let sandbox = Sandbox::new();
    sandbox.add("one", &[]).add("two", &[]);
    // Both print their process id. `lasting` keeps running under it, `brief` ends immediately.
    sandbox.program("lasting", "#!/bin/sh\necho $$\nexec sleep 60\n");
    sandbox.program("brief", "#!/bin/sh\necho $$\n");
    sandbox
}

/// One run with one kill. Returns whether kage survived to book it.
fn round(sandbox: &Sandbox, dice: &mut Dice) -> bool {
    let victim = dice.below(3);
    let agent = if victim == 0 && dice.below(2) == 0 { "brief" } else { "lasting" };
    let mut command = sandbox.kage(["exec", "--", agent]).command;
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null());
    let mut kage = command.spawn().unwrap();
    // kage and the agent share the output: it ends when both have ended.
    let mut output = BufReader::new(kage.stdout.take().unwrap());
    let mut agent_prints = || {
        let mut line = String::new();
        output.read_line(&mut line).unwrap();
        line.trim().parse::<u32>().ok()
    };
    if victim == 0 {
        dice.pause(Duration::from_millis(40));
        kill(kage.id());
        // A started agent outlives its kage.
        if let Some(pid) = agent_prints().filter(|_| agent == "lasting") {
            kill(pid);
        }
    } else {
        let pid = agent_prints().expect("the agent starts");
        dice.pause(Duration::from_millis(5));
        if victim == 2 && dice.below(2) == 0 {
            kill(kage.id());
        }
        kill(pid);
        if victim == 2 {
            dice.pause(Duration::from_millis(5));
            kill(kage.id());
        }
    }
    output.read_to_end(&mut Vec::new()).unwrap();
    let ended = kage.wait().unwrap();
    match (ended.code(), ended.signal()) {
        (Some(0), _) => assert_eq!(agent, "brief"),
        // The agent died from a signal that kage reports as 128 plus the signal.
        (Some(137), _) => assert_ne!(victim, 0),
        (_, Some(9)) => assert_ne!(victim, 1),
        _ => panic!("kage ended with {ended}"),
    }
    ended.signal().is_none()
}

#[test]
fn kill_9_at_any_time_leaves_state_and_ledger_consistent() {
    let sandbox = pool();
    let seed = seed();
    let lane = |lane: u64| {
        let mut dice = Dice::new(seed ^ (lane << 32));
        let rounds = (0..ROUNDS).filter(|_| {
            let booked = round(&sandbox, &mut dice);
            sandbox.kage(["status", "--json"]).run().success().says("");
            booked
        });
        rounds.count()
    };
    let booked: usize = thread::scope(|scope| {
        let lanes: Vec<_> = (0..LANES).map(|at| scope.spawn(move || lane(at))).collect();
        lanes.into_iter().map(|lane| lane.join().unwrap()).sum()
    });
    for one in sandbox.status()["subscriptions"].as_array().unwrap() {
        assert_eq!(one["running"], 0, "{one:#}");
    }
    sandbox.kage(["exec", "--", "true"]).run().success().says("");
    assert_eq!(sandbox.state()["leases"], Value::Null, "a lease was left");
    assert_eq!(damaged(&sandbox), Vec::<String>::new());
    // A kage that survived has booked its run; a killed one may have booked it just before.
    let lines = sandbox.ledger().len() - 1;
    let rounds = usize::try_from(LANES * ROUNDS).unwrap();
    assert!((booked..=rounds).contains(&lines), "{booked} of {rounds} survived, {lines} are booked");
}

/// The names of the files that were set aside.
fn damaged(sandbox: &Sandbox) -> Vec<String> {
    let entries = fs::read_dir(sandbox.path("home/.local/state/kage")).unwrap().flatten();
    let names = entries.map(|entry| entry.file_name().into_string().unwrap());
    names.filter(|name| name.contains("damaged")).collect()
}

#[test]
fn a_damaged_state_is_set_aside_with_one_warning_and_the_run_continues() {
    let whole = {
        let sandbox = pool();
        sandbox.kage(["exec", "--", "true"]).run().success();
        fs::read(sandbox.path(STATE)).unwrap()
    };
    let half = &whole[..whole.len() / 2];
    let with_another_schema = br#"{"version":1,"state":{"leases":7}}"#;
    for bytes in [half, b"", b"\0\0\0\0", b"\xff\xfenot json", b"[]", with_another_schema] {
        let sandbox = pool();
        sandbox.write("home/.local/state/kage/state.json", "");
        fs::write(sandbox.path(STATE), bytes).unwrap();
        sandbox.kage(["status"]).run().success().mentions("is damaged");
        assert_eq!(fs::read(sandbox.path(STATE)).unwrap(), bytes, "`kage status` changes nothing");

        let said = sandbox.kage(["exec", "--", "echo", "ran"]).run().success().prints("ran\n").stderr();
        assert_eq!(said.lines().count(), 1, "{said}");
        assert!(said.starts_with("kage: warning: "), "{said}");
        assert!(said.contains("limits, health, rotation and today's totals are reset"), "{said}");
        let aside = damaged(&sandbox);
        assert!(aside.len() == 1 && aside[0].starts_with("state.json.damaged-"), "{aside:?}");
        assert!(said.contains(&aside[0]), "{said}");
        let kept = fs::read(sandbox.path("home/.local/state/kage").join(&aside[0])).unwrap();
        assert_eq!(kept, bytes);

        sandbox.kage(["exec", "--", "true"]).run().success().says("");
        assert_eq!(damaged(&sandbox), aside);
    }
}

#[test]
fn a_state_of_a_newer_kage_is_refused_and_left_unchanged() {
    for text in [r#"{"version":3,"state":{}}"#, r#"{"pools":[{"name":"x"}],"version":3}"#] {
        let sandbox = pool();
        sandbox.write(STATE, text);
        sandbox
            .kage(["exec", "--", "touch", "mark"])
            .run()
            .status(125)
            .is_one_line_and_a_hint()
            .mentions("has version 3; this kage supports version 2");
        sandbox.kage(["status", "--json"]).run().status(1).is_one_line_and_a_hint().prints("");
        assert_eq!(sandbox.read(STATE), text);
        assert!(!sandbox.path("work/mark").exists(), "the agent was started");
    }
}

/// Runs a script with a file system of four pages mounted over the state directory (`$1`), in its own mount
/// namespace, so that the mount ends with the script. `None` if that is not allowed.
fn on_a_small_disk(sandbox: &Sandbox, script: &str) -> Option<crate::support::Ran> {
    if !cfg!(target_os = "linux") {
        return None;
    }
    let state = sandbox.path("home/.local/state/kage");
    fs::create_dir_all(&state).unwrap();
    let mounted = "set -eu; mount -t tmpfs -o size=16k none \"$1\" || exit 99; cd \"$1/..\"; ";
    let script = format!("{mounted}\n{script}");
    let kage = crate::support::kage();
    let args = ["-rm", "sh", "-c", &script, "sh", state.to_str().unwrap(), kage.to_str().unwrap()];
    let unshare = ["/usr/bin/unshare", "/bin/unshare"].map(std::path::Path::new);
    let unshare = unshare.into_iter().find(|path| path.exists());
    let ran = unshare.map(|unshare| sandbox.call(unshare, args).run());
    let ran = ran.filter(|ran| ran.output.status.code() != Some(99) && !ran.stderr().contains("unshare"));
    if ran.is_none() && geteuid().is_root() {
        missing_is_failure("could not mount in a mount namespace");
    }
    ran
}

/// Checks that `exec` ended before the agent started, with one line and a hint.
fn check_refused_before_the_start(sandbox: &Sandbox, ran: crate::support::Ran, why: &str) {
    let said = ran.status(125).is_one_line_and_a_hint().stderr();
    assert!(said.starts_with("kage: could not "), "{said}");
    assert!(said.contains(why), "{said}");
    assert!(!sandbox.path("work/mark").exists(), "the agent was started");
}

#[test]
fn a_read_only_state_directory_stops_the_run_before_the_agent_starts() {
    let sandbox = pool();
    if geteuid().is_root() {
        // Root ignores file modes but not a read-only file system.
        let script = r#"mount -o remount,ro "$1"; cd ~/../work; exec "$2" exec -- touch mark"#;
        let Some(ran) = on_a_small_disk(&sandbox, script) else { return };
        check_refused_before_the_start(&sandbox, ran, "Read-only file system");
        return;
    }
    let dir = sandbox.path("home/.local/state/kage");
    fs::create_dir_all(&dir).unwrap();
    fs::set_permissions(&dir, fs::Permissions::from_mode(0o500)).unwrap();
    let ran = sandbox.kage(["exec", "--", "touch", "mark"]).run();
    check_refused_before_the_start(&sandbox, ran, "Permission denied");
}

#[test]
fn a_full_disk_stops_the_run_before_the_agent_starts() {
    let sandbox = pool();
    let script = r#"
        cd ~/../work
        "$2" exec -- true
        cp "$1/state.json" before
        # The page of the log would have room for another line.
        rm "$1/state.log"
        cat /dev/zero >"$1/filling" 2>/dev/null || true
        status=0
        "$2" exec -- touch mark || status=$?
        cmp before "$1/state.json" >&2
        "$2" status --json >/dev/null
        rm "$1/filling"
        "$2" exec -- true
        exit $status"#;
    let Some(ran) = on_a_small_disk(&sandbox, script) else { return };
    check_refused_before_the_start(&sandbox, ran, "No space left on device");
}

#[test]
fn a_disk_that_fills_up_during_a_run_loses_only_the_record_of_that_run() {
    let sandbox = pool();
    // The ledger ends just before the end of its page, so that one byte of the next row still fits.
    let script = r#"
        cd ~/../work
        "$2" exec -- true
        month=$(echo "$1"/usage/*.jsonl)
        room=$((4095 - $(wc -c <"$month")))
        printf '%*s\n' $((room - 1)) '{}' >>"$month"
        status=0
        "$2" exec -- sh -c 'cat /dev/zero >"$1/filling"; exit 7' sh "$1" 2>said || status=$?
        rm "$1/filling"
        "$2" exec -- true
        "$2" status --json >status
        cat "$month"
        exit $status"#;
    let Some(ran) = on_a_small_disk(&sandbox, script) else { return };
    let ran = ran.status(7).says("");
    let said = sandbox.read("work/said");
    // The page of the state's log has room for another line, so only the ledger fails.
    let messages: Vec<_> = said.lines().filter(|line| line.starts_with("kage: ")).collect();
    let lost = "kage: warning: could not record this run in the ledger: could not write ";
    assert!(matches!(messages[..], [line] if line.starts_with(lost)), "{said}");
    let lines = ran.stdout();
    let whole = |line: &&str| serde_json::from_str::<Value>(line).is_ok_and(|row| row["run"].is_string());
    assert_eq!(lines.lines().filter(whole).count(), 2, "{lines}");
    let status: Value = serde_json::from_str(&sandbox.read("work/status")).unwrap();
    for one in status["subscriptions"].as_array().unwrap() {
        assert_eq!(one["running"], 0, "{one:#}");
    }
}
