//! Whether the process that holds a lease still lives.

use std::fs;

use rustix::io::Errno;
use rustix::process::{Pid, test_kill_process};

use crate::pool::Lease;

/// Whether the very process that took the lease is there: a reused pid has another start time.
pub(super) fn is_alive(lease: &Lease) -> bool {
    let Some(pid) = i32::try_from(lease.pid).ok().and_then(Pid::from_raw) else { return false };
    if matches!(test_kill_process(pid), Err(Errno::SRCH)) {
        return false;
    }
    match stat(lease.pid) {
        // A zombie has ended; only its parent does not know yet.
        Some((state, started)) => state != 'Z' && state != 'X' && started == lease.started,
        // Without /proc (macOS) the pid alone must do.
        None => lease.started == 0,
    }
}

/// When a process started, in clock ticks since boot; 0 where the system does not tell.
/// Source: proc(5), `/proc/pid/stat` field 22.
pub(crate) fn started(pid: u32) -> u64 {
    stat(pid).map_or(0, |(_, started)| started)
}

/// State letter and start time. The name in field 2 may hold anything, so reading starts behind it.
fn stat(pid: u32) -> Option<(char, u64)> {
    let bytes = fs::read(format!("/proc/{pid}/stat")).ok()?;
    let text = String::from_utf8_lossy(&bytes);
    let mut fields = text.get(text.rfind(')')? + 1..)?.split_ascii_whitespace();
    let state = fields.next()?.chars().next()?;
    Some((state, fields.nth(18)?.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_knows_its_own_start() {
        if cfg!(target_os = "linux") {
            assert!(started(std::process::id()) > 0);
            assert_eq!(started(u32::MAX), 0);
        }
    }
}
