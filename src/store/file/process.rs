//! Whether the process that holds a lease still lives.

use std::process;
use std::sync::OnceLock;

use jiff::{SignedDuration, Timestamp};
use rustix::io::Errno;
use rustix::process::{Pid, test_kill_process};

use crate::pool::{Lease, State};
use crate::process::Stat;

/// Whether the very process that took the lease is there: a reused pid has another start time.
pub(super) fn is_alive(lease: &Lease) -> bool {
    if lease.pid == process::id() {
        return lease.started == started(lease.pid);
    }
    if !exists(lease) {
        return false;
    }
    match Stat::of(lease.pid) {
        // A zombie has ended; only its parent does not know yet.
        Some(stat) => !matches!(stat.state, 'Z' | 'X') && stat.started == lease.started,
        // Without /proc (macOS) the pid alone must do.
        None => lease.started == 0,
    }
}

/// So many leases are looked at closely in each change.
const FEW: usize = 16;
/// Of more of them each is looked at closely so often.
const OFTEN: SignedDuration = SignedDuration::from_secs(1);

/// Drops the leases of dead processes, where each of hundreds of kages does so at every start and end: to ask for
/// the beginning of a process costs a hundred times what it costs to ask whether there is one. So of many leases
/// those whose ids were given to other processes go once in a second, and all others at once.
pub(super) fn reap_often(state: &mut State) {
    let now = Timestamp::now();
    let is_recent = |looked: Timestamp| now.duration_since(looked).abs() < OFTEN;
    let are_many = state.leases.len() > FEW;
    if are_many && state.looked_at.is_some_and(is_recent) {
        state.reap(exists);
    } else {
        state.reap(is_alive);
        state.looked_at = are_many.then_some(now);
    }
}

/// Whether there is any process of that id.
fn exists(lease: &Lease) -> bool {
    let pid = i32::try_from(lease.pid).ok().and_then(Pid::from_raw);
    pid.is_some_and(|pid| !matches!(test_kill_process(pid), Err(Errno::SRCH)))
}

/// When a process started, in clock ticks since boot; 0 where the system does not tell. Of kage itself it is asked
/// once.
pub fn started(pid: u32) -> u64 {
    static OWN: OnceLock<u64> = OnceLock::new();
    let ask = || Stat::of(pid).map_or(0, |stat| stat.started);
    if pid == process::id() { *OWN.get_or_init(ask) } else { ask() }
}
