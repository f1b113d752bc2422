//! The books: what an attempt left is read, judged, and written into the state and the ledger.

use std::time::Instant;

use anyhow::Result;
use jiff::Zoned;

use super::Errand;
use super::journey::Journey;
use super::live::Left;
use crate::agent::{Evidence, Exit};
use crate::error;
use crate::ledger::{Attempt, Ledger};
use crate::pool::{Change, Name, Outcome, State, Usage, Verdict};
use crate::run;

/// An attempt that has ended, and what it came to.
pub(super) struct Ended {
    pub subscription: Name,
    pub exit: Exit,
    pub interrupted: bool,
    pub evidence: Evidence,
    pub outcome: Outcome,
    /// Whether the conversation stands at an error.
    pub stands: bool,
    /// What it changed about the subscription.
    pub change: Option<Change>,
    /// When.
    pub now: Zoned,
    /// Of a session at the terminal.
    pub left: Left,
}

impl Errand<'_> {
    /// Transaction 2: read what the attempt left, book it, give the lease back. The agent has ended, so
    /// nothing here may change how kage ends; and the state, by which the next run is chosen, does not
    /// depend on the ledger.
    ///
    /// The ledger comes first. Where kage is killed between the two the lease stays, and whoever finds it
    /// sees that its attempt is written down; the other way round the attempt would be lost.
    pub(super) fn settle(&self, journey: &Journey, ended: run::Ended, begun: Instant) -> Ended {
        let run::Ended { exit, interrupted, captured } = ended;
        let now = self.desk.later();
        let lease = &journey.lease;
        // What has no records, nobody else can have counted or told of.
        let watched = journey.plan.watch.is_some();
        let state = if watched { self.desk.store.read().unwrap_or_default() } else { State::default() };
        let held = state.held(&lease.id, &lease.subscription);
        let visits = held.map(|held| held.visits.as_slice()).unwrap_or_default();
        let others = journey.plan.watch.as_ref().map(|watch| self.desk.others(lease, watch, &state));
        let plan = journey.plan.after(visits).beside(others.unwrap_or_default());
        let evidence = self.agent.collect(&plan, &captured, &now);
        let mut outcome = self.desk.judge(self.agent, exit, &evidence, &now);
        if journey.plan.ignores_credential && outcome.verdict == Verdict::AuthRejected {
            outcome.verdict = Verdict::AgentFailed;
        }
        let stands = !evidence.clone().standing().errors.is_empty();
        let session = evidence.session.as_deref();
        let ledger = Ledger::new(&self.desk.paths.state);
        if watched && held.is_none() && ledger.trace(lease).is_booked {
            // A kage that cannot see this process, as from another container, has counted what it saw.
            outcome.usage = Usage::default();
        } else if let Err(failed) = append(&ledger, journey, exit, session, &outcome, begun) {
            error::warn(format_args!("this run is not in the ledger: {failed:#}"));
        }
        let change = self.desk.book(lease, &outcome, &now, &self.events).unwrap_or_else(|failed| {
            error::warn(format_args!("what this run showed is not in the state: {failed:#}"));
            None
        });
        let subscription = lease.subscription.clone();
        let left = Left::default();
        Ended { subscription, exit, interrupted, evidence, outcome, stands, change, now, left }
    }
}

fn append(
    ledger: &Ledger,
    journey: &Journey,
    exit: Exit,
    session: Option<&str>,
    outcome: &Outcome,
    begun: Instant,
) -> Result<()> {
    let Journey { lease, plan, .. } = journey;
    let planned = plan.watch.as_ref().and_then(|watch| watch.session.as_deref());
    ledger.append(&Attempt {
        lease,
        number: journey.number,
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
