//! Runs whose kage is killed at any time: the agent's usage is in the ledger exactly once.

// A failed unwrap is a failed test.
#![allow(clippy::unwrap_used)]

use std::collections::BTreeMap;
use std::fs;
use std::io::Read as _;
use std::process::Stdio;
use std::thread;
use std::time::Duration;

use crate::dice::{Dice, seed};
use crate::support::{Sandbox, wait_until};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

/// An agent that answers once, with the number of tokens in its prompt, and appends `SESSION TOKENS` to
/// $HOME/answered. After `limited` it is then refused; after `lasting` it waits for $HOME/end.
const AGENT: &str = r#"#!/bin/sh
while [ $# -gt 0 ]; do
  case $1 in
    --session-id | --resume) session=$2; shift ;;
    --settings | --output-format | --model) shift ;;
    -*) ;;
    *) prompt="$prompt $1" ;;
  esac
  shift
done
set -- $prompt
how=plain
case $1 in limited | lasting) how=$1; shift ;; esac
file=$HOME/.claude/projects/$(pwd | sed 's/[^A-Za-z0-9]/-/g')/$session.jsonl
mkdir -p "${file%/*}"
now=$(date -u +%Y-%m-%dT%H:%M:%S.%3NZ)
row() { printf '{"type":"assistant","timestamp":"%s","requestId":"req-%s","isSidechain":false,%s}\n' "$now" "$1" "$2" >>"$file"; }
usage="\"usage\":{\"input_tokens\":$1,\"output_tokens\":1}"
message="\"message\":{\"id\":\"msg-$session-$1\",\"model\":\"claude-sonnet-5-5\",\"content\":[],$usage}"
row "$session-$1" "$message"
row "$session-$1" "$message"
echo "$session $1" >>"$HOME/answered"
if [ $how = lasting ]; then
  while [ ! -e "$HOME/end" ]; do sleep 0.02; done
  row "$session-more" "\"message\":{\"id\":\"msg-$session-more\",\"model\":\"claude-sonnet-5-5\",\"content\":[],$usage}"
  touch "$HOME/ended"
fi
if [ $how = limited ]; then
  reset=$(($(date +%s) + 7200))
  row "$session-refused" "\"isApiErrorMessage\":true,\"error\":\"rate_limit\",\"apiErrorStatus\":429,\"apiError\":\"usage_limit_reached\",\"quotaLimits\":{\"status\":\"rejected\",\"resetsAt\":$reset,\"rateLimitType\":\"five_hour\"},\"message\":{\"id\":\"x\",\"model\":\"<synthetic>\",\"content\":[{\"type\":\"text\",\"text\":\"You've hit your 5-hour limit\"}],\"usage\":{}}"
  touch "$HOME/ended"
  while [ ! -e "$HOME/end" ]; do sleep 0.02; done
fi
echo "$session"
"#;

fn pool() -> Sandbox {
    let sandbox = Sandbox::new();
    sandbox.add("one", &[]).add("two", &[]);
    sandbox.program("claude", AGENT);
    sandbox
}

/// Starts a run with a prompt for [`AGENT`].
fn start(sandbox: &Sandbox, prompt: &str) -> std::process::Child {
    let mut command = sandbox.kage(["exec", "-q", "--", "claude", "-p", prompt]).command;
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap()
}

fn kill(pid: u32) {
    // The process may have ended already.
    let _ = kill_process(Pid::from_raw(i32::try_from(pid).unwrap()).unwrap(), Signal::KILL);
}

/// The sessions that were answered, with their tokens.
fn answered(sandbox: &Sandbox) -> BTreeMap<String, u64> {
    let text = sandbox.read("home/answered");
    let one = |line: &str| {
        let (session, tokens) = line.split_once(' ').unwrap();
        (session.to_owned(), tokens.parse().unwrap())
    };
    text.lines().map(one).collect()
}

/// The sessions in the ledger, with the tokens of each of their rows.
fn booked(sandbox: &Sandbox) -> BTreeMap<String, Vec<u64>> {
    let mut booked = BTreeMap::<_, Vec<_>>::new();
    for line in sandbox.ledger() {
        let Some(session) = line["session"].as_str() else { continue };
        let tokens = &line["models"]["claude-sonnet-5-5"]["input_tokens"];
        booked.entry(session.to_owned()).or_default().push(tokens.as_u64().unwrap_or(0));
    }
    booked
}

const LANES: u64 = 4;
const ROUNDS: u64 = 125;

#[test]
fn each_of_500_runs_with_kages_killed_at_any_time_is_in_the_ledger_once() {
    let sandbox = pool();
    let seed = seed();
    let lane = |lane: u64| {
        let mut dice = Dice::new(seed ^ (lane << 32));
        for round in 0..ROUNDS {
            let mut kage = start(&sandbox, &(1 + lane * ROUNDS + round).to_string());
            match dice.below(3) {
                0 => {} // not killed
                1 => {
                    dice.pause(Duration::from_millis(60));
                    kill(kage.id());
                }
                _ => {
                    // Killed while it settles: the agent ends right after its answer.
                    let mut output = kage.stdout.take().unwrap();
                    let expected = (1 + lane * ROUNDS + round).to_string();
                    wait_until("an answer", || answered_with(&sandbox, &expected));
                    dice.pause(Duration::from_millis(8));
                    kill(kage.id());
                    output.read_to_end(&mut Vec::new()).unwrap();
                }
            }
            kage.wait().unwrap();
        }
    };
    thread::scope(|scope| {
        (0..LANES).for_each(|at| drop(scope.spawn(move || lane(at))));
    });
    // An agent whose kage was just killed may still be writing.
    wait_until("all killed runs are booked", || {
        sandbox.kage(["exec", "--", "true"]).run().success().says("");
        sandbox.state()["lost"] == Value::Null
    });
    let (answered, booked) = (answered(&sandbox), booked(&sandbox));
    assert!(answered.len() > 300, "{} answered", answered.len());
    for (session, tokens) in &answered {
        assert_eq!(booked.get(session), Some(&vec![*tokens]), "{session}");
    }
    for (session, lines) in &booked {
        assert!(answered.contains_key(session) || *lines == [0], "{session}: {lines:?}");
    }
    let killed = sandbox.ledger().iter().filter(|line| line["exit"] == Value::Null).count();
    assert!(killed > 10, "only {killed} were recovered");
    println!("{} answered, {killed} of them booked by a later kage", answered.len());
}

