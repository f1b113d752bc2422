//! Beside a session at the terminal: what its hooks report is acted upon while it runs. On a usage limit with
//! another subscription ready kage says so, waits a moment in which the user can say otherwise, and ends the
//! session, which continues on the other one.

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
use crate::run::{Rest, SessionObserver};

/// The user's moment: a prompt that is submitted meanwhile, or leaving the session, keeps kage from continuing.
const GRACE: Duration = Duration::from_secs(3);
/// A limit that ends sooner than this is waited for by the agent itself, which then continues by itself.
const SOON: SignedDuration = SignedDuration::from_secs(15);
/// How often kage looks for an error that was reported but is not in the records yet: `LOOKS` times, then `SLOW_LOOKS`
/// times with a pause that doubles, half a minute in all. A busy machine may delay the agent's write.
const LOOK: Duration = Duration::from_millis(100);
const LOOKS: u32 = 30;
const SLOW_LOOKS: u32 = 8;
/// A session that was told to end takes a tenth of a second.
const UNTIL_ENDED: Duration = Duration::from_secs(10);

/// What happens beside the session.
pub(in crate::engine) struct Live<'a> {
    run: &'a Run<'a>,
    state: &'a RunState,
    pane: Option<&'a mut Pane>,
    banner: Banner,
    stage: Stage,
    /// When the refusal came that was seen last.
    seen: Option<Timestamp>,
    end: SessionEnd,
}

#[derive(Debug, Clone)]
enum Stage {
    Quiet,
    /// An error was reported, and this many looks have not found it. Looks are counted, not time: kage may be stopped
    /// together with its agent.
    Searching {
        looks: u32,
    },
    /// kage will continue on that subscription at that moment.
    Grace {
        until: Instant,
        refusal: Refusal,
        to: Name,
    },
    /// The agent has been told to end, and should have by that moment.
    Ending {
        until: Instant,
    },
}

impl<'a> Live<'a> {
    pub(in crate::engine) fn new(run: &'a Run<'a>, state: &'a RunState, pane: Option<&'a mut Pane>) -> Self {
        let banner = Banner::new(run.context.voice.draws());
        Self { run, state, pane, banner, stage: Stage::Quiet, seen: None, end: SessionEnd::default() }
    }

    pub(in crate::engine) fn end(mut self) -> SessionEnd {
        self.banner.clear();
        self.end
    }

    fn step(&mut self) -> Result<Rest> {
        let state = self.run.context.view()?;
        let lease = &self.state.lease;
        // A state that has lost the lease says nothing of what the user did.
        let known = state.held(&lease.id, &lease.subscription);
        let held = known.unwrap_or(lease);
        match self.stage.clone() {
            Stage::Ending { until } if Instant::now() < until => Ok(Rest::Until(until)),
            Stage::Ending { .. } => {
                self.end.told_to_leave = true;
                self.show(&Said::LeaveIt { agent: self.run.agent.name().to_owned() });
                Ok(Rest::Sleep)
            }
            Stage::Grace { .. } if known.is_some_and(|held| held.refused.is_none()) => Ok(self.overtaken()),
            Stage::Grace { until, refusal, to } if Instant::now() < until => {
                // Every second again: the agent may have drawn over it.
                let text = self.text(&countdown(refusal, to, until));
                self.banner.show(&text, None);
                Ok(Rest::Until(next_second(until)))
            }
            Stage::Grace { .. } => self.leave(held),
            Stage::Quiet => self.search(held, 0),
            Stage::Searching { looks } => self.search(held, looks),
        }
    }

    /// The user has continued this conversation, or another one.
    fn overtaken(&mut self) -> Rest {
        self.banner.clear();
        self.show(&Said::Staying(self.state.lease.subscription.clone()));
        self.banner.clear();
        self.rest()
    }

    fn rest(&mut self) -> Rest {
        self.stage = Stage::Quiet;
        Rest::Sleep
    }

    /// Looks for a refusal in the records that has not been seen, and says what follows from it.
    fn search(&mut self, held: &Lease, looks: u32) -> Result<Rest> {
        if held.refused.is_none() && looks == 0 {
            self.end.announced = false;
            self.status("active");
        }
        let (evidence, outcome, now) = self.judge(held);
        if !outcome.verdict.is_of_the_account() || !self.is_new(&evidence) {
            let Some(pause) = pause_after(looks) else { return Ok(self.rest()) };
            self.stage = Stage::Searching { looks: looks + 1 };
            return Ok(Rest::Until(Instant::now() + pause));
        }
        self.seen = latest(&evidence);
        self.stage = Stage::Quiet;
        let context = self.run.context;
        context.refuse(held, &outcome, &self.run.events)?;
        let known = context.view()?.of(&held.subscription);
        if let Some(subscription) = context.config.pool.subscriptions.get(&held.subscription) {
            self.status(known.status(subscription, now.timestamp()).word());
        }
        self.decide(&evidence, outcome, &now)
    }

    /// Whether the conversation ends with an error that came after the one that was seen.
    fn is_new(&self, evidence: &Evidence) -> bool {
        latest(evidence) > self.seen
    }

    /// What the conversation ends with: a limit of one model may have been overcome with another.
    fn judge(&self, held: &Lease) -> (Evidence, Outcome, Zoned) {
        let Run { agent, context, .. } = self.run;
        let now = context.now();
        let plan = self.state.plan.with_visits(&held.visits);
        let evidence = agent.collect(&plan, &Captured::default(), &now).final_errors();
        let outcome = context.judge(*agent, Exit::Code(0), &evidence, &now);
        (evidence, outcome, now)
    }

