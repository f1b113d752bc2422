//! The books: reads and judges the evidence of an attempt, and writes it into the ledger and the state.
//! Nothing else writes the ledger. In the state, `choose` also writes reservations.

mod administration;
mod others;
mod recover;
mod usage;

use std::time::{Duration, Instant};

use anyhow::Result;

use super::context::Context;
use super::events::Events;
use super::model::{AttemptEnd, Run, RunState, SessionEnd};
use super::said::Said;
use crate::agent::Exit;
use crate::files::LOCK_PATIENCE;
use crate::ledger::{Attempt, Ledger};
use crate::pool::{
    Change, Cooldowns, Lease, Moment, Observation, Observe, Outcome, Release, Settle, State, Usage, Verdict,
};
use crate::run::ChildExit;

pub(crate) use crate::ledger::{Answer, By, Query};
pub(crate) use usage::{Books, unpriced_models};

impl Context {
    /// Writes the outcome of an attempt into the state, releases its lease, and reports changes of the
    /// subscription and of budgets to the event command.
    pub(super) fn book(
        &self,
        lease: &Lease,
        outcome: &Outcome,
        moment: &Moment,
        events: &Events<'_>,
    ) -> Result<Option<Change>> {
        let (pool, costs) = (&self.config.pool, self.costs(&outcome.usage));
        let settled = self.store.settle(&Settle { pool, lease, outcome, costs: &costs, moment });
        self.say_notices();
        let settled = settled?;
        if let Some(change) = &settled.change {
            events.changed(&lease.subscription, change);
        }
        for gauge in &settled.crossed {
            events.budget(gauge);
        }
        Ok(settled.change)
    }

    /// Books a refusal while its agent still runs, unless it has been booked already.
    pub(super) fn refuse(&self, lease: &Lease, outcome: &Outcome, events: &Events<'_>) -> Result<()> {
        let cooldowns = Cooldowns::from(&self.config.pool);
        if let Some(change) = self.observe(lease, Observation::Refusal { outcome, cooldowns })? {
            events.changed(&lease.subscription, &change);
        }
        Ok(())
    }

    /// Records an observation about a running attempt.
    pub(super) fn observe(&self, lease: &Lease, reading: Observation<'_>) -> Result<Option<Change>> {
        self.observe_within(LOCK_PATIENCE, lease, reading)
    }

    /// Like `observe`, but waits at most `patience` for the lock.
    pub(super) fn observe_within(
        &self,
        patience: Duration,
        lease: &Lease,
        reading: Observation<'_>,
    ) -> Result<Option<Change>> {
        let observe = Observe { lease, reading, now: self.now().timestamp() };
        let change = self.store.observe(&observe, patience);
        self.say_notices();
        change
    }

    /// Releases leases that have nothing to book.
    pub(super) fn release(&self, release: &Release<'_>) -> Result<()> {
        let released = self.store.release(release);
        self.say_notices();
        released
    }
}

impl Run<'_> {
    /// Reads the evidence of an attempt, books it, and releases the lease. The agent has ended, so no failure
    /// here may change kage's exit status. The state is written even if the ledger fails, because the next
    /// choice depends on the state.
    ///
    /// The ledger is written first. If kage is killed between the two writes, the lease remains, and the next
    /// kage finds the attempt in the ledger. In the other order the attempt would be lost.
    pub(super) fn settle(&self, state: &RunState, child: ChildExit, begun: Instant) -> AttemptEnd {
        let ChildExit { exit, interrupted, captured } = child;
        let context = self.context;
        let now = context.now();
        let lease = &state.lease;
        // Without records no other kage can have booked this attempt.
        let watched = state.plan.watch.is_some();
        let known = if watched { context.view().unwrap_or_default() } else { State::default() };
        let held = known.held(&lease.id, &lease.subscription);
        let visits = held.map(|held| held.visits.as_slice()).unwrap_or_default();
        let others = state.plan.watch.as_ref().map(|watch| context.others(lease, watch, &known));
        let plan = state.plan.with_visits(visits).with_others(others.unwrap_or_default());
        let evidence = self.agent.collect(&plan, &captured, &now);
        let mut outcome = context.judge(self.agent, exit, &evidence, self.request.model.as_deref(), &now);
        if state.plan.ignores_credential && outcome.verdict == Verdict::AuthRejected {
            outcome.verdict = Verdict::AgentFailed;
        }
        // A 403 on a second subscription is the network's. The state removes the mark of the first one if it is
        // recent, and the run pauses and tries once more.
        let forbidden_elsewhere = state.forbidden_on.as_ref().is_some_and(|name| *name != lease.subscription);
        if forbidden_elsewhere && outcome.is_forbidden() {
            outcome.verdict = Verdict::Unreachable;
        }
        let ends_with_error = !evidence.clone().final_errors().errors.is_empty();
        let ledger = context.ledger();
        if watched && held.is_none() && ledger.trace(lease).is_booked {
            // Another kage that cannot see this process (for example in another container) took it for dead
            // and has already counted its usage.
            outcome.usage = Usage::default();
        } else if let Err(failed) = append(&ledger, state, exit, evidence.session.as_deref(), &outcome, begun)
        {
            self.say(Said::NotInLedger(format!("{failed:#}")));
        }
        let change = context.book(lease, &outcome, &Moment::from(&now), &self.events);
        let change = change.unwrap_or_else(|failed| {
            self.say(Said::NotInState(format!("{failed:#}")));
            None
        });
        self.say_notices();
        self.say_unpriced(lease, &outcome.usage);
        if outcome.is_unknown_refusal() {
            self.say_refused_repeatedly(lease, outcome.evidence.as_deref().unwrap_or_default());
        }
        let subscription = lease.subscription.clone();
        let session = SessionEnd::default();
        AttemptEnd {
            subscription,
            exit,
            interrupted,
            evidence,
            outcome,
            ends_with_error,
            change,
            at: now,
            session,
        }
    }
}

impl Run<'_> {
    /// Warns if the provider refused the last attempts on this subscription, and on no other.
    fn say_refused_repeatedly(&self, lease: &Lease, evidence: &str) {
        let state = self.context.view().unwrap_or_default();
        if let Some((name, times)) = state.refused_repeatedly()
            && *name == lease.subscription
        {
            self.say(Said::RefusedRepeatedly {
                subscription: name.clone(),
                times,
                evidence: evidence.to_owned(),
            });
        }
    }

    /// Reports a budget of costs that does not count what was used, because no price is known.
    fn say_unpriced(&self, lease: &Lease, usage: &Usage) {
        let pool = &self.context.config.pool;
        let Some(owner) = pool.cost_budget(&lease.subscription, lease.namespace.as_ref()) else { return };
        let models = self.context.unpriced(usage);
        if !models.is_empty() {
            self.say(Said::Unpriced { owner, models });
        }
    }
}

fn append(
    ledger: &Ledger,
    state: &RunState,
    exit: Exit,
    session: Option<&str>,
    outcome: &Outcome,
    begun: Instant,
) -> Result<()> {
    let planned = state.plan.watch.as_ref().and_then(|watch| watch.session.as_deref());
    ledger.append(&Attempt {
        lease: &state.lease,
        number: state.number,
        session: session.or(planned),
        verdict: outcome.verdict.word(),
        exit: Some(match exit {
            Exit::Code(code) => code,
            Exit::Signal(signal) => 128 + signal,
        }),
        duration_ms: u64::try_from(begun.elapsed().as_millis()).unwrap_or(u64::MAX),
        usage: &outcome.usage,
    })
}
