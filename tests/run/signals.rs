//! Signals that end a run: from the keyboard or from the caller, at any time. No agent keeps running.

// A failed unwrap is a failed test.
#![allow(clippy::unwrap_used)]

use std::os::unix::process::ExitStatusExt as _;
use std::process::{Child, ExitStatus, Stdio};
use std::thread;
use std::time::Duration;

use crate::shell::{Shell, agent, at_a_terminal, pids, wait_until_gone};
use crate::support::{Call, Sandbox, has_all, kage, wait_until};
use rustix::process::{Pid, Signal, kill_process};
use rustix::termios::{Winsize, tcsetwinsize};

/// An agent that logs each ^C and dies from the first.
const NOTES: &str = r#"$SIG{INT} = sub {
    open my $f, ">>", "signals"; print $f "INT\n"; close $f; $SIG{INT} = "DEFAULT"; kill INT => $$ };
idle"#;

fn scene(does: &str) -> Sandbox {
    let sandbox = Sandbox::new();
    sandbox.add("work", &[]);
    agent(&sandbox, does);
    let kage_on_path = sandbox.path("bin/kage");
    std::os::unix::fs::symlink(kage(), kage_on_path).unwrap();
    sandbox
}

fn start(call: Call) -> Child {
    let mut command = call.command;
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap()
}

/// Waits for a child and returns how it ended.
fn end_of(mut child: Child) -> ExitStatus {
    let mut ended = None;
    wait_until("a child ends", || {
        ended = child.try_wait().unwrap();
        ended.is_some()
    });
    ended.unwrap()
}

fn send(child: &Child, signal: Signal) {
    kill_process(Pid::from_child(child), signal).unwrap();
}

#[test]
fn one_interrupt_ends_a_loop_and_reaches_the_agent_once() {
    if !has_all(&["perl"]) {
        return;
    }
    let sandbox = scene(NOTES);
    for mut shell in Shell::each(&sandbox) {
        shell.send("for i in 1 2 3; do kage exec -- agent; done; echo not-reached");
        let (agent, _) = pids(&sandbox);
        shell.control('c');
        let mut shown = shell.prompt();
        shown += &shell.run("echo status=$?");
        assert!(shown.contains("status=130") && !shown.contains("not-reached"), "{}: {shown}", shell.name);
        wait_until_gone(agent);
        assert!(!sandbox.path("work/pids").exists(), "{}: another agent was started", shell.name);
        assert_eq!(sandbox.read("work/signals"), "INT\n", "{}", shell.name);
        std::fs::remove_file(sandbox.path("work/signals")).unwrap();
        shell.leave();
    }
}

#[test]
fn an_interrupt_during_startup_ends_the_loop_too() {
    let command = "echo $$ $PPID >pids.new; mv pids.new pids; exec sleep 600";
    let sandbox = Sandbox::new();
    sandbox.config(&format!("[subscriptions.pool.work]\ncredential = {{ command = '{command}' }}\n"));
    for mut shell in Shell::each(&sandbox) {
        shell.send("for i in 1 2 3; do kage exec -- touch mark; done; echo not-reached");
        let (command, kage) = pids(&sandbox);
        shell.control('c');
        let shown = shell.prompt();
        assert!(!shown.contains("not-reached"), "{}: {shown}", shell.name);
        wait_until_gone(command);
        wait_until_gone(kage);
        assert!(!sandbox.path("work/pids").exists() && !sandbox.path("work/mark").exists());
        assert_eq!(sandbox.status_of("work")["running"], 0);
        shell.leave();
    }
}