    fn decide(&mut self, evidence: &Evidence, outcome: Outcome, now: &Zoned) -> Result<Rest> {
        let is_fruitless = evidence.work == Work::None && self.state.fruitless >= self.run.patience();
        let soon = now.timestamp() + SOON;
        let resets_soon = matches!(
            &outcome.verdict, Verdict::UsageLimit { resets_at: Some(at), .. } if *at <= soon
        );
        let facts = Session { is_fruitless, resets_soon, ..self.run.session_facts() };
        let situation = Situation {
            verdict: &outcome.verdict,
            work: evidence.work,
            interrupted: false,
            form: Form::Running(facts),
        };
        if next(&situation) == Next::Final {
            return Ok(Rest::Sleep);
        }
        self.end.announced = true;
        let found = self.run.another(self.state, evidence.session.as_deref(), &outcome, false)?;
        let refusal = self.refusal(outcome);
        match found {
            Successor::Ready(to) => {
                let until = Instant::now() + GRACE;
                self.show(&countdown(refusal.clone(), to.clone(), until));
                self.stage = Stage::Grace { until, refusal, to };
                Ok(Rest::Until(next_second(until)))
            }
            Successor::None(why) => {
                self.nothing(refusal, why);
                Ok(Rest::Sleep)
            }
            Successor::Reserved(_) => Ok(Rest::Sleep), // nothing was to be reserved
        }
    }

    fn refusal(&self, outcome: Outcome) -> Refusal {
        Refusal { subscription: self.state.lease.subscription.clone(), outcome }
    }

    fn nothing(&mut self, refusal: Refusal, why: NoSuccessor) {
        let request = &self.run.request;
        if let (Some(not_ready), None) = (why.not_ready(), &request.only) {
            self.run.events.all_limited(not_ready);
        }
        let request = Box::new(request.clone());
        self.show(&Said::NoSuccessor { refusal: Some(refusal), why, request, waits: false });
    }

    /// The moment is over. The other place is taken, with its credential in hand, before the session is ended:
    /// it must not be ended for nothing. A credential may take its time, in which the user can still continue.
    fn leave(&mut self, held: &Lease) -> Result<Rest> {
        self.stage = Stage::Quiet;
        self.banner.clear();
        let (evidence, outcome, _) = self.judge(held);
        if outcome.verdict.is_of_the_account() && self.is_new(&evidence) {
            return self.step(); // a prompt was refused as well: that has a moment of its own
        }
        if !matches!(outcome.verdict, Verdict::UsageLimit { .. }) {
            return Ok(self.overtaken());
        }
        match self.run.another(self.state, evidence.session.as_deref(), &outcome, true)? {
            Successor::Reserved(reservation) => self.end_session(held, reservation),
            Successor::None(why) => {
                let refusal = self.refusal(outcome);
                self.nothing(refusal, why);
                Ok(Rest::Sleep)
            }
            Successor::Ready(_) => Ok(Rest::Sleep), // a place was to be reserved
        }
    }

    fn end_session(&mut self, held: &Lease, reservation: Reservation) -> Result<Rest> {
        if self.has_continued(held) {
            self.run.context.release(&Release::NotStarted(&reservation.lease))?;
            self.overtaken();
            return self.step();
        }
        self.end.reservation = Some(reservation);
        let until = Instant::now() + UNTIL_ENDED;
        self.stage = Stage::Ending { until };
        Ok(Rest::Terminate(until))
    }

    /// Whether the user has continued since then, as the hooks or the records say; perhaps into another refusal,
    /// which has a moment of its own. A state that cannot be read does not say so.
    fn has_continued(&self, before: &Lease) -> bool {
        let state = self.run.context.view().unwrap_or_default();
        let Some(held) = state.held(&before.id, &before.subscription) else { return false };
        let (evidence, outcome, _) = self.judge(held);
        // The records come a little after the hooks.
        let is_overtaken = held.refused != before.refused || self.is_new(&evidence);
        is_overtaken || !matches!(outcome.verdict, Verdict::UsageLimit { .. })
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

/// When the last error came.
fn latest(evidence: &Evidence) -> Option<Timestamp> {
    evidence.errors.last().and_then(|error| error.at)
}

/// How long kage waits after this many looks without success; `None` where it gives up.
fn pause_after(looks: u32) -> Option<Duration> {
    (looks < LOOKS + SLOW_LOOKS).then(|| LOOK * 2_u32.pow(looks.saturating_sub(LOOKS)))
}

fn countdown(refusal: Refusal, to: Name, until: Instant) -> Said {
    let left = until.saturating_duration_since(Instant::now());
    Said::Countdown { refusal, to, seconds: left.as_millis().div_ceil(1000) }
}

/// When the second ends that is left now.
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

    fn look(&mut self, reported: bool) -> Rest {
        if reported && matches!(self.stage, Stage::Searching { .. }) {
            self.stage = Stage::Quiet; // perhaps another error, which is looked for as long
        }
        self.step().unwrap_or_else(|why| {
            self.stage = Stage::Quiet;
            self.show(&Said::NotContinued(format!("{why:#}")));
            Rest::Sleep
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_is_looked_for_often_at_first_and_for_half_a_minute() {
        let pauses: Vec<_> = (0..).map_while(pause_after).collect();
        assert!(pauses.len() < 40 && pauses[..30].iter().all(|pause| *pause == LOOK), "{pauses:?}");
        let (at_first, all) = (pauses[..30].iter().sum(), pauses.iter().sum());
        assert_eq!((Duration::from_secs(3), Duration::from_millis(28_500)), (at_first, all));
        assert!(pauses.is_sorted(), "{pauses:?}");
    }
}
