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
/// How long an error may take from being reported to being in the records, and how often kage looks.
const UNTIL_RECORDED: Duration = Duration::from_secs(3);
const LOOK: Duration = Duration::from_millis(100);
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
    /// An error was reported, and is looked for in the records.
    Searching {
        until: Instant,
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
        let held = state.held(&lease.id, &lease.subscription).unwrap_or(lease);
        match self.stage.clone() {
            Stage::Ending { until } if Instant::now() < until => Ok(Rest::Until(until)),
            Stage::Ending { .. } => {
                self.end.told_to_leave = true;
                self.show(&Said::LeaveIt { agent: self.run.agent.name().to_owned() });
                Ok(Rest::Sleep)
            }
            Stage::Grace { .. } if held.refused.is_none() => Ok(self.overtaken()),
            Stage::Grace { until, refusal, to } if Instant::now() < until => {
                // Every second again: the agent may have drawn over it.
                let text = self.text(&countdown(refusal, to, until));
                self.banner.show(&text, None);
                Ok(Rest::Until(next_second(until)))
            }
            Stage::Grace { .. } => self.leave(held),
            Stage::Quiet => self.search(held, Instant::now() + UNTIL_RECORDED),
            Stage::Searching { until } => self.search(held, until),
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
    fn search(&mut self, held: &Lease, until: Instant) -> Result<Rest> {
        if held.refused.is_none() {
            self.end.announced = false;
            self.status("active");
        }
        let (evidence, outcome, now) = self.judge(held);
        let at = evidence.errors.last().and_then(|error| error.at);
        if !outcome.verdict.is_of_the_account() || at <= self.seen {
            if Instant::now() >= until {
                return Ok(self.rest());
            }
            self.stage = Stage::Searching { until };
            return Ok(Rest::Until(Instant::now() + LOOK));
        }
        self.seen = at;
        self.stage = Stage::Quiet;
        let context = self.run.context;
        context.refuse(held, &outcome, &self.run.events)?;
        let known = context.view()?.of(&held.subscription);
        if let Some(subscription) = context.config.pool.subscriptions.get(&held.subscription) {
            self.status(known.status(subscription, now.timestamp()).word());
        }
        self.decide(&evidence, outcome, &now)
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
            return Ok(self.overtaken());
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
        let is_another = evidence.errors.last().and_then(|error| error.at) > self.seen;
        // The records come a little after the hooks.
        let is_overtaken = held.refused != before.refused || is_another;
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

    fn look(&mut self) -> Rest {
        self.step().unwrap_or_else(|why| {
            self.stage = Stage::Quiet;
            self.show(&Said::CouldNotContinue(format!("{why:#}")));
            Rest::Sleep
        })
    }
}
