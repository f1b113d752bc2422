//! Many concurrent runs on one pool: no run is lost or counted twice, and the work is shared as configured.

// A failed unwrap is a failed test.
#![allow(clippy::unwrap_used)]

use std::collections::BTreeMap;
use std::process::{Child, Output, Stdio};

use crate::support::Sandbox;
use serde_json::Value;

const CROWD: usize = 200;
/// An agent that logs its start and end. One `echo` is one append, so the log is in the order of events. Both
/// lines are written while the lease is held, so runs that overlap in the log have leases that overlap.
const LOGGED: &str = "#!/bin/sh\n\
    echo \"start $KAGE_SUBSCRIPTION\" >>\"$HOME/log\"\n\
    PAUSE\n\
    echo \"end $KAGE_SUBSCRIPTION\" >>\"$HOME/log\"\n";

fn pool(priorities: &[u8], flags: &[&str]) -> Sandbox {
    let sandbox = Sandbox::new();
    for (name, priority) in ["one", "two", "three", "four"].into_iter().zip(priorities) {
        let priority = priority.to_string();
        sandbox.add(name, &[&["--priority", priority.as_str()], flags].concat());
    }
    sandbox
}

/// An agent on the sandbox's PATH that logs its run around a pause.
fn logged_agent(sandbox: &Sandbox, pause: &str) -> &'static str {
    sandbox.program("worker", &LOGGED.replace("PAUSE", pause));
    "worker"
}

/// Starts all runs at the same time, then waits for all.
fn crowd(sandbox: &Sandbox, agent: &str) -> Vec<Output> {
    let start = |_| {
        let mut command = sandbox.kage(["exec", "--", agent]).command;
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
    };
    let children: Vec<Child> = (0..CROWD).map(start).collect();
    children.into_iter().map(|child| child.wait_with_output().unwrap()).collect()
}

fn all_succeed(outputs: &[Output]) {
    for output in outputs {
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success() && said.is_empty(), "{}: {said}", output.status);
    }
}

/// Checks state and ledger after `runs` runs: no lease is left, and all numbers agree. Returns the number of
/// runs of each subscription.
fn check_settled(sandbox: &Sandbox, runs: usize) -> BTreeMap<String, usize> {
    assert_eq!(sandbox.state()["leases"], Value::Null, "a lease was left");
    let mut by_name = BTreeMap::new();
    for row in sandbox.ledger() {
        *by_name.entry(row["subscription"].as_str().unwrap().to_owned()).or_insert(0) += 1;
    }
    assert_eq!(by_name.values().sum::<usize>(), runs, "rows in the ledger: {by_name:?}");
    let status = sandbox.status();
    for one in status["subscriptions"].as_array().unwrap() {
        let known = by_name.get(one["name"].as_str().unwrap()).copied().unwrap_or(0);
        assert_eq!(one["runs_today"], known, "{one:#}");
        assert_eq!(one["running"], 0, "{one:#}");
    }
    by_name
}

/// Checks that each share differs from its fair part by at most a tenth.
fn assert_shares(by_name: &BTreeMap<String, usize>, weights: &[(&str, usize)]) {
    let whole: usize = weights.iter().map(|(_, weight)| weight).sum();
    for (name, weight) in weights {
        let runs = by_name.get(*name).copied().unwrap_or(0);
        // Compares runs / CROWD with weight / whole, in integers.
        let (got, fair) = (runs * whole, CROWD * weight);
        assert!(got.abs_diff(fair) <= fair / 10, "{name} ran {runs}: {by_name:?}");
    }
}

/// The highest number of concurrent runs in the log: in total, and for each subscription.
fn peaks(log: &str) -> (usize, BTreeMap<&str, usize>) {
    let mut now: BTreeMap<&str, usize> = BTreeMap::new();
    let mut peaks = BTreeMap::new();
    let mut peak = 0;
    for line in log.lines() {
        match line.split_once(' ') {
            Some(("start", name)) => {
                let running = now.entry(name).or_default();
                *running += 1;
                let known = peaks.entry(name).or_insert(0);
                *known = (*running).max(*known);
            }
            Some(("end", name)) => *now.get_mut(name).expect("a run starts before it ends") -= 1,
            _ => panic!("a torn line in the log: {line:?}"),
        }
        peak = now.values().sum::<usize>().max(peak);
    }
    assert!(now.values().all(|&running| running == 0), "an agent did not end: {now:?}");
    (peak, peaks)
}

#[test]
fn a_crowd_on_equal_subscriptions_is_shared_equally() {
    let sandbox = pool(&[100; 4], &[]);
    all_succeed(&crowd(&sandbox, "true"));
    let equal = [("one", 1), ("two", 1), ("three", 1), ("four", 1)];
    assert_shares(&check_settled(&sandbox, CROWD), &equal);
}

