//! Beside a session at the terminal: what its hooks tell is acted upon while it runs. On a usage limit with
//! another subscription ready kage says so, waits a moment in which the user can say otherwise, and ends the
//! session, which goes on under the other one.

use std::time::{Duration, Instant};

use anyhow::Result;
use jiff::{SignedDuration, Timestamp, Zoned};

use super::Errand;
use super::journey::{Berth, Journey};
use super::notice::Notice;
use super::pane::Pane;
use super::session::Nowhere;
use crate::agent::{Captured, Evidence, Exit, Work};
use crate::config::Interactive;
use crate::pool::{Lease, Outcome, Verdict};
use crate::report;
use crate::run::{Beside, Next};

/// The user's moment: a prompt that is submitted meanwhile, or leaving the session, keeps kage from going on.
const GRACE: Duration = Duration::from_secs(3);
/// A limit that ends sooner than this is waited for by the agent itself, which then goes on by itself.
const SOON: SignedDuration = SignedDuration::from_secs(15);
/// How long an error may take from being told of to standing in the records, and how often kage looks.
const UNTIL_RECORDED: Duration = Duration::from_secs(3);
const LOOK: Duration = Duration::from_millis(100);
/// A session that was told to end takes a tenth of a second.
const UNTIL_ENDED: Duration = Duration::from_secs(10);

/// What goes on beside the session.
pub(super) struct Live<'a> {
    errand: &'a Errand<'a>,
    journey: &'a Journey,
    pane: Option<&'a mut Pane>,
    notice: Notice,
    stage: Stage,
    /// When the refusal came that was seen last.
    seen: Option<Timestamp>,
    left: Left,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Stage {
    Quiet,
    /// An error was told of, and is looked for in the records.
    Searching {
        until: Instant,
    },
    /// kage will go on elsewhere at that moment, as the text begins to say.
    Grace {
        until: Instant,
        text: String,
    },
    /// The agent has been told to end, and should have by that moment.
    Ending {
        until: Instant,
    },
}

/// What is left of a session's time.
#[derive(Default)]
pub(super) struct Left {
    /// The place on another subscription for which kage ended the session.
    pub berth: Option<Berth>,
    /// Whether the user had been told that kage would go on, or that it cannot.
    pub announced: bool,
    /// Whether the session did not end when kage told it to, and the user was asked to leave it.
    pub told_to_leave: bool,
    /// What could not be said while the session filled the screen.
    pub warnings: Vec<String>,
}

impl<'a> Live<'a> {
    pub(super) fn new(errand: &'a Errand<'a>, journey: &'a Journey, pane: Option<&'a mut Pane>) -> Self {
        let notice = Notice::new(errand.args.quiet);
        Self { errand, journey, pane, notice, stage: Stage::Quiet, seen: None, left: Left::default() }
    }

    pub(super) fn end(mut self) -> Left {
        self.notice.clear();
        self.left
    }

    fn step(&mut self) -> Result<Next> {
        let state = self.errand.desk.store.read()?;
        let lease = &self.journey.lease;
        let held = state.held(&lease.id, &lease.subscription).unwrap_or(lease);
        match self.stage.clone() {
            Stage::Ending { until } if Instant::now() < until => Ok(Next::SleepUntil(until)),
            Stage::Ending { .. } => {
                let agent = self.errand.agent.name();
                self.left.told_to_leave = true;
                self.show(&format!("{agent} was asked to end and has not; leave it to go on"));
                Ok(Next::Sleep)
            }
            Stage::Grace { .. } if held.refused.is_none() => Ok(self.overtaken()),
            Stage::Grace { until, text } if Instant::now() < until => {
                // Each second anew: the agent may have drawn over it.
                self.notice.show(&countdown(&text, until), None);
                Ok(Next::SleepUntil(next_second(until)))
            }
            Stage::Grace { .. } => self.leave(held),
            Stage::Quiet => self.search(held, Instant::now() + UNTIL_RECORDED),
            Stage::Searching { until } => self.search(held, until),
        }
    }

    /// The user has gone on with this conversation, or with another one.
    fn overtaken(&mut self) -> Next {
        self.notice.clear();
        self.show(&format!("staying on {}", self.journey.lease.subscription));
        self.notice.clear();
        self.rest()
    }

    fn rest(&mut self) -> Next {
        self.stage = Stage::Quiet;
        Next::Sleep
    }

    /// Looks for a refusal in the records that has not been seen, and says what follows from it.
    fn search(&mut self, held: &Lease, until: Instant) -> Result<Next> {
        if held.refused.is_none() {
            self.left.announced = false;
            self.status("active");
        }
        let (evidence, outcome, now) = self.judge(held);
        let at = evidence.errors.last().and_then(|error| error.at);
        if !outcome.verdict.is_of_the_account() || at <= self.seen {
            if Instant::now() >= until {
                return Ok(self.rest());
            }
            self.stage = Stage::Searching { until };
            return Ok(Next::SleepUntil(Instant::now() + LOOK));
        }
        self.seen = at;
        self.stage = Stage::Quiet;
        self.errand.desk.refuse(held, &outcome, &now, &self.errand.events)?;
        let known = self.errand.desk.store.read()?.of(&held.subscription);
        if let Some(subscription) = self.errand.desk.config.pool.subscriptions.get(&held.subscription) {
            self.status(known.status(subscription, now.timestamp()).word());
        }
        self.decide(&evidence, &outcome, &now)
    }

