//! Runs that last past midnight: the totals of the new day equal those of the ledger.
//!
//! The time zone of each test puts local midnight some seconds ahead.

use std::fs;
use std::io::{BufRead as _, BufReader};
use std::process::{Child, Command, Stdio};

use crate::support::{Sandbox, token, wait_until};
use jiff::{SignedDuration, Timestamp};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};

/// An agent whose prompt is a script: `use 7` answers once with 7 input tokens and no output tokens,
/// `wait NAME` waits for $HOME/go-NAME, `refuse` ends with a usage limit if the token says so. Other words do
/// nothing.
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
file=$HOME/.claude/projects/$(pwd | sed 's/[^A-Za-z0-9]/-/g')/$session.jsonl
mkdir -p "${file%/*}"
row() {
  now=$(date -u +%Y-%m-%dT%H:%M:%S.%3NZ)
  printf '{"type":"assistant","timestamp":"%s","requestId":"%s","isSidechain":false,%s}\n' "$now" "$1" "$2" >>"$file"
}
echo "$KAGE_SUBSCRIPTION $CLAUDE_CODE_MAX_RETRIES" >>"$HOME/retries"
set -- $prompt
while [ $# -gt 0 ]; do
  case $1 in
    use)
      usage="\"usage\":{\"input_tokens\":$2,\"output_tokens\":0}"
      row "req-$$-$#" "\"message\":{\"id\":\"msg-$$-$#\",\"model\":\"claude-sonnet-5-5\",\"content\":[],$usage}"
      ;;
    wait)
      echo $$ >"$HOME/new-$2" && mv "$HOME/new-$2" "$HOME/waits-$2"
      while [ ! -e "$HOME/go-$2" ]; do [ -e "$HOME" ] || exit; sleep 0.02; done
      ;;
    refuse)
      case $CLAUDE_CODE_OAUTH_TOKEN in *--limited)
        reset=$(($(date +%s) + 7200))
        row "req-$$-$#" "\"isApiErrorMessage\":true,\"error\":\"rate_limit\",\"apiErrorStatus\":429,\"apiError\":\"usage_limit_reached\",\"quotaLimits\":{\"status\":\"rejected\",\"resetsAt\":$reset,\"rateLimitType\":\"five_hour\"},\"message\":{\"id\":\"x\",\"model\":\"<synthetic>\",\"content\":[{\"type\":\"text\",\"text\":\"You've hit your 5-hour limit\"}],\"usage\":{}}"
        exit 1 ;;
      esac
      ;;
  esac
  shift
done
echo done
"#;

/// A token costs a tenth of a cent.
const CONFIG: &str = "
[subscriptions]
strategy = \"priority\"

[prices.claude-sonnet-5-5]
input = 1000
output = 0
";

/// Runs `act` before midnight, then waits for midnight. If `act` took too long, tries again with a later
/// midnight.
fn before_midnight<T>(act: impl Fn(&Night) -> T) -> (Night, T) {
    for seconds in [3, 6, 12, 24] {
        let night = Night::new(SignedDuration::from_secs(seconds));
        let acted = act(&night);
        if !night.is_over() {
            wait_until("midnight", || night.is_over());
            return (night, acted);
        }
    }
    panic!("the machine is too slow for this test");
}

/// A pool around a midnight.
struct Night {
    sandbox: Sandbox,
    zone: String,
    midnight: Timestamp,
}

impl Night {
    /// `two` is chosen first, and hits its limit on `refuse`.
    fn new(until_midnight: SignedDuration) -> Self {
        let sandbox = Sandbox::new();
        sandbox.config(CONFIG);
        sandbox.program("claude", AGENT);
        sandbox.add("one", &[]).add_with("two", "two--limited", &["--priority", "200"]);
        let midnight = Timestamp::from_second((Timestamp::now() + until_midnight).as_second()).unwrap();
        // A zone this far ahead of UTC has its midnight then. Source: tzset(3).
        let ahead = (-midnight.as_second()).rem_euclid(24 * 3600);
        let zone = format!("XXX-{:02}:{:02}:{:02}", ahead / 3600, ahead / 60 % 60, ahead % 60);
        Self { sandbox, zone, midnight }
    }

    fn kage(&self, words: &[&str]) -> crate::support::Call {
        self.sandbox.kage(words).env("TZ", &self.zone)
    }

    fn command(&self, flags: &[&str], script: &str) -> Command {
        let words = [&["exec", "-n", "backend"], flags, &["--", "claude", "-p", script]].concat();
        let mut command = self.kage(&words).command;
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
        command
    }

    /// Starts a run and waits until its agent waits for `name`.
    fn start(&self, flags: &[&str], script: &str, name: &str) -> Child {
        let kage = self.command(flags, script).spawn().unwrap();
        wait_until(name, || self.sandbox.path(&format!("home/waits-{name}")).exists());
        kage
    }