fn answered_with(sandbox: &Sandbox, tokens: &str) -> bool {
    sandbox.read("home/answered").lines().any(|line| line.split_once(' ').is_some_and(|(_, is)| is == tokens))
}

#[test]
fn a_run_without_its_kage_is_booked_when_its_agent_has_ended() {
    let sandbox = pool();
    let mut kage = start(&sandbox, "lasting 7");
    wait_until("an answer", || answered_with(&sandbox, "7"));
    kill(kage.id());
    kage.wait().unwrap();
    for verb in [["status", "--json"], ["usage", "--json"], ["ps", "--json"]] {
        sandbox.kage(verb).run().success();
    }
    sandbox.kage(["exec", "--", "true"]).run().success();
    assert_eq!(booked(&sandbox).len(), 0, "the agent has not ended");

    fs::write(sandbox.path("home/end"), "").unwrap();
    wait_until("the agent's end", || sandbox.path("home/ended").exists());
    wait_until("the run is booked", || {
        sandbox.kage(["status"]).run().success().says("");
        !booked(&sandbox).is_empty()
    });
    let line = sandbox.ledger().into_iter().find(|line| line["session"].is_string()).unwrap();
    assert_eq!((&line["verdict"], &line["exit"]), (&"interrupted".into(), &Value::Null), "{line:#}");
    assert_eq!(line["models"]["claude-sonnet-5-5"]["input_tokens"], 14);
    let name = line["subscription"].as_str().unwrap();
    assert_eq!(sandbox.status_of(name)["tokens_today"], 16, "input and output of both answers");
    sandbox.kage(["usage", "--json"]).run().success();
    assert_eq!(booked(&sandbox).values().flatten().count(), 1);
}

#[test]
fn usage_that_a_killed_kage_did_not_book_counts_against_the_budget_of_the_next_run() {
    let sandbox = pool();
    for name in ["one", "two"] {
        sandbox.kage(["subscription", "set", name, "--tokens-per-day", "5"]).run().success();
    }
    sandbox.kage(["subscription", "disable", "two"]).run().success();
    let mut kage = start(&sandbox, "lasting 7");
    wait_until("an answer", || answered_with(&sandbox, "7"));
    kill(kage.id());
    kage.wait().unwrap();
    fs::write(sandbox.path("home/end"), "").unwrap();
    wait_until("the agent's end", || sandbox.path("home/ended").exists());
    wait_until("the budget is used up", || {
        sandbox.kage(["exec", "--", "true"]).run().output.status.code() == Some(75)
    });
    assert_eq!(sandbox.ledger().iter().filter(|line| line["session"].is_string()).count(), 1);
}

#[test]
fn a_limit_that_a_killed_kage_did_not_book_is_booked_by_the_next() {
    let sandbox = pool();
    let mut kage = start(&sandbox, "limited 7");
    wait_until("the refusal", || sandbox.path("home/ended").exists());
    kill(kage.id());
    kage.wait().unwrap();
    fs::write(sandbox.path("home/end"), "").unwrap();
    wait_until("the run is booked", || {
        sandbox.kage(["status"]).run().success().says("");
        !booked(&sandbox).is_empty()
    });
    let line = sandbox.ledger().remove(0);
    assert_eq!(line["verdict"], "usage_limit");
    assert_eq!(sandbox.status_of(line["subscription"].as_str().unwrap())["status"], "rate_limited");
}

#[test]
fn thousands_of_lost_runs_are_handled_in_bounded_time() {
    let sandbox = pool();
    let mut kage = start(&sandbox, "lasting 7");
    wait_until("an answer", || answered_with(&sandbox, "7"));
    let mut state = sandbox.state();
    let own = state["leases"][0].clone();
    // Leases of processes that cannot exist, whose sessions have no transcripts.
    let lost = |at: usize| {
        let mut lease = own.clone();
        (lease["id"], lease["pid"]) = (format!("{at:016x}").into(), (5_000_000 + at).into());
        lease["record"]["session"] = format!("00000000-0000-4000-8000-{at:012x}").into();
        lease
    };
    state["leases"] = (0..2_000).map(lost).chain([own.clone()]).collect();
    sandbox.write(
        "home/.local/state/kage/state.json",
        &serde_json::json!({ "version": 1, "state": state }).to_string(),
    );
    let begun = std::time::Instant::now();
    wait_until("no lost lease is left", || {
        sandbox.kage(["status"]).run().success().says("");
        sandbox.state()["lost"].is_null()
    });
    assert!(begun.elapsed() < Duration::from_secs(20), "handling them took {:?}", begun.elapsed());
    assert_eq!(sandbox.state()["leases"], serde_json::json!([own]), "the running agent keeps its lease");
    fs::write(sandbox.path("home/end"), "").unwrap();
    assert!(kage.wait().unwrap().success());
    assert_eq!(booked(&sandbox).len(), 1);
}
