//! Job control: who is above kage to see it stop, and to wake it. Asked when the agent has stopped.

use std::fs::{self, File};

use rustix::process::{Pid, getpgid, getpgrp, getpid, getppid, getsid};

/// Whether there is a terminal, and with it perhaps a keyboard to stop an agent from.
pub(super) fn has_terminal() -> bool {
    File::open("/dev/tty").is_ok()
}

/// Whether a shell with job control can wake kage: the first ancestor outside kage's process group is of
/// the same session. Otherwise kage leads the session, as in a container or a tmux pane, or its group is
/// orphaned, and the system itself stops nobody there for a ^Z.
pub(super) fn has_shell() -> bool {
    let (group, Ok(session)) = (getpgrp(), getsid(None)) else { return false };
    if session == getpid() {
        return false;
    }
    let mut ancestor = getppid();
    while let Some(pid) = ancestor {
        if getpgid(Some(pid)) != Ok(group) {
            return getsid(Some(pid)) == Ok(session);
        }
        // A program that started kage in its own group: a script, `time`, `make`.
        ancestor = parent(pid);
    }
    false
}

/// Whether a process is stopped; without `/proc` it is not known.
pub(super) fn is_stopped(pid: Pid) -> Option<bool> {
    Some(behind_name(&stat(pid)?).next()? == "T")
}

fn parent(pid: Pid) -> Option<Pid> {
    Pid::from_raw(behind_name(&stat(pid)?).nth(1)?.parse().ok()?)
}

fn stat(pid: Pid) -> Option<String> {
    let text = fs::read(format!("/proc/{}/stat", pid.as_raw_nonzero())).ok()?;
    Some(String::from_utf8_lossy(&text).into_owned())
}

/// The fields behind the name, which stands in parentheses and may hold anything: state, parent, ...
fn behind_name(stat: &str) -> impl Iterator<Item = &str> {
    stat.rsplit(')').next().unwrap_or_default().split_whitespace()
}
