//! The observer of a running session: acts on the reports of the agent's hooks. On a usage limit, if another
//! subscription is ready, it announces the switch, waits for a grace period in which the user can decide
//! otherwise, and ends the session, which then continues on the other subscription.

use std::time::{Duration, Instant};

use anyhow::Result;
use jiff::{SignedDuration, Timestamp, Zoned};

use crate::agent::{Captured, Evidence, Exit, Work};
use crate::engine::choose::Successor;
use crate::engine::model::{Reservation, Run, RunState, SessionEnd};
use crate::engine::next::{Form, Next, Session, Situation, next};
use crate::engine::pane::Pane;
use crate::engine::said::{NoSuccessor, Refusal, Said};
use crate::engine::voice::Banner;
use crate::pool::{Lease, Name, Outcome, Release, Verdict};
use crate::run::{Response, SessionObserver};

/// The grace period before a switch. If the user submits a prompt or leaves the session meanwhile, kage does
/// not continue on the other subscription.
const GRACE: Duration = Duration::from_secs(3);
/// If a limit resets sooner than this, the agent waits for the reset and continues on its own.
const SOON: SignedDuration = SignedDuration::from_secs(15);
/// The first interval at which kage searches the transcript for an error that was reported but is not there
/// yet. A busy machine may delay the agent's write. kage searches `FAST_SEARCHES` times at this interval,
/// then `SLOW_SEARCHES` times with an interval that doubles: half a minute in all.
const SEARCH_INTERVAL: Duration = Duration::from_millis(100);
const FAST_SEARCHES: u32 = 30;
const SLOW_SEARCHES: u32 = 8;
/// How long a session may take to end after SIGTERM. Usually it takes a tenth of a second.
const END_LIMIT: Duration = Duration::from_secs(10);

/// The observer of one attempt of a session.
pub(in crate::engine) struct Live<'a> {
    run: &'a Run<'a>,
    state: &'a RunState,
    pane: Option<&'a mut Pane>,
    banner: Banner,
    stage: Stage,
    /// The time of the last refusal that was handled.
    handled: Option<Timestamp>,
    end: SessionEnd,
}

#[derive(Debug, Clone)]
enum Stage {
    Quiet,
    /// An error was reported, and this many searches have not found it. Searches are counted instead of time
    /// because kage may be stopped together with its agent.
    Searching {
        searches: u32,
    },
    /// kage will continue on subscription `to` at `until`.
    Grace {
        until: Instant,
        refusal: Refusal,
        to: Name,
    },
    /// The agent got SIGTERM and should have ended by `until`.
    Ending {
        until: Instant,
    },
}

impl<'a> Live<'a> {
    pub(in crate::engine) fn new(run: &'a Run<'a>, state: &'a RunState, pane: Option<&'a mut Pane>) -> Self {
        let banner = Banner::new(run.context.voice.draws());
        Self { run, state, pane, banner, stage: Stage::Quiet, handled: None, end: SessionEnd::default() }
    }

    pub(in crate::engine) fn end(mut self) -> SessionEnd {
        self.banner.clear();
        self.end
    }

    fn step(&mut self) -> Result<Response> {
        let state = self.run.context.view()?;
        let lease = &self.state.lease;
        // If the lease is not in the state, it is not known whether the user continued.
        let known = state.held(&lease.id, &lease.subscription);
        let held = known.unwrap_or(lease);
        match self.stage.clone() {
            Stage::Ending { until } if Instant::now() < until => Ok(Response::Until(until)),
            Stage::Ending { .. } => {
                self.end.asked_to_leave = true;
                self.show(&Said::DidNotEnd { agent: self.run.agent.name().to_owned() });
                Ok(Response::Sleep)
            }
            Stage::Grace { .. } if known.is_some_and(|held| held.refused.is_none()) => Ok(self.stay()),
            Stage::Grace { until, refusal, to } if Instant::now() < until => {
                // Redrawn every second: the agent may have drawn over it.
                let text = self.text(&countdown(refusal, to, until));
                self.banner.show(&text, None);
                Ok(Response::Until(next_second(until)))
            }
            Stage::Grace { .. } => self.finish_grace(held),
            Stage::Quiet => self.search(held, 0),
            Stage::Searching { searches } => self.search(held, searches),
        }
    }

    /// Cancels the switch: the user has continued this conversation or another one.
    fn stay(&mut self) -> Response {
        self.banner.clear();
        self.show(&Said::Staying(self.state.lease.subscription.clone()));
        self.banner.clear();
        self.be_quiet()
    }

