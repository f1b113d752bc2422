//! Job control: whether a shell above kage notices that kage stops, and can continue it. Used when the agent
//! has stopped.

use std::fs::File;

use rustix::process::{Pid, getpid, getppid};

use crate::process::{Stat, group_of, session_of};

/// Whether kage has a terminal, from which a user may stop the agent.
pub(super) fn has_terminal() -> bool {
    File::open("/dev/tty").is_ok()
}

/// Whether kage leads the session. Then the program that opened the terminal started kage, without a shell.
pub(super) fn leads_session() -> bool {
    session_of(0) == Some(number(getpid()))
}

/// Whether a shell with job control can continue kage: the first ancestor outside kage's process group is in
/// the same session. Otherwise kage leads the session, as in a container or a tmux pane, or its group is
/// orphaned. In an orphaned group the system does not stop a process on ^Z.
pub(super) fn has_shell() -> bool {
    let (Some(group), Some(session)) = (group_of(0), session_of(0)) else { return false };
    if leads_session() {
        return false;
    }
    let mut ancestor = getppid();
    while let Some(pid) = ancestor {
        if group_of(number(pid)) != Some(group) {
            return session_of(number(pid)) == Some(session);
        }
        // This ancestor started kage in its own group: a script, `time`, `make`.
        ancestor = parent(pid);
    }
    false
}

/// Whether a process is stopped; `None` if it is not known, for example without `/proc`.
pub(super) fn is_stopped(pid: Pid) -> Option<bool> {
    Some(stat(pid)?.state == 'T')
}

fn parent(pid: Pid) -> Option<Pid> {
    Pid::from_raw(stat(pid)?.parent)
}

fn stat(pid: Pid) -> Option<Stat> {
    Stat::of(number(pid).unsigned_abs())
}

fn number(pid: Pid) -> i32 {
    pid.as_raw_nonzero().get()
}
