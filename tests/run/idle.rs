//! While the agent is idle kage costs nothing: it sleeps in one system call and is never woken.

// A failed unwrap is a failed test.
#![allow(clippy::unwrap_used)]

use std::fs;
use std::process::{Child, Stdio};
use std::thread;
use std::time::Duration;

use crate::shell::{agent, pids};
use crate::support::{Sandbox, has_all, kage, missing_is_failure, wait_until};
use rustix::process::{Signal, kill_process};

/// How long the test observes kage.
const SPAN: Duration = Duration::from_secs(10);
const QUIET: Duration = Duration::from_millis(300);

/// kage and its agent under strace, which logs their system calls.
struct Traced {
    sandbox: Sandbox,
    strace: Child,
}

impl Traced {
    fn start(command: &[&str]) -> Self {
        let sandbox = Sandbox::new();
        sandbox.add("work", &[]);
        agent(&sandbox, "idle");
        fs::copy(sandbox.path("bin/agent"), sandbox.path("bin/claude")).unwrap();
        let kage = kage().display().to_string();
        let words = ["-f", "-o", "trace", &kage, "exec", "--"].into_iter().chain(command.iter().copied());
        let mut call = sandbox.call("strace".as_ref(), words);
        call.command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        let strace = call.command.spawn().unwrap();
        wait_until("the agent is ready", || sandbox.path("work/pids").exists());
        Self { sandbox, strace }
    }

    /// The size of the log, in bytes.
    fn length(&self) -> u64 {
        fs::metadata(self.sandbox.path("work/trace")).unwrap().len()
    }
}

#[test]
fn no_system_call_is_made_while_the_agent_is_idle() {
    if !has_all(&["perl", "strace"]) {
        return;
    }
    if !Sandbox::new().call("strace".as_ref(), ["-f", "true"]).run().output.status.success() {
        missing_is_failure("strace may not trace here");
        return;
    }
    // One run attached, one with relayed output.
    let mut runs = [Traced::start(&["agent"]), Traced::start(&["claude", "-p", "hi"])];
    let lengths = |runs: &[Traced; 2]| [runs[0].length(), runs[1].length()];
    wait_until("no more system calls", || {
        let before = lengths(&runs);
        thread::sleep(QUIET);
        before == lengths(&runs)
    });
    let before = lengths(&runs);
    thread::sleep(SPAN);
    assert_eq!(before, lengths(&runs));
    for Traced { sandbox, strace } in &mut runs {
        kill_process(pids(sandbox).1, Signal::TERM).unwrap();
        strace.wait().unwrap();
        let trace = sandbox.read("work/trace");
        assert!(trace.contains("SIGTERM"), "strace logged nothing: {trace}");
    }
}
