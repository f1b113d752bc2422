//! `kage exec --replace`: kage becomes the agent. The lease ends with the process, and the next kage books
//! the run.

// A failed unwrap is a failed test.
#![allow(clippy::unwrap_used)]

use std::io::Read as _;
use std::os::unix::process::ExitStatusExt as _;
use std::process::Stdio;

use crate::support::{Sandbox, pool, wait_until};
use serde_json::Value;

fn leases(sandbox: &Sandbox) -> Vec<Value> {
    let shown = sandbox.kage(["ps", "--json"]).run().success().stdout();
    serde_json::from_str::<Value>(&shown).unwrap()["leases"].as_array().unwrap().clone()
}

#[test]
fn the_process_becomes_the_agent_and_holds_the_lease_while_it_runs() {
    let sandbox = pool();
    sandbox.program(
        "agent",
        "#!/bin/sh\necho $$ >\"$HOME/pid.new\" && mv \"$HOME/pid.new\" \"$HOME/pid\"\n\
         echo \"$CLAUDE_CODE_OAUTH_TOKEN $KAGE_SUBSCRIPTION $1\"\nread word\nexit \"$word\"\n",
    );
    let mut command = sandbox.kage(["exec", "--replace", "--", "agent", "a b"]).command;
    let mut child =
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    wait_until("the agent runs", || sandbox.path("home/pid").exists());
    assert_eq!(sandbox.read("home/pid").trim(), child.id().to_string());
    let held = leases(&sandbox);
    assert_eq!((held.len(), &held[0]["pid"]), (1, &Value::from(child.id())), "{held:?}");
    let name = held[0]["subscription"].as_str().unwrap().to_owned();
    std::io::Write::write_all(&mut child.stdin.take().unwrap(), b"7\n").unwrap();
    let ended = child.wait_with_output().unwrap();
    assert_eq!(ended.status.code(), Some(7));
    let said = String::from_utf8(ended.stdout).unwrap();
    assert_eq!(said, format!("sk-ant-oat01-invented-{name}--ok {name} a b\n"));
    assert!(ended.stderr.is_empty(), "{:?}", ended.stderr);
    assert!(leases(&sandbox).is_empty(), "the lease ended with the process");
}

#[test]
fn the_agent_does_not_inherit_kages_signal_handling() {
    let sandbox = pool();
    let show = "grep -E '^(SigBlk|SigIgn|SigCgt)' /proc/self/status";
    let plain = sandbox.call("/bin/sh".as_ref(), ["-c", &format!("exec {show}")]).run().success().stdout();
    let words = ["exec", "--replace", "--", "/bin/sh", "-c", &format!("exec {show}")];
    sandbox.kage(words).run().success().prints(&plain);
    let killed = sandbox.kage(["exec", "--replace", "--", "sh", "-c", "kill -TERM $$"]).run();
    assert_eq!(killed.output.status.signal(), Some(15));
}

#[test]
fn the_next_kage_books_its_usage_and_its_refusal() {
    let sandbox = Sandbox::new();
    sandbox.add_with("work", "work--five", &[]).add("spare", &["--priority", "1"]);
    sandbox.program("claude", include_str!("../support/agent.sh"));
    sandbox.kage(["exec", "--replace", "-s", "work", "--", "claude", "-p", "hi"]).run().status(1);
    sandbox.kage(["exec", "--replace", "-s", "spare", "--", "claude", "-p", "hi"]).run().success();
    assert_eq!(sandbox.status_of("work")["status"], "rate_limited");
    assert_eq!(sandbox.status_of("spare")["tokens_today"], 46);
    let rows = sandbox.ledger();
    let row = |name: &str| rows.iter().filter(|row| row["subscription"] == name).count();
    assert_eq!((row("work"), row("spare")), (1, 1), "{rows:?}");
    sandbox.status();
    assert_eq!(sandbox.ledger().len(), 2, "booked once");
}

#[test]
fn an_agent_that_cannot_start_releases_its_lease() {
    let sandbox = pool();
    sandbox.program("broken", "#!/nowhere/at/all\n");
    sandbox.kage(["exec", "--replace", "--", "broken"]).run().status(127).is_one_line_and_a_hint();
    sandbox.kage(["exec", "--replace", "--", "absent-program"]).run().status(127).is_one_line_and_a_hint();
    assert!(sandbox.state()["leases"].is_null(), "{}", sandbox.state());
    let refused = sandbox.kage(["exec", "--replace", "--retries", "2", "--", "true"]).run().status(2);
    refused.is_one_line_and_a_hint();
}

#[test]
fn a_secret_on_a_pipe_is_only_readable_by_the_agent() {
    let sandbox = Sandbox::new();
    sandbox.add("work", &[]);
    let config =
        sandbox.read(crate::support::CONFIG).replace("from = \"file\"", "from = \"file\", deliver = \"fd\"");
    sandbox.config(&config);
    let script = "cat <&\"$CLAUDE_CODE_OAUTH_TOKEN_FILE_DESCRIPTOR\"; echo; env | grep -c sk-ant";
    let mut command = sandbox.kage(["exec", "--replace", "--", "bash", "-c", script]).command;
    let mut child = command.stdin(Stdio::null()).stdout(Stdio::piped()).spawn().unwrap();
    let mut said = String::new();
    child.stdout.take().unwrap().read_to_string(&mut said).unwrap();
    child.wait().unwrap();
    assert_eq!(said, "sk-ant-oat01-invented-work--ok\n0\n");
}