    /// What the conversation stands at: a limit of one model may lie behind it, which went on with another.
    fn judge(&self, held: &Lease) -> (Evidence, Outcome, Zoned) {
        let Errand { agent, desk, .. } = self.errand;
        let now = desk.later();
        let evidence =
            agent.collect(&self.journey.plan.after(&held.visits), &Captured::default(), &now).standing();
        let outcome = desk.judge(*agent, Exit::Code(0), &evidence, &now);
        (evidence, outcome, now)
    }

    fn decide(&mut self, evidence: &Evidence, outcome: &Outcome, now: &Zoned) -> Result<Next> {
        let Verdict::UsageLimit { resets_at, .. } = &outcome.verdict else { return Ok(Next::Sleep) };
        let is_over_soon = resets_at.is_some_and(|at| at <= now.timestamp() + SOON);
        let fruitless = evidence.work == Work::None && self.journey.fruitless >= self.errand.patience();
        if self.errand.interactive() != Interactive::Auto || is_over_soon || fruitless {
            return Ok(Next::Sleep);
        }
        let refused = report::refused(&self.journey.lease.subscription, outcome, now);
        self.left.announced = true;
        match self.errand.other(self.journey, evidence.session.as_deref(), outcome)? {
            Ok(to) => {
                let until = Instant::now() + GRACE;
                let text = format!("{refused}; continuing on {to}");
                self.show(&countdown(&text, until));
                self.stage = Stage::Grace { until, text };
                Ok(Next::SleepUntil(next_second(until)))
            }
            Err(nowhere) => {
                self.nothing(&refused, &nowhere, now);
                Ok(Next::Sleep)
            }
        }
    }

    fn nothing(&mut self, refused: &str, nowhere: &Nowhere, now: &Zoned) {
        let request = &self.errand.request;
        if let (Nowhere::NotReady(not_ready), None) = (nowhere, &request.only) {
            self.errand.events.all_limited(not_ready);
        }
        self.show(&format!("{refused}; {}", nowhere.sentence(request, now)));
    }

    /// The moment is over. The other place is taken, with its credential in hand, before the session is ended:
    /// it must not be ended for nothing. A credential may take its time, in which the user can still go on.
    fn leave(&mut self, held: &Lease) -> Result<Next> {
        self.stage = Stage::Quiet;
        self.notice.clear();
        let (evidence, outcome, now) = self.judge(held);
        if !matches!(outcome.verdict, Verdict::UsageLimit { .. }) {
            return Ok(self.overtaken());
        }
        match self.errand.berth(
            self.journey,
            evidence.session.as_deref(),
            &outcome,
            &mut self.left.warnings,
        )? {
            Ok(berth) if self.has_gone_on(held) => {
                self.errand.give_back(&berth.lease)?;
                Ok(self.overtaken())
            }
            Ok(berth) => {
                self.left.berth = Some(berth);
                let until = Instant::now() + UNTIL_ENDED;
                self.stage = Stage::Ending { until };
                Ok(Next::End(until))
            }
            Err(nowhere) => {
                let refused = report::refused(&self.journey.lease.subscription, &outcome, &now);
                self.nothing(&refused, &nowhere, &now);
                Ok(Next::Sleep)
            }
        }
    }

    /// Whether the user has gone on since then, as the hooks or the records tell; perhaps into another refusal,
    /// which has a moment of its own. A state that cannot be read does not say so.
    fn has_gone_on(&self, before: &Lease) -> bool {
        let state = self.errand.desk.store.read().unwrap_or_default();
        let Some(held) = state.held(&before.id, &before.subscription) else { return false };
        let (evidence, outcome, _) = self.judge(held);
        let is_another = evidence.errors.last().and_then(|error| error.at) > self.seen;
        // The records come a little after the hooks.
        let is_overtaken = held.refused != before.refused || is_another;
        is_overtaken || !matches!(outcome.verdict, Verdict::UsageLimit { .. })
    }

    fn show(&mut self, text: &str) {
        self.notice.show(text, self.pane.as_deref_mut());
    }

    fn status(&mut self, word: &str) {
        if let Some(pane) = &mut self.pane {
            pane.status(word);
        }
    }
}

fn countdown(text: &str, until: Instant) -> String {
    let left = until.saturating_duration_since(Instant::now());
    format!("{text} in {} s, a prompt keeps you here", left.as_millis().div_ceil(1000))
}

/// When the second ends that is left now.
fn next_second(until: Instant) -> Instant {
    let left = until.saturating_duration_since(Instant::now());
    let whole = left.as_millis().div_ceil(1000).saturating_sub(1);
    until.checked_sub(Duration::from_secs(u64::try_from(whole).unwrap_or(0))).unwrap_or(until)
}

impl Beside for Live<'_> {
    fn started(&mut self) {
        let Lease { subscription, namespace, .. } = &self.journey.lease;
        if let Some(pane) = &mut self.pane {
            pane.show(subscription, namespace.as_ref(), "active");
        }
    }

    fn tend(&mut self) {
        if let Some(pane) = &mut self.pane {
            pane.tend();
        }
    }

    fn look(&mut self) -> Next {
        self.step().unwrap_or_else(|why| {
            self.stage = Stage::Quiet;
            self.show(&format!("could not go on: {why:#}"));
            Next::Sleep
        })
    }
}