    fn be_quiet(&mut self) -> Response {
        self.stage = Stage::Quiet;
        Response::Sleep
    }

    /// Searches the transcript for a refusal that has not been handled, and acts on it.
    fn search(&mut self, held: &Lease, searches: u32) -> Result<Response> {
        if held.refused.is_none() && searches == 0 {
            self.end.announced = false;
            self.status("active");
        }
        let (evidence, outcome, now) = self.judge(held);
        if !outcome.verdict.concerns_subscription() || !self.is_new(&evidence) {
            let Some(pause) = pause_after(searches) else { return Ok(self.be_quiet()) };
            self.stage = Stage::Searching { searches: searches + 1 };
            return Ok(Response::Until(Instant::now() + pause));
        }
        self.handled = latest(&evidence);
        self.stage = Stage::Quiet;
        let context = self.run.context;
        context.refuse(held, &outcome, &self.run.events)?;
        let known = context.view()?.of(&held.subscription);
        if let Some(subscription) = context.config.pool.subscriptions.get(&held.subscription) {
            self.status(known.status(subscription, now.timestamp()).word());
        }
        self.decide(&evidence, outcome, &now)
    }

    /// Whether the conversation ends with an error that is later than the one that was handled.
    fn is_new(&self, evidence: &Evidence) -> bool {
        latest(evidence) > self.handled
    }

    /// Judges how the conversation ends now. Earlier errors do not count: the user may have continued after a
    /// limit of one model by choosing another model.
    fn judge(&self, held: &Lease) -> (Evidence, Outcome, Zoned) {
        let Run { agent, context, .. } = self.run;
        let now = context.now();
        let plan = self.state.plan.with_visits(&held.visits);
        let evidence = agent.collect(&plan, &Captured::default(), &now).final_errors();
        let outcome =
            context.judge(*agent, Exit::Code(0), &evidence, self.run.request.model.as_deref(), &now);
        (evidence, outcome, now)
    }

    fn decide(&mut self, evidence: &Evidence, outcome: Outcome, now: &Zoned) -> Result<Response> {
        let is_stalled =
            evidence.work == Work::None && self.state.idle_attempts >= self.run.session_retries();
        let soon = now.timestamp() + SOON;
        let resets_soon = matches!(
            &outcome.verdict, Verdict::UsageLimit { resets_at: Some(at), .. } if *at <= soon
        );
        let facts = Session { is_stalled, resets_soon, ..self.run.session_facts() };
        let situation = Situation {
            verdict: &outcome.verdict,
            work: evidence.work,
            interrupted: false,
            form: Form::Running(facts),
        };
        if next(&situation) == Next::Final {
            return Ok(Response::Sleep);
        }
        self.end.announced = true;
        let found = self.run.another(self.state, evidence.session.as_deref(), &outcome, false)?;
        let refusal = self.refusal(outcome);
        match found {
            Successor::Ready(to) => {
                let until = Instant::now() + GRACE;
                self.show(&countdown(refusal.clone(), to.clone(), until));
                self.stage = Stage::Grace { until, refusal, to };
                Ok(Response::Until(next_second(until)))
            }
            Successor::None(why) => {
                self.show_no_successor(refusal, why);
                Ok(Response::Sleep)
            }
            Successor::Reserved(_) => Ok(Response::Sleep), // cannot happen: `reserves` is not set
        }
    }

    fn refusal(&self, outcome: Outcome) -> Refusal {
        Refusal { subscription: self.state.lease.subscription.clone(), outcome }
    }

    fn show_no_successor(&mut self, refusal: Refusal, why: NoSuccessor) {
        let request = &self.run.request;
        if let (Some(not_ready), None) = (why.not_ready(), &request.only) {
            self.run.events.all_limited(not_ready);
        }
        let request = Box::new(request.clone());
        self.show(&Said::NoSuccessor { refusal: Some(refusal), why, request, waits: false });
    }

    /// Ends the grace period. The other subscription is reserved and its credential read before the session
    /// is ended: if that fails, the session keeps running. Reading a credential may take time, and the user
    /// can still continue meanwhile.
    fn finish_grace(&mut self, held: &Lease) -> Result<Response> {
        self.stage = Stage::Quiet;
        self.banner.clear();
        let (evidence, outcome, _) = self.judge(held);
        if outcome.verdict.concerns_subscription() && self.is_new(&evidence) {
            return self.step(); // another prompt was refused: it gets its own grace period
        }
        if !matches!(outcome.verdict, Verdict::UsageLimit { .. }) {
            return Ok(self.stay());
        }
        match self.run.another(self.state, evidence.session.as_deref(), &outcome, true)? {
            Successor::Reserved(reservation) => self.end_session(held, reservation),
            Successor::None(why) => {
                let refusal = self.refusal(outcome);
                self.show_no_successor(refusal, why);
                Ok(Response::Sleep)
            }
            Successor::Ready(_) => Ok(Response::Sleep), // cannot happen: `reserves` is set
        }
    }