#[test]
fn an_interrupt_between_two_attempts_ends_the_loop_too() {
    let sandbox = Sandbox::new();
    sandbox.config("[failover]\nthrottle_wait = \"1h\"\n");
    sandbox.program("claude", include_str!("../support/agent.sh"));
    sandbox.add_with("work", "work--throttled", &[]);
    for (at, mut shell) in Shell::each(&sandbox).enumerate() {
        shell.send(
            "for i in 1 2 3; do kage exec -s work -- claude -p hi </dev/null | cat; done; echo not-reached",
        );
        wait_until("the first attempt is booked", || sandbox.ledger().len() == at + 1);
        shell.until("retrying on work in 1h");
        shell.control('c');
        let shown = shell.prompt();
        assert!(!shown.contains("not-reached"), "{}: {shown}", shell.name);
        assert_eq!(sandbox.ledger().len(), at + 1, "{}", shell.name);
        assert_eq!(sandbox.state()["leases"], serde_json::Value::Null);
        // So that the subscription is ready in the second shell.
        sandbox.kage(["sub", "reset", "work"]).run().success();
        shell.leave();
    }
}

#[test]
fn a_new_terminal_size_reaches_the_agent() {
    if !has_all(&["perl"]) {
        return;
    }
    let sandbox = scene(r#"$SIG{WINCH} = sub { system "stty size"; print "was resized\n" }; idle"#);
    let line = "kage exec -- agent; echo status=$?";
    let mut script = at_a_terminal(sandbox.call("sh".as_ref(), ["-c", line]));
    let (agent, _) = pids(&sandbox);
    for (rows, columns) in [(31, 97), (50, 120)] {
        let size = Winsize { ws_row: rows, ws_col: columns, ws_xpixel: 0, ws_ypixel: 0 };
        tcsetwinsize(&script.process.pty, size).unwrap();
        script.exp_string(&format!("{rows} {columns}")).unwrap();
        script.exp_string("was resized").unwrap();
    }
    kill_process(agent, Signal::TERM).unwrap();
    script.exp_string("status=143").unwrap();
    script.exp_eof().unwrap();
}

#[test]
fn nohup_protects_kage_and_the_agent() {
    if !has_all(&["perl", "nohup"]) {
        return;
    }
    // This agent must keep the inherited handling of SIGHUP.
    let sandbox = scene(r"$SIG{USR1} = sub { POSIX::_exit(6) }; idle");
    let script = sandbox.read("bin/agent").replace("qw(HUP ", "qw(");
    sandbox.program("agent", &script);
    let child = start(sandbox.call("nohup".as_ref(), ["kage", "exec", "--", "agent"]));
    let (agent, kage) = pids(&sandbox);
    for pid in [agent, kage] {
        kill_process(pid, Signal::HUP).unwrap();
    }
    kill_process(kage, Signal::USR1).unwrap();
    assert_eq!(end_of(child).code(), Some(6));
}

#[test]
fn timeout_ends_the_agent() {
    if !has_all(&["perl", "timeout"]) {
        return;
    }
    let sandbox = scene("idle");
    // First a timeout of one second, then a long one that a signal ends early.
    let child = start(sandbox.call("timeout".as_ref(), ["1", "kage", "exec", "--", "agent"]));
    assert_eq!(end_of(child).code(), Some(124));
    if sandbox.path("work/pids").exists() {
        wait_until_gone(pids(&sandbox).0);
    }
    let child = start(sandbox.call("timeout".as_ref(), ["600", "kage", "exec", "--", "agent"]));
    let (agent, _) = pids(&sandbox);
    send(&child, Signal::TERM);
    end_of(child);
    wait_until_gone(agent);
}

/// Ways to end a running agent, each with a check of the exit status.
const WAYS: [fn(&Sandbox); 6] = [
    terminated_by_a_harness_in_its_group,
    terminated_with_its_group,
    interrupted_from_outside,
    hung_up_without_a_terminal,
    killed_agent,
    interrupted_at_a_terminal,
];
const ROUNDS: usize = 50;
const LANES: usize = 4;

/// The process group; 0 if it was created outside this PID namespace.
fn group_of(pid: &str) -> String {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
    stat.rsplit_once(')').unwrap().1.split_ascii_whitespace().nth(2).unwrap().to_owned()
}

/// This process is the harness: its children stay in its group.
fn terminated_by_a_harness_in_its_group(sandbox: &Sandbox) {
    let child = start(sandbox.kage(["exec", "--", "agent"]));
    let (agent, kage) = pids(sandbox);
    assert_eq!(group_of(&kage.to_string()), group_of("self"));
    send(&child, Signal::TERM);
    assert_eq!(end_of(child).signal(), Some(15));
    wait_until_gone(agent);
}

/// A script that sends a signal to its whole group and survives it.
fn terminated_with_its_group(sandbox: &Sandbox) {
    let script =
        r"trap : TERM; kage exec -- agent & while ! [ -e pids ]; do sleep 0.01; done; kill 0; wait $!";
    let mut call = sandbox.call("sh".as_ref(), ["-c", script]);
    std::os::unix::process::CommandExt::process_group(&mut call.command, 0);
    let child = start(call);
    assert_eq!(end_of(child).code(), Some(143));
    wait_until_gone(pids(sandbox).0);
}

fn interrupted_from_outside(sandbox: &Sandbox) {
    let child = start(sandbox.kage(["exec", "--", "agent"]));
    let (agent, _) = pids(sandbox);
    send(&child, Signal::INT);
    assert_eq!(end_of(child).signal(), Some(2));
    wait_until_gone(agent);
}

fn hung_up_without_a_terminal(sandbox: &Sandbox) {
    let child = start(sandbox.call("setsid".as_ref(), ["--wait", "kage", "exec", "--", "agent"]));
    let (agent, kage) = pids(sandbox);
    kill_process(kage, Signal::HUP).unwrap();
    end_of(child);
    wait_until_gone(agent);
}

fn killed_agent(sandbox: &Sandbox) {
    let child = start(sandbox.kage(["exec", "--", "agent"]));
    kill_process(pids(sandbox).0, Signal::KILL).unwrap();
    assert_eq!(end_of(child).code(), Some(137));
}

fn interrupted_at_a_terminal(sandbox: &Sandbox) {
    let line = "trap : INT; kage exec -- agent; echo status=$?";
    let mut script = at_a_terminal(sandbox.call("sh".as_ref(), ["-c", line]));
    let (agent, _) = pids(sandbox);
    script.send_control('c').unwrap();
    script.exp_string("status=130").unwrap();
    script.exp_eof().unwrap();
    wait_until_gone(agent);
}

#[test]
fn three_hundred_runs_end_with_the_expected_status() {
    if !has_all(&["perl", "setsid"]) {
        return;
    }
    let lane = |lane: usize| {
        let sandbox = scene("idle");
        for round in (lane..ROUNDS).step_by(LANES) {
            for at in 0..WAYS.len() {
                WAYS[(round + at) % WAYS.len()](&sandbox);
            }
        }
        assert_eq!(sandbox.status_of("work")["running"], 0);
    };
    thread::scope(|scope| {
        for at in 0..LANES {
            scope.spawn(move || lane(at));
        }
    });
}

/// At any time after its start: while kage reads its config, while it has the lease, while the agent starts.
#[test]
fn a_signal_at_any_time_leaves_no_agent() {
    if !has_all(&["perl"]) {
        return;
    }
    let sandbox = scene("idle");
    for round in 0..60 {
        let child = start(sandbox.kage(["exec", "--", "agent"]));
        thread::sleep(Duration::from_micros(round * 500));
        send(&child, Signal::TERM);
        assert_eq!(end_of(child).signal(), Some(15), "after {round} half milliseconds");
        if sandbox.path("work/pids").exists() {
            wait_until_gone(pids(&sandbox).0);
        }
    }
    assert_eq!(sandbox.status_of("work")["running"], 0);
    let still = std::fs::read_dir("/proc").unwrap().flatten().filter(|entry| {
        let words = std::fs::read_to_string(entry.path().join("cmdline")).unwrap_or_default();
        words.contains(sandbox.path("bin/agent").to_str().unwrap())
    });
    assert_eq!(still.count(), 0, "an agent still runs");
}
