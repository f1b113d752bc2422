//! Whether the process that holds a lease still lives.

use rustix::io::Errno;
use rustix::process::{Pid, test_kill_process};

use crate::pool::Lease;
use crate::process::Stat;

/// Whether the very process that took the lease is there: a reused pid has another start time.
pub(super) fn is_alive(lease: &Lease) -> bool {
    let Some(pid) = i32::try_from(lease.pid).ok().and_then(Pid::from_raw) else { return false };
    if matches!(test_kill_process(pid), Err(Errno::SRCH)) {
        return false;
    }
    match Stat::of(lease.pid) {
        // A zombie has ended; only its parent does not know yet.
        Some(stat) => !matches!(stat.state, 'Z' | 'X') && stat.started == lease.started,
        // Without /proc (macOS) the pid alone must do.
        None => lease.started == 0,
    }
}

/// When a process started, in clock ticks since boot; 0 where the system does not tell.
pub(crate) fn started(pid: u32) -> u64 {
    Stat::of(pid).map_or(0, |stat| stat.started)
}
