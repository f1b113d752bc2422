//! The cost of kage while its agent sleeps: memory, wake-ups and system calls.

use std::fs;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};

use crate::figures::Idle;
use crate::overhead::kage;
use crate::support::{Sandbox, has_all, wait_until};

/// How long kage must be quiet before the measurement.
const QUIET: Duration = Duration::from_millis(1500);

pub(crate) fn measure(span: Duration) -> Vec<Idle> {
    let sandbox = Sandbox::new();
    sandbox.add("work", &[]);
    sandbox.program("claude", "#!/bin/sh\nexec sleep 600\n");
    let ways =
        [("any program", ["exec", "--", "sleep", "600"]), ("relayed output", ["exec", "--", "claude", "-p"])];
    ways.into_iter().map(|(mode, words)| of_run(mode, kage(&sandbox, &words), span)).collect()
}

fn of_run(mode: &str, mut command: Command, span: Duration) -> Idle {
    let mut child = command.stdin(Stdio::null()).stdout(Stdio::piped()).spawn().unwrap();
    let process = format!("/proc/{}", child.id());
    let process = Path::new(&process);
    wait_until("the agent sleeps", || agent(process).is_some());
    wait_until("kage is at rest", || {
        let before = wake_ups(process);
        thread::sleep(QUIET);
        before == wake_ups(process)
    });
    let before = wake_ups(process);
    thread::sleep(span); // the measured time
    let wake_ups = wake_ups(process) - before;
    let status = fs::read_to_string(process.join("status")).unwrap();
    let kilobytes = |name| field(&status, name).expect("the kernel reports it");
    let idle = Idle {
        mode: mode.to_owned(),
        seconds: span.as_secs(),
        resident_kb: kilobytes("VmRSS"),
        own_kb: kilobytes("RssAnon"),
        system_calls: system_calls(&child, span),
        wake_ups,
    };
    let agent = agent(process).expect("it sleeps for ten minutes");
    kill_process(agent, Signal::TERM).unwrap();
    child.wait().unwrap();
    idle
}

/// A number in a process's `status`; memory is in kB. Source: proc(5).
pub(crate) fn field(status: &str, name: &str) -> Option<u64> {
    let line = status.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'))?;
    line.split_whitespace().next()?.parse().ok()
}

/// kage's child, once it runs `sleep`.
fn agent(process: &Path) -> Option<Pid> {
    let threads = fs::read_dir(process.join("task")).ok()?.flatten();
    let children = threads.filter_map(|thread| fs::read_to_string(thread.path().join("children")).ok());
    let child: i32 = children.collect::<String>().split_whitespace().next()?.parse().ok()?;
    let name = fs::read_to_string(format!("/proc/{child}/comm")).ok()?;
    Pid::from_raw(child).filter(|_| name.trim() == "sleep")
}

/// The number of voluntary context switches of all threads, which grows by one with each wake-up.
fn wake_ups(process: &Path) -> u64 {
    let threads = fs::read_dir(process.join("task")).unwrap().flatten();
    let status = |thread: fs::DirEntry| fs::read_to_string(thread.path().join("status")).unwrap_or_default();
    threads.filter_map(|thread| field(&status(thread), "voluntary_ctxt_switches")).sum()
}

/// The number of system calls during a trace.
fn system_calls(child: &Child, span: Duration) -> Option<u64> {
    if !has_all(&["strace", "timeout"]) {
        return None;
    }
    let seconds = span.as_secs().to_string();
    let mut strace = Command::new("timeout");
    strace.args(["-s", "INT", &seconds, "strace", "-f", "-c", "-o", "/dev/stdout", "-p"]);
    let output = strace.arg(child.id().to_string()).stderr(Stdio::null()).output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    let total = text.lines().find(|line| line.ends_with("total"));
    // Without system calls strace prints no table.
    let calls = total.map_or(Some(0), |line| line.split_whitespace().rev().nth(1)?.parse().ok());
    calls.filter(|_| output.status.code() == Some(124))
}
