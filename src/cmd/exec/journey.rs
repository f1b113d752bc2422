//! A run's way through the pool: where it stands, where it has been, and what comes next.

use std::time::Duration;

use anyhow::Result;

use super::Errand;
use super::books::Ended;
use super::step::{How, Place, Situation, Step, step};
use crate::agent::{LaunchPlan, Opening, SecretKind, Work};
use crate::error;
use crate::files::Durability;
use crate::pool::{Lease, Name, NotReady, Request, Rule, Scope, Verdict, peek};
use crate::report;
use crate::run::{self, Handover, Relay};

/// Where a run stands.
pub(super) struct Journey {
    /// The attempt that comes, counted from 1.
    pub number: u32,
    pub lease: Lease,
    pub handover: Option<Handover>,
    pub plan: LaunchPlan,
    /// Whether the attempt that comes reads what kage was given on standard input.
    pub reads_input: bool,
    /// The kind of secret that the run began with; `None` for a login directory.
    first_kind: Option<&'static SecretKind>,
    /// The model that an attempt used.
    used_model: Option<String>,
    /// Whether an attempt of this run has done anything.
    work: Work,
    pub session: Option<String>,
    /// How many attempts in a row have done nothing.
    pub fruitless: u32,
    /// The model family of a limit that one of the attempts hit.
    limited_model: Option<String>,
    /// Subscriptions that this run has had enough of, until it waits for one to come back.
    tried: Vec<Name>,
    /// Those that are of no use to this run, however long it waits.
    unusable: Vec<Name>,
    /// Those that it has waited for after they were throttled.
    paused_on: Vec<Name>,
    /// Whether it has waited for the provider.
    paused: bool,
}

/// A place on a subscription, with the credential for it.
pub(super) struct Berth {
    pub lease: Lease,
    pub handover: Option<Handover>,
}

/// What follows an attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Onward {
    /// Another one, which the journey has been prepared for.
    Again,
    /// Nothing: it stands.
    Stands,
    /// Nothing: a signal ended kage between two attempts.
    EndedBy(i32),
}

impl Journey {
    /// The first attempt. Where nothing is ready this fails, or waits.
    pub(super) fn begin(errand: &Errand<'_>) -> Result<Self> {
        let (lease, selection) = match errand.reserve(&errand.request)? {
            Ok(chosen) => chosen,
            Err(not_ready) => errand.wait_or_refuse(&errand.request, not_ready)?,
        };
        if let Some(overruled) = &selection.overruled {
            let because = report::because(&selection.name, overruled, &errand.desk.now);
            let flag = match overruled.rule {
                Rule::Budget if errand.request.over_budget => "--over-budget",
                _ => "-s",
            };
            let what = if overruled.of_namespace { "running" } else { "using it" };
            errand.say(format_args!("warning: {because}; {what} all the same ({flag})"));
        }
        let subscription = &errand.desk.config.pool.subscriptions[&selection.name];
        let handover = errand.fetch(subscription, &lease)?;
        let grant = errand.grant(subscription, handover.as_ref());
        let takes_over = errand.retries() > 0;
        let plan = errand.plan(subscription, grant, Opening::AsTyped, None, takes_over);
        Ok(Self {
            number: 1,
            lease,
            first_kind: handover.as_ref().map(|handover| handover.kind),
            handover,
            plan,
            reads_input: true,
            used_model: None,
            work: Work::None,
            session: None,
            fruitless: 0,
            limited_model: None,
            tried: Vec::new(),
            unusable: Vec::new(),
            paused_on: Vec::new(),
            paused: false,
        })
    }

    /// What an attempt did counts for all that follow it.
    fn remember(&mut self, ended: &Ended) {
        let evidence = &ended.evidence;
        self.used_model = evidence.model.clone().or(self.used_model.take());
        self.session = evidence.session.clone().or(self.session.take());
        self.fruitless = if evidence.work == Work::None { self.fruitless + 1 } else { 0 };
        if evidence.work != Work::None && self.work != Work::Done {
            self.work = evidence.work;
        }
        if let Verdict::UsageLimit { scope: Scope::Model(model), .. } = &ended.outcome.verdict {
            self.limited_model = Some(model.clone());
        }
    }
}

