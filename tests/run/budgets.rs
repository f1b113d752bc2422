//! Budgets end to end: the cost of runs is recorded, an event warns near the budget, and a used-up budget
//! stops further runs.

// A failed unwrap is a failed test.
#![allow(clippy::unwrap_used)]

use crate::support::{CONFIG, Ran, Sandbox, wait_until};
use serde_json::{Value, json};

/// One run of the stand-in (1,240 input and 386 output tokens) costs 1.24 USD.
const PRICES: &str = "
[prices.claude-sonnet-5-5]
input = 1000
output = 0
cache_read = 0
cache_write_1h = 0
";

/// A pool whose `a` is tried first, with `more` in its config.
fn pool(more: &str) -> Sandbox {
    let sandbox = Sandbox::new();
    sandbox.config(&format!(
        "[subscriptions]\nstrategy = \"priority\"\n{PRICES}\n{more}\n[events]\ncommand = \"cat >>$HOME/events\"\n"
    ));
    sandbox.stand_in_claude();
    sandbox.add("a", &["--priority", "200"]).add("b", &["--priority", "100"]);
    sandbox
}

fn exec(sandbox: &Sandbox, flags: &[&str]) -> Ran {
    let words = [&["exec"], flags, &["--", "claude", "-p", "hi"]].concat();
    sandbox.kage(words).run()
}

/// The subscriptions that ran, in order.
fn ran(sandbox: &Sandbox) -> Vec<String> {
    let rows = sandbox.ledger();
    rows.iter().map(|row| row["subscription"].as_str().unwrap().to_owned()).collect()
}

/// The events about budgets, once there are at least `count`.
fn events(sandbox: &Sandbox, count: usize) -> Vec<Value> {
    let read = || {
        let text = sandbox.read("home/events");
        let rows = text.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
        rows.filter(|row| row["event"].as_str().unwrap().starts_with("budget")).collect::<Vec<_>>()
    };
    wait_until("the events", || read().len() >= count);
    read()
}

fn show(sandbox: &Sandbox, name: &str) -> Value {
    let shown = sandbox.kage(["sub", "show", name, "--json"]).run().success().stdout();
    serde_json::from_str(&shown).unwrap()
}

#[test]
fn a_subscription_whose_budget_is_used_up_is_skipped() {
    let sandbox = pool("");
    sandbox.kage(["sub", "set", "a", "--cost-per-day", "3"]).run().success();
    exec(&sandbox, &[]).success().says("");
    exec(&sandbox, &[]).success().says("");
    let warned = events(&sandbox, 1);
    let [warning] = &warned[..] else { panic!("{warned:?}") };
    assert_eq!((&warning["event"], &warning["subscription"]), (&json!("budget_warning"), &json!("a")));
    assert_eq!((&warning["budget"], &warning["used"]), (&json!("cost_per_day"), &json!(2.48)));
    assert_eq!(warning["most"], 3.0);
    assert!(warning["until"].as_str().unwrap().ends_with("T00:00:00Z"), "{warning}");
    exec(&sandbox, &[]).success();
    assert_eq!(ran(&sandbox), ["a", "a", "b"], "a subscription near its budget comes last");
    exec(&sandbox, &["-s", "a"]).success().says("");
    let both = events(&sandbox, 2);
    assert_eq!((both.len(), &both[1]["event"]), (2, &json!("budget_reached")));
    let why = sandbox.kage(["why"]).run().success().stdout();
    let clause = "is out of budget (3.00 USD API-equivalent per day) until ";
    assert!(why.contains(&format!("a  -  budget: it {clause}")), "{why}");
    let insisted = exec(&sandbox, &["-s", "a"]).success();
    insisted.mentions(&format!("kage: warning: `a` {clause}"));
    exec(&sandbox, &[]).success();
    assert_eq!(ran(&sandbox)[4..], ["a", "b"]);
    assert_eq!(events(&sandbox, 2).len(), 2, "a reached budget is reported once");
    let shown = show(&sandbox, "a");
    assert_eq!((&shown["cost_today_usd"], &shown["cost_this_month_usd"]), (&json!(4.96), &json!(4.96)));
    assert!(shown["prices"].as_str().unwrap().ends_with("+own"), "{shown}");
}

