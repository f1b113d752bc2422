//! How `exec` ends after a refusal: on `a` the agent behaves as the row says, on `b` it answers.

use rustix::process::Signal;

use super::{Row, Table};
use crate::support::{CONFIG, Sandbox};

fn member(name: &str, behavior: &str, priority: u8) -> String {
    let token = format!("sk-ant-oat01-invented-{name}--{behavior}");
    format!("{name} = {{ credential = {{ command = \"echo {token}\" }}, priority = {priority} }}\n")
}

fn pool(behavior: &str) -> Sandbox {
    let sandbox = Sandbox::new();
    let members = member("a", behavior, 200) + &member("b", "ok", 100);
    let strategy = "[subscriptions]\nstrategy = \"priority\"\n[subscriptions.pool]";
    sandbox.config(&format!("[failover]\nthrottle_wait = \"1ms\"\n{strategy}\n{members}"));
    sandbox.program("claude", include_str!("../../support/agent.sh"));
    sandbox
}

pub(super) fn rows() -> Vec<Row> {
    let mut rows = Vec::new();
    for (situation, behavior, line) in [
        ("refused: the next subscription answers", "five", "exec -- claude -p hi"),
        ("refused: the next subscription continues", "work+organisation", "exec -- claude -p hi"),
        ("refused: --retries 0", "five", "exec --retries 0 -- claude -p hi"),
        ("refused: -s", "auth", "exec -s a -- claude -p hi"),
        ("refused: --wait runs out", "five", "exec -s a --wait=1ms -- claude -p hi"),
        ("refused: --replace", "five", "exec --replace -- claude -p hi"),
        ("refused: no record to continue with", "work+five", "exec -- claude -p hi --no-session-persistence"),
        ("overloaded twice", "overloaded", "exec -- claude -p hi"),
        ("the agent refuses its arguments", "startup", "exec -- claude -p hi"),
    ] {
        let sandbox = pool(behavior);
        let mut table = Table::of(&sandbox);
        table.kage(situation, line);
        rows.extend(table.rows);
    }
    rows.extend(retries());
    rows.extend(signals());
    rows
}

/// More subscriptions refuse than there are retries.
fn retries() -> Vec<Row> {
    let sandbox = pool("five");
    let config = sandbox.read(CONFIG);
    let more: String = ["c", "d", "e", "f"].iter().map(|name| member(name, "five", 150)).collect();
    sandbox.config(&format!("{config}{more}"));
    let mut table = Table::of(&sandbox);
    table.kage("refused: all retries used up", "exec -- claude -p hi");
    sandbox.kage(["subscription", "reset", "a"]).run().success();
    table.kage("refused: the one retry used up", "exec --retries 1 -- claude -p hi");
    table.rows
}

/// Signals that end a waiting run.
fn signals() -> Vec<Row> {
    let sandbox = pool("throttled");
    sandbox.config(&sandbox.read(CONFIG).replace("1ms", "1h"));
    let mut table = Table::of(&sandbox);
    table.signal_while_waiting(
        "TERM to kage between two attempts",
        "exec -s a -- claude -p hi",
        Signal::TERM,
    );
    sandbox.kage(["subscription", "disable", "b"]).run().success();
    table.signal_while_waiting("INT to kage while it waits", "exec --wait -- claude -p hi", Signal::INT);
    table.rows
}