impl Errand<'_> {
    /// Prepares the attempt that follows, where one does. What goes wrong on the way to it takes nothing from
    /// the one that has ended.
    pub(super) fn go_on(&self, journey: &mut Journey, ended: &mut Ended, relay: Option<&Relay>) -> Onward {
        journey.remember(ended);
        let onward = if self.is_session() {
            self.after_session(journey, ended)
        } else {
            self.onward(journey, ended, relay)
        };
        onward.unwrap_or_else(|why| {
            error::warn(format_args!("could not go on: {why:#}"));
            let _ = self.desk.store.update(Durability::Process, |state| state.release(&self.id));
            Onward::Stands
        })
    }

    fn onward(&self, journey: &mut Journey, ended: &Ended, relay: Option<&Relay>) -> Result<Onward> {
        match step(&self.situation(journey, ended, relay)) {
            Step::Stand => {
                self.tell(ended);
                Ok(Onward::Stands)
            }
            Step::Stuck(why) => {
                let refused = report::refused(&journey.lease.subscription, &ended.outcome, &ended.now);
                self.say(format_args!("{refused}; not continued, for {why}"));
                Ok(Onward::Stands)
            }
            Step::Again { place: Place::Same, how } => self.wait_here(journey, ended, how),
            Step::Again { place: Place::Another, how } => self.switch(journey, ended, how),
        }
    }

    fn situation<'a>(&self, journey: &Journey, ended: &'a Ended, relay: Option<&Relay>) -> Situation<'a> {
        Situation {
            verdict: &ended.outcome.verdict,
            work: journey.work,
            interrupted: ended.interrupted || relay.is_some_and(Relay::reader_is_gone),
            attempts_left: self.retries().saturating_sub(journey.number - 1),
            paused_here: journey.paused_on.contains(&journey.lease.subscription),
            paused: journey.paused,
            repeatable: self.intent.repeatable,
            replayable: relay.is_some_and(Relay::can_replay),
            committed: relay.is_some_and(Relay::is_committed),
            recorded: journey.session.is_some(),
            not_resumable: self.intent.not_resumable,
        }
    }

    /// Says what became of the subscription, where the run ends with it.
    pub(super) fn tell(&self, ended: &Ended) {
        if let Some(change) = &ended.change {
            self.say(report::changed(&ended.subscription, change, &ended.outcome, &ended.now));
        }
    }

    /// Another attempt on the same subscription, after a pause.
    fn wait_here(&self, journey: &mut Journey, ended: &Ended, how: How) -> Result<Onward> {
        let name = journey.lease.subscription.clone();
        let pause = match ended.outcome.verdict {
            Verdict::Throttled { retry_after } => {
                journey.paused_on.push(name.clone());
                retry_after.unwrap_or(self.desk.config.failover.throttle_wait)
            }
            _ => {
                journey.paused = true;
                self.desk.config.failover.throttle_wait
            }
        };
        let refused = report::refused(&name, &ended.outcome, &ended.now);
        self.say(format_args!("{refused}; trying {name} again in {}", report::short(pause)));
        if let Err(signal) = run::pause(Duration::try_from(pause).unwrap_or_default()) {
            return Ok(Onward::EndedBy(signal));
        }
        // What it was throttled for keeps others from it, not this run.
        let request = Request { only: Some(name), waits: false, ..self.request(journey, &[]) };
        if let Ok((lease, _)) = self.reserve(&request)?
            && self.prepare(journey, lease, how)?
        {
            return Ok(Onward::Again);
        }
        if journey.paused {
            self.tell(ended);
            return Ok(Onward::Stands);
        }
        self.switch(journey, ended, how)
    }

    /// What the run asks of the pool now. A limit of one model tells which model the run is about.
    fn request(&self, journey: &Journey, tried: &[Name]) -> Request {
        let model = self.request.model.clone().or_else(|| journey.limited_model.clone());
        Request { model, tried: tried.to_vec(), ..self.request.clone() }
    }

    /// Another attempt on another subscription. One whose credential cannot be had is passed over.
    fn switch(&self, journey: &mut Journey, ended: &Ended, how: How) -> Result<Onward> {
        let from = journey.lease.subscription.clone();
        let refused = report::refused(&from, &ended.outcome, &ended.now);
        journey.tried.push(from.clone());
        loop {
            let request = self.request(journey, &journey.tried);
            let lease = match self.reserve(&request)? {
                Ok((lease, _)) => lease,
                Err(not_ready) => match self.nothing_left(journey, &refused, not_ready)? {
                    Ok(lease) => lease,
                    Err(onward) => return Ok(onward),
                },
            };
            let to = lease.subscription.clone();
            if self.prepare(journey, lease, how)? {
                self.say(format_args!("{refused}; continuing on {to}"));
                self.events.switched(&from, &to, &ended.outcome);
                return Ok(Onward::Again);
            }
            journey.tried.push(to.clone());
            journey.unusable.push(to);
        }
    }

    /// No other subscription is ready: the run waits if it was told to, or ends with what it has.
    fn nothing_left(
        &self,
        journey: &Journey,
        refused: &str,
        not_ready: NotReady,
    ) -> Result<Result<Lease, Onward>> {
        // Whichever comes back first, also one that this run has tried.
        let request = self.request(journey, &journey.unusable);
        let now = self.desk.later();
        let state = self.desk.store.read()?;
        let chosen = peek(&self.desk.config.pool, &state, &request, &(&now).into());
        let not_ready = chosen.err().unwrap_or(not_ready);
        if request.only.is_none() {
            self.events.all_limited(&not_ready);
        }
        let nothing = report::no_other(&not_ready, &request, &now);
        let waits = self.args.wait.is_some() && not_ready.may_pass();
        self.say(format_args!("{refused}; {nothing}{}", if waits { "; waiting" } else { "" }));
        if !waits {
            return Ok(Err(Onward::Stands));
        }
        Ok(match self.wait(&request)? {
            Ok((lease, _)) => Ok(lease),
            Err(Some(signal)) => Err(Onward::EndedBy(signal)),
            Err(None) => Err(Onward::Stands),
        })
    }

    /// Whether the next attempt can begin on what was reserved; if not, the lease is given back.
    fn prepare(&self, journey: &mut Journey, lease: Lease, how: How) -> Result<bool> {
        let subscription = &self.desk.config.pool.subscriptions[&lease.subscription];
        let handover = match self.fetch(subscription, &lease) {
            Ok(handover) => handover,
            Err(why) => {
                error::warn(format_args!("{} cannot be used: {why:#}", lease.subscription));
                return Ok(false);
            }
        };
        let session = journey.session.as_deref().unwrap_or_default();
        let grant = self.grant(subscription, handover.as_ref());
        if how == How::Resuming && !self.finds(session, subscription, grant) {
            self.give_back(&lease)?;
            self.say(format_args!(
                "{} does not have the conversation in its login directory",
                lease.subscription
            ));
            return Ok(false);
        }
        self.embark(journey, Berth { lease, handover }, how).map(|()| true)
    }

    /// The next attempt begins on that place.
    pub(super) fn embark(&self, journey: &mut Journey, berth: Berth, how: How) -> Result<()> {
        let Berth { lease, handover } = berth;
        let subscription = &self.desk.config.pool.subscriptions[&lease.subscription];
        let session = journey.session.clone().unwrap_or_default();
        let prompt = &self.desk.config.failover.prompt;
        let opening = match how {
            How::AsTyped => Opening::AsTyped,
            How::Resuming => Opening::Resuming { session: &session, prompt },
        };
        let grant = self.grant(subscription, handover.as_ref());
        let kind = handover.as_ref().map(|handover| handover.kind);
        let model = self.pinned(journey, kind);
        let takes_over = self.takes_over(journey, &lease)?;
        let plan = self.plan(subscription, grant, opening, model.as_deref(), takes_over);
        journey.number += 1;
        (journey.lease, journey.handover, journey.plan) = (lease, handover, plan);
        journey.reads_input = how == How::AsTyped;
        Ok(())
    }

    /// The model to name, where the agent would take another one with this credential.
    fn pinned(&self, journey: &Journey, kind: Option<&'static SecretKind>) -> Option<String> {
        let same = kind == journey.first_kind && kind.is_some();
        if self.intent.names_model || same {
            return None;
        }
        let usual = || journey.first_kind.and_then(|kind| kind.model).map(str::to_owned);
        journey.used_model.clone().or_else(usual)
    }

    /// Whether kage would go on where the next attempt is refused. The agent's own patience is cut short
    /// only then.
    fn takes_over(&self, journey: &Journey, lease: &Lease) -> Result<bool> {
        // The provider's own trouble is waited for once; then nothing follows it, and patience is all there is.
        if journey.number >= self.retries() || journey.paused {
            return Ok(false);
        }
        let state = self.desk.store.read()?;
        let tried = journey.tried.iter().chain([&lease.subscription]).cloned().collect();
        let request = Request { tried, ..self.request(journey, &[]) };
        Ok(peek(&self.desk.config.pool, &state, &request, &self.desk.moment()).is_ok())
    }
}