    fn end_session(&mut self, held: &Lease, reservation: Reservation) -> Result<Response> {
        if self.has_continued(held) {
            self.run.context.release(&Release::NotStarted(&reservation.lease))?;
            self.stay();
            return self.step();
        }
        self.end.reservation = Some(reservation);
        let until = Instant::now() + END_LIMIT;
        self.stage = Stage::Ending { until };
        Ok(Response::Terminate(until))
    }

    /// Whether the hooks or the transcript show that the user has continued since `before`. The new prompt
    /// may have been refused too, and then gets its own grace period. If the state cannot be read, the answer
    /// is no.
    fn has_continued(&self, before: &Lease) -> bool {
        let state = self.run.context.view().unwrap_or_default();
        let Some(held) = state.held(&before.id, &before.subscription) else { return false };
        let (evidence, outcome, _) = self.judge(held);
        // The agent writes its transcript shortly after it calls the hooks, so both are checked.
        let has_changed = held.refused != before.refused || self.is_new(&evidence);
        has_changed || !matches!(outcome.verdict, Verdict::UsageLimit { .. })
    }

    fn text(&self, said: &Said) -> String {
        self.run.context.voice.text(said, &self.run.context.now())
    }

    fn show(&mut self, said: &Said) {
        let text = self.text(said);
        self.banner.show(&text, self.pane.as_deref_mut());
    }

    fn status(&mut self, word: &str) {
        if let Some(pane) = &mut self.pane {
            pane.status(word);
        }
    }
}

/// Returns the time of the last error.
fn latest(evidence: &Evidence) -> Option<Timestamp> {
    evidence.errors.last().and_then(|error| error.at)
}

/// Returns the pause after this many searches that found nothing; `None` when kage stops searching.
fn pause_after(searches: u32) -> Option<Duration> {
    (searches < FAST_SEARCHES + SLOW_SEARCHES)
        .then(|| SEARCH_INTERVAL * 2_u32.pow(searches.saturating_sub(FAST_SEARCHES)))
}

fn countdown(refusal: Refusal, to: Name, until: Instant) -> Said {
    let left = until.saturating_duration_since(Instant::now());
    Said::Countdown { refusal, to, seconds: left.as_millis().div_ceil(1000) }
}

/// Returns the time at which the countdown shows its next number.
fn next_second(until: Instant) -> Instant {
    let left = until.saturating_duration_since(Instant::now());
    let whole = left.as_millis().div_ceil(1000).saturating_sub(1);
    until.checked_sub(Duration::from_secs(u64::try_from(whole).unwrap_or(0))).unwrap_or(until)
}

impl SessionObserver for Live<'_> {
    fn started(&mut self) {
        let Lease { subscription, namespace, .. } = &self.state.lease;
        if let Some(pane) = &mut self.pane {
            pane.show(subscription, namespace.as_ref(), "active");
        }
    }

    fn reap(&mut self) {
        if let Some(pane) = &mut self.pane {
            pane.reap();
        }
    }

    fn look(&mut self, reported: bool) -> Response {
        if reported && matches!(self.stage, Stage::Searching { .. }) {
            self.stage = Stage::Quiet; // this may be another error: count the searches from 0
        }
        self.step().unwrap_or_else(|why| {
            self.stage = Stage::Quiet;
            self.show(&Said::NotContinued(format!("{why:#}")));
            Response::Sleep
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_is_searched_for_often_at_first_and_for_half_a_minute() {
        let pauses: Vec<_> = (0..).map_while(pause_after).collect();
        assert!(
            pauses.len() < 40 && pauses[..30].iter().all(|pause| *pause == SEARCH_INTERVAL),
            "{pauses:?}"
        );
        let (at_first, all) = (pauses[..30].iter().sum(), pauses.iter().sum());
        assert_eq!((Duration::from_secs(3), Duration::from_millis(28_500)), (at_first, all));
        assert!(pauses.is_sorted(), "{pauses:?}");
    }
}