#[test]
fn a_crowd_is_shared_in_proportion_to_priority() {
    let sandbox = pool(&[150, 100, 50], &[]);
    all_succeed(&crowd(&sandbox, "true"));
    assert_shares(&check_settled(&sandbox, CROWD), &[("one", 150), ("two", 100), ("three", 50)]);
}

#[test]
fn slow_agents_overlap_and_are_still_shared_in_proportion() {
    // Ten to ninety milliseconds, depending on the process id.
    let pause = "sleep \"0.0$(($$ % 9 + 1))\"";
    for (priorities, weights) in [
        ([100; 4].as_slice(), [("one", 1), ("two", 1), ("three", 1), ("four", 1)].as_slice()),
        (&[150, 100, 50], &[("one", 150), ("two", 100), ("three", 50)]),
    ] {
        let sandbox = pool(priorities, &[]);
        all_succeed(&crowd(&sandbox, logged_agent(&sandbox, pause)));
        let (peak, _) = peaks(&sandbox.read("home/log"));
        assert!(peak > 1, "nothing overlapped");
        assert_shares(&check_settled(&sandbox, CROWD), weights);
    }
}

#[test]
fn max_parallel_is_reached_and_never_exceeded() {
    let sandbox = pool(&[100; 4], &["--max-parallel", "2"]);
    // The first eight wait for each other (for at most ten seconds), so that all places are taken once.
    let pause = "tries=0\n\
        until [ \"$(grep -c start \"$HOME/log\")\" -ge 8 ] || [ $tries -ge 1000 ]; do\n\
        sleep 0.01; tries=$((tries + 1))\n\
        done";
    let outputs = crowd(&sandbox, logged_agent(&sandbox, pause));
    let (ran, refused): (Vec<_>, Vec<_>) = outputs.into_iter().partition(|output| output.status.success());
    for output in &refused {
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(75), "{said}");
        assert!(said.starts_with("kage: no subscription"), "{said}");
    }
    let log = sandbox.read("home/log");
    let (peak, by_name) = peaks(&log);
    assert_eq!(peak, 8, "{by_name:?}");
    assert!(by_name.len() == 4 && by_name.values().all(|&peak| peak == 2), "{by_name:?}");
    assert_eq!(log.lines().count(), 2 * ran.len());
    check_settled(&sandbox, ran.len());
}

#[test]
fn sequential_runs_are_shared_exactly() {
    let sandbox = pool(&[150, 100, 50], &[]);
    for _ in 0..300 {
        sandbox.kage(["exec", "--", "true"]).run().success();
    }
    let exact = [("one", 150), ("two", 100), ("three", 50)].map(|(name, runs)| (name.to_owned(), runs));
    assert_eq!(check_settled(&sandbox, 300), BTreeMap::from(exact));
}

#[test]
fn equal_subscriptions_take_turns_in_a_fixed_order() {
    let sandbox = pool(&[100; 4], &[]);
    for _ in 0..60 {
        sandbox.kage(["exec", "--", "true"]).run().success();
    }
    let ledger = sandbox.ledger();
    let order: Vec<_> = ledger.iter().map(|row| row["subscription"].as_str().unwrap()).collect();
    let round = &order[..4];
    assert_eq!(round.iter().collect::<std::collections::BTreeSet<_>>().len(), 4, "{round:?}");
    assert!(order.chunks(4).all(|turn| turn == round), "{order:?}");
}

#[test]
fn runs_with_merged_settings_leave_each_others_files_alone() {
    let sandbox = pool(&[100; 4], &[]);
    // The agent reads its settings late, when the next runs have started.
    sandbox.program("claude", "#!/bin/sh\nsleep 0.05\nfor word; do case $word in *.json) cat \"$word\" >/dev/null || exit 3;; esac; done\n");
    sandbox.write("work/mine.json", "{\"env\":{\"ANTHROPIC_API_KEY\":\"sk-ant-api03-other\"}}");
    let start = |_| {
        let words = ["exec", "--quiet", "--", "claude", "--settings", "mine.json", "-p", "hi"];
        let mut command = sandbox.kage(words).command;
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
    };
    let children: Vec<Child> = (0..100).map(start).collect();
    let outputs: Vec<_> = children.into_iter().map(|child| child.wait_with_output().unwrap()).collect();
    all_succeed(&outputs);
    let left = std::fs::read_dir(sandbox.path("home/.local/state/kage/settings")).unwrap().count();
    assert_eq!(left, 0, "a settings file was left");
}
