//! Whether the process that holds a lease is still alive.

use std::ffi::OsString;
use std::sync::OnceLock;
use std::{env, process};

use jiff::{SignedDuration, Timestamp};
use rustix::io::Errno;
use rustix::process::{Pid, test_kill_process};

use crate::pool::{Lease, LeaseId, State};
use crate::process::Stat;

/// Whether the process that took the lease is alive. A reused pid has another start time.
pub(super) fn is_alive(lease: &Lease) -> bool {
    if lease.pid == process::id() {
        return lease.started == started(lease.pid);
    }
    if !exists(lease) {
        return false;
    }
    match Stat::of(lease.pid) {
        // A zombie has ended; its parent has not waited for it yet.
        Some(stat) => !matches!(stat.state, 'Z' | 'X') && stat.started == lease.started,
        // Without /proc (macOS) only the pid is known.
        None => lease.started == 0,
    }
}

/// With at most this many leases, each change checks the start time of each process.
const FEW: usize = 16;
/// With more leases, the start times are checked this often.
const CHECK_INTERVAL: SignedDuration = SignedDuration::from_secs(1);

/// Drops the leases of dead processes. Hundreds of kages may do so at every start and end, and reading the
/// start time of a process costs a hundred times as much as checking whether a pid exists. So if there are
/// many leases, those without a process are dropped immediately, but those with a reused pid only once per
/// second.
pub(super) fn reap_dead(state: &mut State) {
    let now = Timestamp::now();
    let is_recent = |checked: Timestamp| now.duration_since(checked).abs() < CHECK_INTERVAL;
    let are_many = state.leases.len() > FEW;
    if are_many && state.looked_at.is_some_and(is_recent) {
        state.reap(exists);
    } else {
        state.reap(is_alive);
        state.looked_at = are_many.then_some(now);
    }
}

/// Whether any process has the pid of the lease.
fn exists(lease: &Lease) -> bool {
    let pid = i32::try_from(lease.pid).ok().and_then(Pid::from_raw);
    pid.is_some_and(|pid| !matches!(test_kill_process(pid), Err(Errno::SRCH)))
}

/// Returns when a process started, in clock ticks since boot; 0 if the system does not report it. The start
/// time of kage itself is read once.
pub fn started(pid: u32) -> u64 {
    static OWN: OnceLock<u64> = OnceLock::new();
    let read = || Stat::of(pid).map_or(0, |stat| stat.started);
    if pid == process::id() { *OWN.get_or_init(read) } else { read() }
}

/// The variable in the environment of an agent that names the run and the process of its kage. With it a hook
/// finds its kage even if it cannot read the state, or has no time to.
const HOLDER: &str = "KAGE_HOLDER";

/// Returns the variable that marks this process as the holder of a run.
pub fn holder_mark(run: &LeaseId) -> (&'static str, OsString) {
    let pid = process::id();
    (HOLDER, format!("{} {pid} {}", run.0, started(pid)).into())
}

/// Returns the process that holds the run according to the mark in the environment.
pub fn marked_holder(run: &LeaseId) -> Option<u32> {
    holder_in(&env::var(HOLDER).ok()?, run)
}

/// Reads the holder of a run from a mark. The mark names its run, because an older version of kage, started
/// within the run, sets no mark of its own. The mark also holds the start time, because the process may be
/// gone and its pid reused. Without start times (0) a reused pid cannot be detected, so there is no holder.
fn holder_in(mark: &str, run: &LeaseId) -> Option<u32> {
    let words: Vec<_> = mark.split(' ').collect();
    let [marked, pid, since] = words[..] else { return None };
    let (pid, since) = (pid.parse().ok()?, since.parse::<u64>().ok()?);
    (marked == run.0 && since > 0 && started(pid) == since).then_some(pid)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mark_names_the_process_of_its_own_run_while_it_is_alive() {
        let run = LeaseId("run".into());
        let (_, mark) = holder_mark(&run);
        let mark = mark.into_string().unwrap();
        let (pid, since) = (process::id(), started(process::id()));
        assert_eq!(holder_in(&mark, &run), (since > 0).then_some(pid));
        assert_eq!(holder_in(&mark, &LeaseId("another".into())), None);
        let reused = format!("run {pid} {}", since + 1);
        for mark in [reused.as_str(), "run 4294967295 1", "run 0 0", "run 1", "run x y", "", "run 1 1 1"] {
            assert_eq!(holder_in(mark, &run), None, "{mark}");
        }
    }
}
