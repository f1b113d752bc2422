//! What follows a refusal, and what follows when kage is killed: attempts, events, arguments of the agent.

use std::process::Stdio;

use rustix::process::{Pid, Signal, kill_process};

use crate::golden_file::{GoldenFile, check, ledger, within_an_hour};
use crate::support::{Sandbox, wait_until};

/// A pool of `a`, on which the agent behaves as given, and `b`, on which it answers.
fn pool(behavior: &str) -> Sandbox {
    let sandbox = Sandbox::new();
    sandbox.config(&format!(
        "[subscriptions]\nstrategy = \"priority\"\n[subscriptions.pool]\n\
         a = {{ credential = {{ command = \"echo sk-ant-oat01-invented-a--{behavior}\" }}, priority = 200 }}\n\
         b = {{ credential = {{ command = \"echo sk-ant-oat01-invented-b--ok\" }} }}\n\
         [failover]\nthrottle_wait = \"1ms\"\n[events]\ncommand = \"cat >>$HOME/events\"\n\
         [prices.claude-sonnet-5-5]\ninput = 10\noutput = 100\n"
    ));
    let agent = include_str!("../support/agent.sh");
    // The agent writes its process id, and ends when the sandbox is removed.
    let pid = "echo $$ >\"$HOME/pid\"\nbehavior=";
    let agent = agent.replacen("behavior=", pid, 1).replace("while :;", "while [ -e \"$HOME\" ];");
    sandbox.program("claude", &agent);
    sandbox
}

/// A run with its attempts and events.
fn run(file: &mut GoldenFile, sandbox: &Sandbox, line: &str) {
    file.kage(sandbox, line);
    file.add("== the arguments of each attempt", &sandbox.read("home/arguments"));
    file.add("== the ledger", &ledger(sandbox)).events(sandbox);
}

fn refused() -> Vec<GoldenFile> {
    let sandbox = pool("five");
    let mut file = GoldenFile::new("failover", &sandbox);
    run(&mut file, &sandbox, "exec -n site -- claude -p hi");
    let sandbox = pool("work+seven");
    let mut resumed = GoldenFile::new("failover-resumed", &sandbox);
    run(&mut resumed, &sandbox, "exec -- claude -p hi --output-format json --model opus");
    let sandbox = pool("throttled");
    let mut paused = GoldenFile::new("failover-paused", &sandbox);
    run(&mut paused, &sandbox, "exec -- claude -p hi --output-format stream-json");
    let sandbox = pool("billing");
    sandbox.kage(["subscription", "disable", "b"]).run().success();
    let mut alone = GoldenFile::new("failover-alone", &sandbox);
    run(&mut alone, &sandbox, "exec -- claude -p hi");
    // After a reset the subscription is used again.
    let config = sandbox.read(crate::support::CONFIG).replace("a--billing", "a--ok");
    sandbox.config(&config);
    alone.kage(&sandbox, "subscription reset a").kage(&sandbox, "exec -- claude -p hi").stored(&sandbox);
    vec![file, resumed, paused, alone]
}

/// kage is killed while its agent works. A later kage counts what the agent used.
fn recovered() -> Vec<GoldenFile> {
    let sandbox = pool("work+slow");
    let mut file = GoldenFile::new("recovered", &sandbox);
    let mut command = sandbox.kage(["exec", "-n", "site", "--", "claude", "-p", "hi"]).command;
    let mut kage = command.stdin(Stdio::null()).stdout(Stdio::piped()).spawn().unwrap();
    wait_until("the agent to work", || sandbox.path("home/slow").exists());
    kage.kill().unwrap();
    kage.wait().unwrap();
    file.kage(&sandbox, "ps --json").kage(&sandbox, "exec -s b -- sleep 0.01").stored(&sandbox);
    let agent: i32 = sandbox.read("home/pid").trim().parse().unwrap();
    kill_process(Pid::from_raw(agent).unwrap(), Signal::TERM).unwrap();
    wait_until("the run to be counted", || {
        sandbox.status();
        sandbox.ledger().len() == 2
    });
    file.kage(&sandbox, "status --json").add("== the ledger at the end", &ledger(&sandbox));
    file.events(&sandbox);
    vec![file]
}

#[test]
fn what_follows_a_refusal_is_recorded_as_before() {
    check(&within_an_hour(refused));
}

#[test]
fn a_run_whose_kage_was_killed_is_recorded_as_before() {
    check(&within_an_hour(recovered));
}
