//! A pool in which runs have put each subscription into a different state, and every verb that reports on it.

use crate::golden_file::{GoldenFile, check, within_an_hour};
use crate::support::Sandbox;

const CONFIG: &str = r#"
[subscriptions]
strategy = "priority"
rate_limit_window = "1h"

[subscriptions.routing]
high = ["limited", "weekly"]

[subscriptions.pool]
broken = { credential = { command = "exit 3" } }
homemade = { credential = { command = "echo sk-ant-oat01-invented-homemade--ok" }, priority = 20 }
idle = { credential = { from = "file" }, tags = ["ui"], priority = 0 }
limited = { credential = { command = "echo sk-ant-oat01-invented-limited--five" }, priority = 200 }
near = { credential = { command = "echo sk-ant-oat01-invented-near--ok" }, cost_per_day = 0.03, cost_per_month = 9 }
off = { credential = { command = "echo sk-ant-oat01-invented-off--ok" }, enabled = false, max_parallel = 2 }
opus = { credential = { command = "echo sk-ant-oat01-invented-opus--opus" }, priority = 90 }
plus = { agent = "codex", credential = { home = "~/.codex-plus" } }
refused = { credential = { command = "echo sk-ant-oat01-invented-refused--organisation" } }
requests = { credential = { command = "echo sk-ant-oat01-invented-requests--ok" }, requests_per_window = 1 }
spent = { credential = { command = "echo sk-ant-oat01-invented-spent--ok" }, tokens_per_day = 46 }
throttled = { credential = { command = "echo sk-ant-oat01-invented-throttled--ok" } }
weekly = { credential = { command = "echo sk-ant-oat01-invented-weekly--seven" }, priority = 150 }

[namespaces.backend]
cost_per_day = 100

[namespaces.costly]
tokens_per_day = 10

[prices.claude-sonnet-5-5]
input = 2000
output = 100

[failover]
throttle_wait = "1ms"

[[agents.claude.markers]]
kind = "throttled"
pattern = "Slow down"
reset = "1h"

[events]
command = "cat >>$HOME/events"
"#;

const NAMES: [&str; 13] = [
    "broken",
    "homemade",
    "idle",
    "limited",
    "near",
    "off",
    "opus",
    "plus",
    "refused",
    "requests",
    "spent",
    "throttled",
    "weekly",
];

/// `homemade` uses a model without a price, and `throttled` prints a marker of the config.
fn sandbox() -> Sandbox {
    let sandbox = Sandbox::new();
    sandbox.config(CONFIG);
    let agent = include_str!("../support/agent.sh").replace("claude-sonnet-5-5", "$used");
    let used = "used=claude-sonnet-5-5; [ $KAGE_SUBSCRIPTION = homemade ] && used=homemade-1\n\
        [ $KAGE_SUBSCRIPTION = throttled ] && sleep 0.01 && echo 'Slow down' && exit 1\nbehavior=";
    sandbox.program("claude", &agent.replacen("behavior=", used, 1));
    sandbox
}

fn run_all(file: &mut GoldenFile, sandbox: &Sandbox) {
    let lines = "--output-format stream-json";
    for line in [
        format!("exec -s limited --retries 0 -- claude -p hi {lines}"),
        format!("exec -s weekly --retries 0 -p high -- claude -p hi {lines}"),
        "exec -s opus -- claude -p hi".to_owned(),
        "exec -s refused -- claude -p hi --output-format json".to_owned(),
        "exec -s throttled --retries 0 -- claude -p hi".to_owned(),
        "exec -s near -n backend -- claude -p hi".to_owned(),
        "exec -s spent -n costly -p batch -- claude -p hi".to_owned(),
        "exec -s spent -- claude -p hi".to_owned(),
        "exec -s homemade -- claude -p hi".to_owned(),
        "exec -s requests -- claude -p hi".to_owned(),
        "exec -n costly -- claude -p hi".to_owned(),
        "exec -s broken -- claude -p hi".to_owned(),
        "exec -s broken -- claude -p hi".to_owned(),
        "exec -s broken -- claude -p hi".to_owned(),
        "exec -p high -- claude -p hi".to_owned(),
    ] {
        file.kage(sandbox, &line);
    }
}

fn scenario() -> Vec<GoldenFile> {
    let sandbox = sandbox().in_the_morning();
    let names = ["pool-runs", "pool-status", "pool-show", "pool-why", "pool-usage", "pool-stored"];
    let [mut runs, mut status, mut show, mut why, mut usage, mut stored] =
        names.map(|name| GoldenFile::new(name, &sandbox));
    run_all(&mut runs, &sandbox);
    for line in [
        "status --json",
        "status --format json",
        "status --format tmux",
        "status --format tmux -s limited",
        "subscription status --json",
        "subscription list --json",
    ] {
        status.kage(&sandbox, line);
    }
    for word in ["active", "rate_limited", "exhausted", "disabled", "unhealthy"] {
        status.kage(&sandbox, &format!("subscription list --status {word} --json"));
    }
    for name in NAMES {
        show.kage(&sandbox, &format!("subscription show {name} --json"));
    }
    for flags in ["", " -n costly", " -n costly --over-budget"] {
        why.kage(&sandbox, &format!("why{flags} --json"));
    }
    for line in ["ps --json", "usage --json", "usage --period today --by namespace,model --json"] {
        usage.kage(&sandbox, line);
    }
    stored.stored(&sandbox).events(&sandbox);
    vec![runs, status, show, why, usage, stored]
}

#[test]
fn a_pool_in_every_state_is_reported_as_before() {
    check(&within_an_hour(scenario));
}