    fn run(&self, flags: &[&str], script: &str) {
        check_success(self.command(flags, script).spawn().unwrap());
    }

    fn go(&self, name: &str) {
        fs::write(self.sandbox.path(&format!("home/go-{name}")), "").unwrap();
    }

    /// Continues the agent that waits for `name`, and waits for its end without running kage.
    fn end_without_kage(&self, name: &str) {
        let pid = self.sandbox.read(&format!("home/waits-{name}"));
        self.go(name);
        wait_until("the agent's end", || {
            let listed = Command::new("ps").args(["-o", "stat=", "-p", pid.trim()]).output().unwrap();
            let state = String::from_utf8(listed.stdout).unwrap();
            state.trim().is_empty() || state.starts_with('Z')
        });
    }

    fn is_over(&self) -> bool {
        Timestamp::now() >= self.midnight
    }

    fn json(&self, words: &[&str]) -> Value {
        serde_json::from_str(&self.kage(words).run().success().says("").stdout()).unwrap()
    }

    /// The totals of a subscription: runs and tokens today, and thousandths of a dollar today and this month.
    fn totals(&self, name: &str) -> [u64; 4] {
        let shown = self.json(&["subscription", "show", name, "--json"]);
        [
            shown["runs_today"].as_u64().unwrap(),
            shown["tokens_today"].as_u64().unwrap(),
            thousandths(&shown["cost_today_usd"]),
            thousandths(&shown["cost_this_month_usd"]),
        ]
    }

    fn totals_of_namespace(&self) -> [u64; 4] {
        let state = self.sandbox.state();
        let known = &state["namespaces"]["backend"];
        let picodollars = |cost: &Value| cost.as_u64().unwrap_or(0) / 1_000_000_000;
        [
            known["today"]["runs"].as_u64().unwrap(),
            known["today"]["tokens"]["input_tokens"].as_u64().unwrap_or(0),
            picodollars(&known["today"]["cost"]),
            picodollars(&known["month"]["cost"]),
        ]
    }

    /// The same totals according to the ledger.
    fn in_ledger(&self, by: &str, name: &str) -> [u64; 4] {
        let row = |period: &str| {
            let usage = self.json(&["usage", "--json", "--period", period, "--by", by]);
            let rows = usage["rows"].as_array().unwrap();
            rows.iter().find(|row| row[by] == name).cloned().unwrap_or_default()
        };
        let (today, month) = (row("today"), row("month"));
        let number = |value: &Value| value.as_u64().unwrap_or(0);
        let costs = [&today, &month].map(|row| thousandths(&row["cost_usd"]));
        [number(&today["attempts"]), number(&today["tokens"]), costs[0], costs[1]]
    }

    fn check_totals_equal_the_ledger(&self) {
        for name in ["one", "two"] {
            assert_eq!(self.totals(name), self.in_ledger("subscription", name), "{name}");
        }
        assert_eq!(self.totals_of_namespace(), self.in_ledger("namespace", "backend"));
    }

    fn tokens_today(&self) -> [u64; 2] {
        ["one", "two"].map(|name| self.totals(name)[1])
    }
}

#[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a few dollars")]
fn thousandths(dollars: &Value) -> u64 {
    (dollars.as_f64().unwrap_or(0.0) * 1000.0).round() as u64
}

fn check_success(kage: Child) {
    let ended = kage.wait_with_output().unwrap();
    assert!(ended.status.success(), "{}: {}", ended.status, String::from_utf8_lossy(&ended.stderr));
}

fn kill(mut kage: Child) {
    kill_process(Pid::from_child(&kage), Signal::KILL).unwrap();
    kage.wait().unwrap();
}

#[test]
fn a_killed_run_that_is_booked_late_removes_nothing_from_the_new_day() {
    let (night, old) = before_midnight(|night| {
        let old = night.start(&[], "wait old refuse use 4", "old");
        kill(night.start(&["-s", "one"], "use 7 wait killed", "killed"));
        old
    });
    night.run(&["-s", "one"], "use 100");
    night.end_without_kage("killed");
    // Refused on `two`, it continues on `one`, and books the killed run before that.
    night.go("old");
    check_success(old);
    assert_eq!(night.sandbox.state()["lost"], Value::Null);
    assert_eq!(night.tokens_today(), [104, 0]);
    night.check_totals_equal_the_ledger();
}

#[test]
fn a_killed_run_that_is_booked_first_starts_the_totals_of_the_new_day() {
    let (night, old) = before_midnight(|night| {
        let old = night.start(&[], "wait old refuse use 4", "old");
        kill(night.start(&["-s", "one"], "use 7 wait killed use 20", "killed"));
        old
    });
    night.end_without_kage("killed");
    night.go("old");
    check_success(old);
    assert_eq!(night.sandbox.state()["lost"], Value::Null);
    night.run(&["-s", "one"], "use 100");
    assert_eq!(night.tokens_today(), [124, 0], "usage after midnight counts for the new day");
    assert_eq!(night.totals_of_namespace()[..3], [2, 124, 124]);
}

