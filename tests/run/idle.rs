//! What kage costs while the agent idles: nothing. It sleeps in one wait, and nothing wakes it.

// A failed unwrap is a failed test.
#![allow(clippy::unwrap_used)]

use std::fs;
use std::process::{Child, Stdio};
use std::thread;
use std::time::Duration;

use crate::shell::{agent, pids};
use crate::support::{Sandbox, has_all, kage, missing_is_failure, wait_until};
use rustix::process::{Signal, kill_process};

/// A time span to look at, not one to wait for something.
const SPAN: Duration = Duration::from_secs(10);
const QUIET: Duration = Duration::from_millis(300);

/// kage and its agent, with each of their system calls written down.
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

    /// How much has been written down: each call is a line.
    fn length(&self) -> u64 {
        fs::metadata(self.sandbox.path("work/trace")).unwrap().len()
    }
}

#[test]
fn while_the_agent_idles_there_is_no_system_call() {
    if !has_all(&["perl", "strace"]) {
        return;
    }
    if !Sandbox::new().call("strace".as_ref(), ["-f", "true"]).run().output.status.success() {
        missing_is_failure("nothing can be traced here");
        return;
    }
    // Attached, and with the output relayed.
    let mut runs = [Traced::start(&["agent"]), Traced::start(&["claude", "-p", "hi"])];
    let is_small = |run: &Traced| run.sandbox.read("work/trace").contains("MADV_DONTNEED");
    wait_until("kage has made itself small", || runs.iter().all(is_small));
    let lengths = |runs: &[Traced; 2]| [runs[0].length(), runs[1].length()];
    wait_until("all are at rest", || {
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
        assert!(trace.contains("SIGTERM"), "nothing was written down: {trace}");
    }
}
