//! Runs whose kage was killed before it could settle: the next kage that sees their leases counts their
//! usage.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use anyhow::Result;
use jiff::{SignedDuration, Timestamp, Zoned};

use crate::agent::{Captured, Evidence, Exit, LaunchPlan};
use crate::engine::context::Context;
use crate::engine::events::Events;
use crate::engine::said::Said;
use crate::files::Lock;
use crate::ledger::{Attempt, Trace};
use crate::pool::{Administer, Lease, LeaseId, Moment, Outcome, State, Verdict};
use crate::process::{ProcessWithVariable, processes_with_variable};

/// How long to wait for the lock. If another kage holds it, that one does the counting.
const LOCK_PATIENCE: Duration = Duration::from_millis(10);
/// How long one kage counts at most. After a crash of the machine there may be thousands of runs, and each is
/// looked up in the ledger.
const TIME_LIMIT: Duration = Duration::from_secs(1);
/// A program starts within this time after its run reserved a place, unless reading its credential takes
/// longer.
const START_LIMIT: SignedDuration = SignedDuration::from_secs(10);
/// How long a lost run remains uncounted because its agent still runs. Processes that an agent started may
/// never end.
const ORPHAN_LIMIT: SignedDuration = SignedDuration::from_hours(7 * 24);

impl Context {
    /// Returns the state, including the usage of killed runs.
    pub(crate) fn state(&self) -> Result<State> {
        let state = self.view()?;
        if state.lost.is_empty() {
            return Ok(state);
        }
        let events = Events::new(&self.config);
        self.recover(&events);
        events.finish();
        for notice in events.take_notices() {
            self.voice.say(notice, &self.now());
        }
        self.view()
    }

    /// Counts the runs whose kage is gone. Runs that cannot be counted now remain for the next kage.
    pub(in crate::engine) fn recover(&self, events: &Events<'_>) {
        if let Err(failed) = self.try_to_recover(events) {
            self.voice.say(Said::NotCounted(format!("{failed:#}")), &self.now());
        }
    }

    fn try_to_recover(&self, events: &Events<'_>) -> Result<()> {
        let Ok(_lock) = Lock::acquire(&self.paths.state.join("recover.lock"), LOCK_PATIENCE) else {
            return Ok(());
        };
        // The lost leases are determined under the lock and written to the state. If the state were only
        // read, a run could settle its lease and end before this kage checks whether it is alive, and would
        // be counted twice.
        let state = self.administer(&Administer::Reap)?;
        let running = processes_with_variable("KAGE_RUN");
        let mut unused = BTreeSet::new();
        let counted = self.count_all(&state, &running, &mut unused, events);
        // One change for all of them: there may be thousands.
        if !unused.is_empty() {
            self.administer(&Administer::ForgetLost(&unused))?;
        }
        counted
    }

    /// Counts one run after another until the time limit. Runs without a transcript are added to `unused`.
    fn count_all(
        &self,
        state: &State,
        running: &[ProcessWithVariable],
        unused: &mut BTreeSet<(LeaseId, Timestamp)>,
        events: &Events<'_>,
    ) -> Result<()> {
        let until = Instant::now() + TIME_LIMIT;
        for lost in state.lost.iter().filter(|lost| !is_agent_alive(lost, running)) {
            if Instant::now() > until {
                break;
            }
            if !self.count(lost, state, events)? && !may_still_start(lost) {
                unused.insert((lost.id.clone(), lost.since));
            }
        }
        Ok(())
    }

    /// Books a lost attempt as `exec` would have: first in the ledger, unless it is already there. Returns
    /// whether there was anything to count.
    fn count(&self, lost: &Lease, state: &State, events: &Events<'_>) -> Result<bool> {
        let now = self.now();
        let ledger = self.ledger();
        let trace = ledger.trace(lost);
        let Some((evidence, outcome)) = self.examine(lost, ended(lost, &trace, state), state, &now) else {
            return Ok(false);
        };
        if !trace.is_booked {
            ledger.append(&Attempt {
                lease: lost,
                number: trace.attempts + 1,
                session: evidence.session.as_deref(),
                verdict: outcome.verdict.word(),
                exit: None,
                duration_ms: 0,
                usage: &outcome.usage,
            })?;
        }
        self.book(lost, &outcome, &Moment::from(&now), events)?;
        Ok(true)
    }

    /// Returns the evidence and the outcome from its transcript; `None` if there is nothing to count.
    fn examine(
        &self,
        lost: &Lease,
        ended: Option<Timestamp>,
        state: &State,
        now: &Zoned,
    ) -> Option<(Evidence, Outcome)> {
        let agent = self.config.agent(&lost.agent).ok()?;
        let plan = LaunchPlan::from_lost_lease(lost, lost.record.as_ref()?, ended);
        let others = self.others(lost, plan.watch.as_ref()?, state);
        let plan = plan.with_others(others);
        let evidence = agent.collect(&plan, &Captured::default(), now);
        if evidence.usage.requests == 0 && evidence.errors.is_empty() {
            return None;
        }
        // No process saw how it ended. Only a refusal in its transcript is certain.
        let mut outcome = self.judge(agent, Exit::Code(0), &evidence.clone().final_errors(), None, now);
        if !outcome.verdict.concerns_subscription() {
            outcome.verdict = Verdict::Interrupted;
        }
        Some((evidence, outcome))
    }
}

/// Whether its agent may be about to start. If kage was killed between the fork and the exec of the agent,
/// the process does not yet have the run's variables or a transcript.
fn may_still_start(lost: &Lease) -> bool {
    let age = Timestamp::now().duration_since(lost.since);
    !age.is_negative() && age < START_LIMIT
}

/// Returns when another attempt continued its conversation. Later rows belong to that attempt.
fn ended(lost: &Lease, trace: &Trace, state: &State) -> Option<Timestamp> {
    let sessions = lost.sessions();
    let later = state.leases.iter().chain(&state.lost).filter(|other| other.since > lost.since);
    let continuing = later.filter(|other| other.sessions().iter().any(|session| sessions.contains(session)));
    continuing.map(|other| other.since).chain(trace.next).min()
}

/// Whether its agent has outlived its kage: a process of the agent has the run's variable.
fn is_agent_alive(lost: &Lease, running: &[ProcessWithVariable]) -> bool {
    let is_recent = Timestamp::now().duration_since(lost.since) < ORPHAN_LIMIT;
    is_recent && running.iter().any(|one| one.is(&lost.id.0, &lost.agent))
}