#[test]
fn a_run_that_continues_after_midnight_sees_reset_budgets() {
    let (night, old) = before_midnight(|night| {
        night.sandbox.add("three", &["--priority", "50", "--tokens-per-day", "5"]);
        night.run(&["-s", "three"], "use 7");
        night.start(&[], "wait old refuse use 4", "old")
    });
    night.go("old");
    check_success(old);
    // kage limits claude's own retries if another subscription is ready.
    assert_eq!(night.sandbox.read("home/retries"), "three 2\ntwo 2\none 2\n");
}

#[test]
fn usage_after_midnight_of_an_older_run_counts_for_the_new_day() {
    let (night, (long, moves)) = before_midnight(|night| {
        let long = night.start(&["-s", "one"], "use 7 wait long use 20", "long");
        (long, night.start(&[], "wait moves refuse use 4", "moves"))
    });
    night.run(&["-s", "one"], "use 100");
    night.go("moves");
    check_success(moves);
    assert_eq!(night.tokens_today(), [104, 0]);
    night.check_totals_equal_the_ledger();
    night.go("long");
    check_success(long);
    assert_eq!(night.tokens_today(), [124, 0]);
    assert_eq!(night.totals("one")[0], 2, "two attempts started on the new day");
    assert_eq!(night.totals_of_namespace()[..3], [2, 124, 124]);
}

#[test]
fn a_run_that_waits_past_midnight_counts_for_the_new_day() {
    let (night, kage) = before_midnight(|night| {
        night.kage(&["subscription", "set", "one", "--tokens-per-day", "5"]).run().success();
        night.run(&["-s", "one"], "use 7");
        waiting(night, &["-s", "one"], "use 3")
    });
    check_success(kage);
    assert_eq!(night.totals("one")[..3], [1, 3, 3]);
    night.check_totals_equal_the_ledger();
}

#[test]
fn a_waiting_run_that_books_a_killed_one_removes_nothing_from_the_new_day() {
    let (night, (holder, kage)) = before_midnight(|night| {
        night.kage(&["subscription", "set", "two", "--max-parallel", "1"]).run().success();
        let holder = night.start(&["-s", "two"], "use 1 wait holder", "holder");
        let kage = waiting(night, &["-s", "two"], "use 3");
        kill(night.start(&["-s", "one"], "use 7 wait killed", "killed"));
        (holder, kage)
    });
    night.run(&["-s", "one"], "use 100");
    night.end_without_kage("killed");
    night.go("holder");
    check_success(holder);
    check_success(kage);
    assert_eq!(night.sandbox.state()["lost"], Value::Null);
    assert_eq!(night.tokens_today(), [100, 3]);
    night.check_totals_equal_the_ledger();
}

/// Starts a run that finds no ready subscription and waits.
fn waiting(night: &Night, flags: &[&str], script: &str) -> Child {
    let mut kage = night.command(&[flags, &["--wait"]].concat(), script).spawn().unwrap();
    let mut stderr = BufReader::new(kage.stderr.take().unwrap());
    let mut said = String::new();
    stderr.read_line(&mut said).unwrap();
    assert!(said.ends_with("; waiting\n") || night.is_over(), "{said}");
    kage.stderr = Some(stderr.into_inner());
    kage
}

#[test]
fn a_run_of_yesterday_that_never_started_does_not_count_today() {
    // The first call of the command waits and then fails; later calls print the token.
    let command = "mkdir ~/asked 2>/dev/null || { echo TOKEN; exit; }; touch ~/waits-secret; \
                 while [ ! -e ~/go-secret ]; do [ -e ~ ] || exit; sleep 0.02; done; exit 1"
        .replace("TOKEN", &token("three--ok"));
    let (night, kage) = before_midnight(|night| {
        let pool = night.sandbox.read(crate::support::CONFIG);
        let three = format!("[subscriptions.pool.three.credential]\ncommand = {}\n", json!(command));
        night.sandbox.config(&format!("{pool}\n{three}"));
        night.start(&["-s", "three"], "use 1", "secret")
    });
    night.run(&["-s", "three"], "use 100");
    night.go("secret");
    assert_eq!(kage.wait_with_output().unwrap().status.code(), Some(125));
    assert_eq!(night.totals("three"), [1, 100, 100, 100]);
    assert_eq!(night.totals("three"), night.in_ledger("subscription", "three"));
    assert_eq!(night.totals_of_namespace(), [1, 100, 100, 100]);
}
