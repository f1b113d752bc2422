//! Whether the process that holds a lease still lives.

use std::ffi::OsString;
use std::sync::OnceLock;
use std::{env, process};

use jiff::{SignedDuration, Timestamp};
use rustix::io::Errno;
use rustix::process::{Pid, test_kill_process};

use crate::pool::{Lease, LeaseId, State};
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

/// In the environment of an agent: the run, and which process is its kage. A hook finds its kage by it also where it
/// cannot read the state, or has no time to.
const HOLDER: &str = "KAGE_HOLDER";

/// The mark of a run that this process holds.
pub fn holder_mark(run: &LeaseId) -> (&'static str, OsString) {
    let pid = process::id();
    (HOLDER, format!("{} {pid} {}", run.0, started(pid)).into())
}

/// The process that holds the run, as the mark in the environment says.
pub fn marked_holder(run: &LeaseId) -> Option<u32> {
    holder_in(&env::var(HOLDER).ok()?, run)
}

/// A kage inside of the run may be too old to have a mark of its own, so the mark names its run. Its process may be
/// gone and the pid another one's: where the system does not say when a process started, there is no telling.
fn holder_in(mark: &str, run: &LeaseId) -> Option<u32> {
    let words: Vec<_> = mark.split(' ').collect();
    let [of, pid, since] = words[..] else { return None };
    let (pid, since) = (pid.parse().ok()?, since.parse::<u64>().ok()?);
    (of == run.0 && since > 0 && started(pid) == since).then_some(pid)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mark_names_the_process_of_its_own_run_while_that_lives() {
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
