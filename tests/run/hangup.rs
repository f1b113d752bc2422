//! The terminal disappears: its window is closed, or the connection is lost.

// A failed unwrap is a failed test.
#![allow(clippy::unwrap_used)]

use std::os::unix::process::ExitStatusExt as _;
use std::process::Child;

use crate::pty::on_a_terminal;
use crate::shell::{agent, pids, wait_until_gone};
use crate::support::{Sandbox, has_all, kage, wait_until};

/// An agent that logs the signal and dies from it.
const NOTES: &str = r#"$SIG{HUP} = sub {
    open my $f, ">>", "signals"; print $f "HUP\n"; close $f; $SIG{HUP} = "DEFAULT"; kill HUP => $$ };
idle"#;

fn scene() -> Sandbox {
    let sandbox = Sandbox::new();
    sandbox.add("work", &[]);
    agent(&sandbox, NOTES);
    sandbox
}

fn check_nothing_is_left(sandbox: &Sandbox) {
    let (agent, kage) = pids(sandbox);
    wait_until_gone(agent);
    wait_until_gone(kage);
    assert_eq!(sandbox.status_of("work")["running"], 0);
}

fn end_of(mut child: Child) -> std::process::ExitStatus {
    let mut ended = None;
    wait_until("the child ends", || {
        ended = child.try_wait().unwrap();
        ended.is_some()
    });
    ended.unwrap()
}

#[test]
fn a_closed_terminal_ends_the_agent_of_a_kage_that_leads_the_session() {
    if !has_all(&["perl"]) {
        return;
    }
    let sandbox = scene();
    let (terminal, child) = on_a_terminal(&mut sandbox.kage(["exec", "--", "agent"]).command);
    wait_until("the agent is ready", || sandbox.path("work/pids").exists());
    // The system sends the signal only to the session leader.
    drop(terminal);
    assert_eq!(end_of(child).signal(), Some(1));
    check_nothing_is_left(&sandbox);
    assert_eq!(sandbox.read("work/signals"), "HUP\n");
    assert_eq!(sandbox.state()["leases"], serde_json::Value::Null);
}

#[test]
fn a_closed_terminal_ends_runs_in_a_shell_and_in_a_script() {
    if !has_all(&["perl"]) {
        return;
    }
    for words in [["bash", "--norc", "-ic"], ["zsh", "-f", "-ic"], ["sh", "-u", "-c"]] {
        if !has_all(&words[..1]) {
            continue;
        }
        let sandbox = scene();
        // The command after it prevents the shell from replacing itself with kage.
        let line = format!("'{}' exec -- agent; true", kage().display());
        let mut call = sandbox.call(words[0].as_ref(), words[1..].iter().chain([&line.as_str()]));
        let (terminal, child) = on_a_terminal(&mut call.command);
        wait_until("the agent is ready", || sandbox.path("work/pids").exists());
        drop(terminal);
        end_of(child);
        check_nothing_is_left(&sandbox);
        assert_eq!(sandbox.state()["leases"], serde_json::Value::Null, "{words:?}");
    }
}

#[test]
fn a_terminal_that_is_closed_during_startup_leaves_nothing_running() {
    let sandbox = Sandbox::new();
    let command = "echo $$ $PPID >pids.new; mv pids.new pids; exec sleep 600";
    sandbox.config(&format!("[subscriptions.pool.work]\ncredential = {{ command = '{command}' }}\n"));
    let (terminal, child) = on_a_terminal(&mut sandbox.kage(["exec", "--", "touch", "mark"]).command);
    wait_until("the command is ready", || sandbox.path("work/pids").exists());
    drop(terminal);
    assert_eq!(end_of(child).signal(), Some(1));
    check_nothing_is_left(&sandbox);
    assert!(!sandbox.path("work/mark").exists());
}
