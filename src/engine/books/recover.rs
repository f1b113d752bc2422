//! Runs whose kage was killed before it could settle: the next kage that sees their leases counts what they used.

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
use crate::process::{Marked, marked_with};

/// A kage that would have to wait leaves it to the one that is counting.
const PATIENCE: Duration = Duration::from_millis(10);
/// For longer than this nobody counts: after the end of a machine there may be thousands, and each is looked for in
/// the ledger.
const LONGEST: Duration = Duration::from_secs(1);
/// A program begins within this time after its run was given a place, unless its credential takes longer.
const FRESH: SignedDuration = SignedDuration::from_secs(10);
/// An agent that has outlived its kage is waited for. What it leaves running may never end.
const LONGEST_LEFT: SignedDuration = SignedDuration::from_hours(7 * 24);

impl Context {
    /// The state, with what killed runs have used.
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

    /// Counts the runs whose kage is gone. What cannot be counted now is there for the next kage.
    pub(in crate::engine) fn recover(&self, events: &Events<'_>) {
        if let Err(failed) = self.try_to_recover(events) {
            self.voice.say(Said::NotCounted(format!("{failed:#}")), &self.now());
        }
    }

    fn try_to_recover(&self, events: &Events<'_>) -> Result<()> {
        let Ok(_lock) = Lock::acquire(&self.paths.state.join("recover.lock"), PATIENCE) else {
            return Ok(());
        };
        // Under the lock, and written down: of a state that is only read, a run may settle its lease and end
        // before it is looked at whether it lives, and would be counted twice.
        let state = self.administer(&Administer::Reap)?;
        let running = marked_with("KAGE_RUN");
        let mut unused = BTreeSet::new();
        let counted = self.count_all(&state, &running, &mut unused, events);
        // In one change: there may be thousands.
        if !unused.is_empty() {
            self.administer(&Administer::ForgetLost(&unused))?;
        }
        counted
    }

    /// Counts one after the other, as long as there is time for it. Those of which there are no records are noted.
    fn count_all(
        &self,
        state: &State,
        running: &[Marked],
        unused: &mut BTreeSet<(LeaseId, Timestamp)>,
        events: &Events<'_>,
    ) -> Result<()> {
        let until = Instant::now() + LONGEST;
        for lost in state.lost.iter().filter(|lost| !runs_on(lost, running)) {
            if Instant::now() > until {
                break;
            }
            if !self.count(lost, state, events)? && !may_begin(lost) {
                unused.insert((lost.id.clone(), lost.since));
            }
        }
        Ok(())
    }

    /// As `exec` would have: the ledger first, where the attempt is looked for so that it is there once. The
    /// answer is whether there was anything to count.
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

    /// What its records say; `None` where there are none.
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
        // How it ended nobody saw; that it was refused stands in its records.
        let mut outcome = self.judge(agent, Exit::Code(0), &evidence.clone().final_errors(), now);
        if !outcome.verdict.is_of_the_account() {
            outcome.verdict = Verdict::Interrupted;
        }
        Some((evidence, outcome))
    }
}

/// Whether its agent may be about to begin: where kage was killed between the making of its process and the program
/// in it, that has no mark yet and no record.
fn may_begin(lost: &Lease) -> bool {
    let age = Timestamp::now().duration_since(lost.since);
    !age.is_negative() && age < FRESH
}

/// When another attempt went on with its conversation; what came from then on is that one's.
fn ended(lost: &Lease, trace: &Trace, state: &State) -> Option<Timestamp> {
    let sessions = lost.sessions();
    let later = state.leases.iter().chain(&state.lost).filter(|other| other.since > lost.since);
    let going_on = later.filter(|other| other.sessions().iter().any(|session| sessions.contains(session)));
    going_on.map(|other| other.since).chain(trace.next).min()
}

/// Whether its agent has outlived its kage: it carries the mark of the run.
fn runs_on(lost: &Lease, running: &[Marked]) -> bool {
    let is_recent = Timestamp::now().duration_since(lost.since) < LONGEST_LEFT;
    is_recent && running.iter().any(|one| one.is(&lost.id.0, &lost.agent))
}
