//! Whatever is killed, damaged or full: the state loads, no lease stays, and nothing starts unbooked.

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
/// Side by side, so that the killed hold the lock while others wait for it.
const LANES: u64 = 4;
const ROUNDS: u64 = 60;

fn kill(pid: u32) {
    let pid = Pid::from_raw(i32::try_from(pid).unwrap()).unwrap();
    // One that has ended meanwhile is not there to kill.
    let _ = kill_process(pid, Signal::KILL);
}

fn pool() -> Sandbox {
    let sandbox = Sandbox::new();
    sandbox.add("one", &[]).add("two", &[]);
    // Says its process id, then lives on under it, or ends at once.
    sandbox.program("lasting", "#!/bin/sh\necho $$\nexec sleep 60\n");
    sandbox.program("brief", "#!/bin/sh\necho $$\n");
    sandbox
}

/// One run with one killing. The answer is whether kage lived to book it.
fn round(sandbox: &Sandbox, dice: &mut Dice) -> bool {
    let victim = dice.below(3);
    let agent = if victim == 0 && dice.below(2) == 0 { "brief" } else { "lasting" };
    let mut command = sandbox.kage(["exec", "--", agent]).command;
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null());
    let mut kage = command.spawn().unwrap();
    // kage's output is the agent's: it ends when the last of both has ended.
    let mut output = BufReader::new(kage.stdout.take().unwrap());
    let mut agent_says = || {
        let mut line = String::new();
        output.read_line(&mut line).unwrap();
        line.trim().parse::<u32>().ok()
    };
    if victim == 0 {
        dice.pause(Duration::from_millis(40));
        kill(kage.id());
        // An agent that was started outlives its kage.
        if let Some(pid) = agent_says().filter(|_| agent == "lasting") {
            kill(pid);
        }
    } else {
        let pid = agent_says().expect("the agent starts");
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
        // The agent's own end by a signal on which no shell acts.
        (Some(137), _) => assert_ne!(victim, 0),
        (_, Some(9)) => assert_ne!(victim, 1),
        _ => panic!("kage ended with {ended}"),
    }
    ended.signal().is_none()
}

#[test]
fn kill_9_at_any_moment_leaves_the_books_in_order() {
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
    assert_eq!(sandbox.state()["leases"], Value::Null, "a lease stayed");
    assert_eq!(damaged(&sandbox), Vec::<String>::new());
    // Who was killed may have booked its run just before; who lived has done so.
    let lines = sandbox.ledger().len() - 1;
    let rounds = usize::try_from(LANES * ROUNDS).unwrap();
    assert!((booked..=rounds).contains(&lines), "{booked} of {rounds} lived, {lines} are booked");
}

/// What was set aside.
fn damaged(sandbox: &Sandbox) -> Vec<String> {
    let entries = fs::read_dir(sandbox.path("home/.local/state/kage")).unwrap().flatten();
    let names = entries.map(|entry| entry.file_name().into_string().unwrap());
    names.filter(|name| name.contains("damaged")).collect()
}

