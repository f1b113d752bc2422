//! Whether the process that holds a lease still lives.

use std::process;
use std::sync::OnceLock;

use rustix::io::Errno;
use rustix::process::{Pid, test_kill_process};

use crate::pool::Lease;
use crate::process::Stat;

/// Whether the very process that took the lease is there: a reused pid has another start time.
pub(super) fn is_alive(lease: &Lease) -> bool {
    if lease.pid == process::id() {
        return lease.started == started(lease.pid);
    }
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

/// When a process started, in clock ticks since boot; 0 where the system does not tell. Of kage itself it is asked
/// once.
pub(crate) fn started(pid: u32) -> u64 {
    static OWN: OnceLock<u64> = OnceLock::new();
    let ask = || Stat::of(pid).map_or(0, |stat| stat.started);
    if pid == process::id() { *OWN.get_or_init(ask) } else { ask() }
}