#[test]
fn a_namespace_has_its_own_budgets() {
    let sandbox = pool("[namespaces.backend]\ncost_per_day = 1\n");
    exec(&sandbox, &["-n", "backend"]).success().says("");
    let sent = events(&sandbox, 1);
    assert_eq!((&sent[0]["event"], &sent[0]["namespace"]), (&json!("budget_reached"), &json!("backend")));
    let clause = "namespace `backend` is out of budget (1.00 USD API-equivalent per day) until ";
    let refused = exec(&sandbox, &["-n", "backend"]).status(75).is_one_line_and_a_hint();
    let refused = refused.mentions("no subscription is ready for `backend` until ").mentions(clause);
    assert_eq!(refused.stderr().matches(clause).count(), 1, "once, and not for each subscription");
    assert!(refused.stderr().ends_with("hint: kage why -n backend\n"), "{}", refused.stderr());
    let why = sandbox.kage(["why", "-n", "backend"]).run().success().stdout();
    assert_eq!(why.matches(clause).count(), 2, "{why}");
    let why = sandbox.kage(["why", "-n", "backend", "--json"]).run().success().stdout();
    let why: Value = serde_json::from_str(&why).unwrap();
    assert_eq!(why["candidates"][0]["excluded"]["rule"], "budget");
    assert!(why["candidates"][0]["excluded"]["until"].as_str().unwrap().ends_with("T00:00:00Z"), "{why}");
    // Other work continues, and so does this namespace with `--over-budget`.
    exec(&sandbox, &["-n", "other"]).success();
    exec(&sandbox, &[]).success();
    let over = ["-n", "backend", "--over-budget"];
    exec(&sandbox, &over)
        .success()
        .mentions(&format!("kage: warning: {clause}"))
        .mentions("; running anyway (--over-budget)\n");
    let why = sandbox.kage([&["why"], &over[..]].concat()).run().success().stdout();
    assert!(why.contains("over budget") && why.ends_with("next: a\n"), "{why}");
    assert_eq!(ran(&sandbox).len(), 4);
    let known = &sandbox.state()["namespaces"]["backend"]["today"];
    assert_eq!((&known["runs"], &known["cost"]), (&json!(2), &json!(2_480_000_000_000_u64)));
}

#[test]
fn token_budgets_and_monthly_budgets_are_enforced() {
    for (flag, most, amount, until) in [
        ("--tokens-per-day", "1600", "1600 tokens per day", "T00:00:00Z"),
        ("--cost-per-month", "1.24", "1.24 USD API-equivalent per month", "-01T00:00:00Z"),
    ] {
        let sandbox = pool("");
        sandbox.kage(["sub", "set", "a", flag, most]).run().success();
        exec(&sandbox, &[]).success();
        exec(&sandbox, &[]).success();
        assert_eq!(ran(&sandbox), ["a", "b"], "{flag}");
        let why = sandbox.kage(["why"]).run().success().stdout();
        assert!(why.contains(&format!("it is out of budget ({amount})")), "{why}");
        let sent = events(&sandbox, 1);
        assert!(sent[0]["until"].as_str().unwrap().ends_with(until), "{sent:?}");
    }
}

#[test]
fn a_budget_is_not_reset_in_a_time_zone_where_it_is_still_yesterday() {
    let sandbox = pool("");
    sandbox.kage(["sub", "set", "a", "--cost-per-day", "1.24"]).run().success();
    // Zones that always differ by a day. Source: tzset(3).
    let (east, west) = ("XXX-14", "XXX+10");
    for zone in [east, west, east] {
        sandbox.kage(["exec", "--", "claude", "-p", "hi"]).env("TZ", zone).run().success();
    }
    assert_eq!(ran(&sandbox), ["a", "b", "b"]);
    for zone in [east, west] {
        let shown = sandbox.kage(["sub", "show", "a", "--json"]).env("TZ", zone).run().success().stdout();
        let shown: Value = serde_json::from_str(&shown).unwrap();
        assert_eq!((&shown["runs_today"], &shown["cost_today_usd"]), (&json!(1), &json!(1.24)), "{zone}");
    }
}

#[test]
fn tokens_without_a_price_are_shown_and_have_no_cost() {
    let sandbox = pool("");
    let text = sandbox.read(CONFIG).replace("input = 1000", "until = 2020-01-01\ninput = 1000");
    sandbox.config(&text);
    sandbox.kage(["sub", "set", "a", "--cost-per-day", "0.01"]).run().success();
    exec(&sandbox, &[]).success();
    exec(&sandbox, &[]).success();
    assert_eq!(ran(&sandbox), ["a", "a"]);
    let shown = show(&sandbox, "a");
    assert_eq!((&shown["cost_today_usd"], &shown["unpriced_tokens_today"]), (&json!(null), &json!(84_652)));
    let shown = sandbox.kage(["sub", "show", "a"]).run().success().stdout();
    assert!(shown.contains("\nCost today      unpriced (84,652 tokens, including cache)\n"), "{shown}");
}

#[test]
fn budgets_are_set_shown_and_removed() {
    let sandbox = Sandbox::new();
    sandbox.add("a", &["--cost-per-day", "5", "--cost-per-month", "99.50"]);
    assert!(sandbox.read(CONFIG).contains("cost_per_day = 5.0\ncost_per_month = 99.5\n"));
    let shown = sandbox.kage(["sub", "show", "a"]).run().success().stdout();
    assert!(shown.contains("\nCost/day        5.00 USD\nCost/month      99.50 USD\n"), "{shown}");
    assert_eq!(show(&sandbox, "a")["cost_per_month"], 99.5);
    sandbox.kage(["sub", "set", "a", "--cost-per-day", "none"]).run().success();
    assert_eq!(show(&sandbox, "a")["cost_per_day"], Value::Null);
    for odd in ["0", "-1", "five", "inf"] {
        let flag = format!("--cost-per-day={odd}");
        sandbox.kage(["sub", "set", "a", &flag]).run().status(2).mentions("an amount in US dollars");
    }
}