#[test]
fn a_damaged_state_is_set_aside_with_one_warning_and_the_run_goes_on() {
    let whole = {
        let sandbox = pool();
        sandbox.kage(["exec", "--", "true"]).run().success();
        fs::read(sandbox.path(STATE)).unwrap()
    };
    let half = &whole[..whole.len() / 2];
    let of_another_form = br#"{"version":1,"state":{"leases":7}}"#;
    for bytes in [half, b"", b"\0\0\0\0", b"\xff\xfenot json", b"[]", of_another_form] {
        let sandbox = pool();
        sandbox.write("home/.local/state/kage/state.json", "");
        fs::write(sandbox.path(STATE), bytes).unwrap();
        sandbox.kage(["status"]).run().success().mentions("is damaged");
        assert_eq!(fs::read(sandbox.path(STATE)).unwrap(), bytes, "looking changes nothing");

        let said = sandbox.kage(["exec", "--", "echo", "ran"]).run().success().prints("ran\n").stderr();
        assert_eq!(said.lines().count(), 1, "{said}");
        assert!(said.starts_with("kage: warning: "), "{said}");
        assert!(said.contains("limits, health, turns and today's totals start anew"), "{said}");
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
fn a_state_of_a_newer_kage_is_refused_and_kept() {
    for text in [r#"{"version":3,"state":{}}"#, r#"{"pools":[{"name":"x"}],"version":3}"#] {
        let sandbox = pool();
        sandbox.write(STATE, text);
        sandbox
            .kage(["exec", "--", "touch", "mark"])
            .run()
            .status(125)
            .is_one_line_and_a_hint()
            .mentions("has version 3, this kage knows version 2");
        sandbox.kage(["status", "--json"]).run().status(1).is_one_line_and_a_hint().prints("");
        assert_eq!(sandbox.read(STATE), text);
        assert!(!sandbox.path("work/mark").exists(), "the agent was started");
    }
}

/// Runs a script where `$1` is a file system of four pages over the state directory, which goes away with
/// the script: a mount in a namespace of its own. `None` where that is not allowed.
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
        missing_is_failure("a mount in a namespace of its own");
    }
    ran
}

/// `exec` ended before the agent started, with one line and a hint.
fn refused_before_the_start(sandbox: &Sandbox, ran: crate::support::Ran, why: &str) {
    let said = ran.status(125).is_one_line_and_a_hint().stderr();
    assert!(said.starts_with("kage: could not "), "{said}");
    assert!(said.contains(why), "{said}");
    assert!(!sandbox.path("work/mark").exists(), "the agent was started");
}

#[test]
fn a_read_only_state_directory_stops_the_run_before_the_agent_starts() {
    let sandbox = pool();
    if geteuid().is_root() {
        // Modes do not bind root; a read-only file system does.
        let script = r#"mount -o remount,ro "$1"; cd ~/../work; exec "$2" exec -- touch mark"#;
        let Some(ran) = on_a_small_disk(&sandbox, script) else { return };
        refused_before_the_start(&sandbox, ran, "Read-only file system");
        return;
    }
    let dir = sandbox.path("home/.local/state/kage");
    fs::create_dir_all(&dir).unwrap();
    fs::set_permissions(&dir, fs::Permissions::from_mode(0o500)).unwrap();
    let ran = sandbox.kage(["exec", "--", "touch", "mark"]).run();
    refused_before_the_start(&sandbox, ran, "Permission denied");
}

#[test]
fn a_full_disk_stops_the_run_before_the_agent_starts() {
    let sandbox = pool();
    let script = r#"
        cd ~/../work
        "$2" exec -- true
        cp "$1/state.json" before
        # In the page of the log there is room for another line.
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
    refused_before_the_start(&sandbox, ran, "No space left on device");
}

#[test]
fn a_disk_that_fills_up_under_the_agent_costs_that_run_in_the_books_and_no_other() {
    let sandbox = pool();
    // The ledger ends just before the end of its page, so that one byte of the next line still fits.
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
    // In the page of the state's log there is room for another line.
    let told: Vec<_> = said.lines().filter(|line| line.starts_with("kage: ")).collect();
    let lost = "kage: warning: this run is not in the ledger: could not write ";
    assert!(matches!(told[..], [line] if line.starts_with(lost)), "{said}");
    let lines = ran.stdout();
    let whole = |line: &&str| serde_json::from_str::<Value>(line).is_ok_and(|row| row["run"].is_string());
    assert_eq!(lines.lines().filter(whole).count(), 2, "{lines}");
    let status: Value = serde_json::from_str(&sandbox.read("work/status")).unwrap();
    for one in status["subscriptions"].as_array().unwrap() {
        assert_eq!(one["running"], 0, "{one:#}");
    }
}
