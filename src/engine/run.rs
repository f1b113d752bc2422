//! The loop of a run: one attempt after the other, until one is final.

use std::fs;
use std::io::IsTerminal as _;
use std::time::{Duration, Instant};

use anyhow::Result;

use super::choose::{Choice, Successor, Usable, Wish};
use super::context::withheld;
use super::launch::Launch;
use super::model::{AttemptEnd, NoSuccessor, Reservation, Run, RunState, Visited};
use super::next::{self, How, Next, Situation, next};
use super::pane::Pane;
use super::session::Live;
use super::voice::{Refusal, Said};
use super::wait::WaitEnd;
use crate::agent::{Exit, Form, LaunchPlan, Opening, SecretKind};
use crate::error::Notice;
use crate::pool::{Lease, Name, NotReady, Release, Request, Rule, Source, Verdict};
use crate::run::{Input, Launched, Output, Relay, Released, SessionObserver, Streams};

/// How a run begins.
pub(crate) enum Beginning {
    /// A place is reserved, with its credential.
    Ready(Box<RunState>),
    NotReady(NotReady),
    /// This signal came while the run waited.
    Signal(i32),
}

/// How a run ended, as its own exit status.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum RunEnd {
    Code(i32),
    /// kage dies of the same signal.
    Signal(i32),
}

/// What a run would do.
pub(crate) enum Rehearsal {
    Plan { subscription: Name, plan: Box<LaunchPlan>, carrier: String },
    NotReady(NotReady),
}

/// What follows an attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Step {
    /// Another one, for which the state has been prepared.
    Again,
    /// Nothing: the attempt is final.
    Final,
    /// Nothing: a signal ended kage between two attempts.
    Signal(i32),
}

/// What an attempt came to.
pub(super) enum Attempted {
    Ended(Box<AttemptEnd>),
    /// The signal came before the agent was started.
    Signal(i32),
}

impl Run<'_> {
    /// Reserves the place for the first attempt. Where none is ready the run waits, if it was told to.
    pub(crate) fn begin(&self) -> Result<Beginning> {
        let place = match self.reserve(&self.request)? {
            Choice::Ready(place) => place,
            Choice::NotReady(why) => match self.wait_for_first(&why)? {
                Some(WaitEnd::Place(place)) => place,
                Some(WaitEnd::Signal(signal)) => return Ok(Beginning::Signal(signal)),
                Some(WaitEnd::TooLong) | None => return Ok(Beginning::NotReady(why)),
            },
        };
        if let Some(exclusion) = place.overruled {
            let by_budget = exclusion.rule == Rule::Budget && self.request.over_budget;
            let flag = if by_budget { "--over-budget" } else { "-s" };
            self.say(Said::Overruled { subscription: place.subscription.clone(), exclusion, flag });
        }
        let subscription = &self.context.config.pool.subscriptions[&place.subscription];
        let lease = place.lease.expect("what is reserved has a lease");
        let handover = self.obtain(subscription, &lease)?;
        let grant = self.grant(subscription, handover.as_ref());
        let plan = self.plan(subscription, grant, Opening::AsTyped, None, self.retries() > 0);
        let state = RunState::new(Reservation { lease, handover }, plan);
        self.announce(&state.plan);
        Ok(Beginning::Ready(Box::new(state)))
    }

    fn wait_for_first(&self, why: &NotReady) -> Result<Option<WaitEnd>> {
        if why.may_pass() && self.request.only.is_none() {
            self.events.all_limited(why);
            self.tell_notices();
        }
        if self.args.wait.is_none() || !why.may_pass() {
            return Ok(None);
        }
        self.say(Said::Waiting { why: why.clone(), request: Box::new(self.request.clone()) });
        self.wait(&self.request).map(Some)
    }

    /// What would run, without choosing for real and without touching a secret.
    pub(crate) fn rehearse(&self) -> Result<Rehearsal> {
        let chosen = match self.look(&self.request)? {
            Choice::Ready(place) => place.subscription,
            Choice::NotReady(why) => return Ok(Rehearsal::NotReady(why)),
        };
        let subscription = &self.context.config.pool.subscriptions[&chosen];
        let grant = self.grant(subscription, None);
        let plan = self.plan(subscription, grant, Opening::AsTyped, None, self.retries() > 0);
        let carrier = match &subscription.credential.source {
            Source::Home(dir) => format!("the login in {}", dir.display()),
            source => {
                let variable = self.agent.default_kind().carrier(subscription.credential.deliver);
                format!("{variable} from {}", source.word())
            }
        };
        Ok(Rehearsal::Plan { subscription: chosen, plan: Box::new(plan), carrier })
    }

    /// Runs to the end, with a relay and a pane where they are needed.
    pub(crate) fn complete(&self, mut state: RunState) -> Result<RunEnd> {
        let mut relay = self.relay();
        let mut pane = self.pane();
        let exit = self.run_attempts(&mut state, relay.as_mut(), pane.as_mut())?;
        // Before a signal ends kage as it ended the agent.
        drop(pane);
        self.events.finish();
        self.tell_notices();
        Ok(self.end(exit, relay.as_mut()))
    }

    /// What the last attempt printed goes out, and kage ends as it did.
    fn end(&self, exit: Exit, relay: Option<&mut Relay>) -> RunEnd {
        let released = relay.map_or(Released::Written, crate::run::release);
        let is_lost = match released {
            Released::Written => false,
            Released::Signal(signal) => return RunEnd::Signal(signal),
            Released::Lost(why) => {
                self.say(Said::OutputLost(why.to_string()));
                true
            }
        };
        match exit {
            // Its answer is lost, which is no success.
            Exit::Code(0) if is_lost => RunEnd::Code(1),
            Exit::Code(code) => RunEnd::Code(code),
            Exit::Signal(signal) => RunEnd::Signal(signal),
        }
    }

    /// One attempt after the other; the answer is how the last one ended.
    pub(super) fn run_attempts(
        &self,
        state: &mut RunState,
        mut relay: Option<&mut Relay>,
        mut pane: Option<&mut Pane>,
    ) -> Result<Exit> {
        let mut last = None;
        loop {
            let mut end = match self.attempt(state, relay.as_deref_mut(), pane.as_deref_mut()) {
                Ok(Attempted::Ended(end)) => end,
                Ok(Attempted::Signal(signal)) => return Ok(Exit::Signal(signal)),
                Err(why) => match last {
                    // The attempt before it is final, as if there had been no other subscription.
                    Some(exit) => {
                        self.say(Notice::new(format!("{why:#}")));
                        return Ok(exit);
                    }
                    None => return Err(why),
                },
            };
            match self.after(state, &mut end, relay.as_deref()) {
                Step::Again => relay.iter_mut().for_each(|relay| relay.discard()),
                Step::Final => return Ok(end.exit),
                Step::Signal(signal) => return Ok(Exit::Signal(signal)),
            }
            last = Some(end.exit);
        }
    }

    /// The tmux pane that shows the agent.
    fn pane(&self) -> Option<Pane> {
        let shows = self.intent.form != Form::Other && std::io::stdout().is_terminal();
        if shows { Pane::here(withheld(&self.context.config.agents)) } else { None }
    }

    /// What is between the agent and the caller, where the agent prints an answer: that can be held back
    /// until it is known to be one. At a terminal, and around any other program, nothing is.
    fn relay(&self) -> Option<Relay> {
        let output = match self.intent.form {
            Form::Whole => Output::Whole,
            Form::Lines => Output::Lines(self.agent.classifier()),
            Form::Interactive | Form::Other => return None,
        };
        let mut relay = Relay::new(output, self.agent.speaks_on_stderr());
        relay.hold(self.retries() > 0);
        Some(relay)
    }

    /// Runs the agent once, and books what it left. The error is why it did not start.
    fn attempt(
        &self,
        state: &mut RunState,
        relay: Option<&mut Relay>,
        pane: Option<&mut Pane>,
    ) -> Result<Attempted> {
        let handover = state.handover.take();
        let state = &*state;
        let plan = &state.plan;
        let begun = Instant::now();
        let mut live = Live::new(self, state, pane);
        if self.is_session() {
            self.context.voice.hold();
        }
        let launched = self.write_settings(plan).and_then(|()| self.note_record(state)).and_then(|()| {
            let marks = self.marks(&state.lease);
            let input = if state.reads_input { Input::FromStart } else { Input::Nothing };
            let streams = match relay {
                Some(relay) => {
                    live.started();
                    Streams::Relayed(relay, input)
                }
                None => {
                    Streams::Inherited(self.is_session().then_some(&mut live as &mut dyn SessionObserver))
                }
            };
            Ok(self.host.run(Launch { program: &self.program, plan, handover, marks }, streams)?)
        });
        let session = live.end();
        self.tell_notices();
        self.context.voice.resume();
        if let Some((file, _)) = &plan.settings
            && file.starts_with(self.settings_dir())
        {
            let _ = fs::remove_file(file);
        }
        match launched {
            Ok(Launched::Ended(child)) => {
                let end = self.settle(state, child, begun);
                Ok(Attempted::Ended(Box::new(AttemptEnd { session, ..end })))
            }
            Ok(Launched::Signal(signal)) => {
                self.context.release(&Release::NotStarted(&state.lease)).map(|()| Attempted::Signal(signal))
            }
            Err(why) => {
                self.context.release(&Release::NotStarted(&state.lease))?;
                Err(why)
            }
        }
    }

    /// Prepares the attempt that follows, where one does. What goes wrong on the way to it takes nothing from
    /// the one that has ended.
    fn after(&self, state: &mut RunState, end: &mut AttemptEnd, relay: Option<&Relay>) -> Step {
        state.remember(end);
        let step = if self.is_session() {
            self.after_session(state, end)
        } else {
            self.after_print(state, end, relay)
        };
        step.unwrap_or_else(|why| {
            self.say(Said::CouldNotContinue(format!("{why:#}")));
            let _ = self.context.release(&Release::Run(&self.id));
            Step::Final
        })
    }

    fn after_print(&self, state: &mut RunState, end: &AttemptEnd, relay: Option<&Relay>) -> Result<Step> {
        let situation = Situation {
            verdict: &end.outcome.verdict,
            work: state.work,
            interrupted: end.interrupted || relay.is_some_and(Relay::reader_is_gone),
            form: next::Form::Print(next::Print {
                attempts_left: self.retries().saturating_sub(state.number - 1),
                paused_here: state.paused_on.contains(&state.lease.subscription),
                paused: state.paused,
                repeatable: self.intent.repeatable,
                replayable: relay.is_some_and(Relay::can_replay),
                committed: relay.is_some_and(Relay::is_committed),
                recorded: state.session.is_some(),
                not_resumable: self.intent.not_resumable,
            }),
        };
        match next(&situation) {
            Next::Retry { place: next::Place::Same, how } => self.retry_here(state, end, how),
            Next::Retry { place: next::Place::Another, how } => self.switch(state, end, how),
            Next::Stuck(why) => {
                self.say(Said::NotRetried { refusal: end.refusal(), why });
                Ok(Step::Final)
            }
            Next::Final | Next::Ask | Next::Suggest => {
                self.tell_change(end);
                Ok(Step::Final)
            }
        }
    }

    /// Says what became of the subscription, where the run ends with it.
    pub(super) fn tell_change(&self, end: &AttemptEnd) {
        if let Some(change) = &end.change {
            let said = Said::Changed { refusal: end.refusal(), change: change.clone() };
            self.context.voice.say(said, &end.at);
        }
    }

    /// Another attempt on the same subscription, after a pause.
    fn retry_here(&self, state: &mut RunState, end: &AttemptEnd, how: How) -> Result<Step> {
        let name = state.lease.subscription.clone();
        let usual = self.context.config.failover.throttle_wait;
        let pause = match end.outcome.verdict {
            Verdict::Throttled { retry_after } => {
                state.paused_on.push(name.clone());
                retry_after.unwrap_or(usual)
            }
            _ => {
                state.paused = true;
                usual
            }
        };
        self.context.voice.say(Said::Retrying { refusal: end.refusal(), pause }, &end.at);
        if let Err(signal) = self.host.pause(Duration::try_from(pause).unwrap_or_default()) {
            return Ok(Step::Signal(signal));
        }
        // What it was throttled for keeps others from it, not this run.
        let request = Request { only: Some(name), waits: false, ..self.request_of(state) };
        let session = state.session.clone();
        let wish = Wish { request, resumes: resumed(how, session.as_deref()), reserves: true };
        if let Successor::Reserved(reservation) = self.successor(&wish, &mut Visited::default())? {
            return self.start_on(state, reservation, how);
        }
        if state.paused {
            self.tell_change(end);
            return Ok(Step::Final);
        }
        self.switch(state, end, how)
    }

    /// Another attempt on another subscription.
    fn switch(&self, state: &mut RunState, end: &AttemptEnd, how: How) -> Result<Step> {
        state.visited.tried.push(state.lease.subscription.clone());
        let session = state.session.clone();
        let resumes = resumed(how, session.as_deref());
        loop {
            let wish = Wish { request: self.request_of(state), resumes, reserves: true };
            let reservation = match self.successor(&wish, &mut state.visited)? {
                Successor::Reserved(reservation) => reservation,
                Successor::Ready(_) => continue, // only where nothing is reserved
                Successor::None(why) => {
                    let place = match self.wait_for_another(state, end, why)? {
                        Some(WaitEnd::Place(place)) => place,
                        Some(WaitEnd::Signal(signal)) => return Ok(Step::Signal(signal)),
                        Some(WaitEnd::TooLong) | None => return Ok(Step::Final),
                    };
                    let name = place.subscription.clone();
                    let Usable::Reserved(reservation) = self.usable(place, resumes)? else {
                        state.visited.tried.push(name.clone());
                        state.visited.unusable.push(name);
                        continue;
                    };
                    reservation
                }
            };
            let to = reservation.lease.subscription.clone();
            self.start_on(state, reservation, how)?;
            self.context.voice.say(Said::Switched { refusal: end.refusal(), to: to.clone() }, &end.at);
            self.events.switched(&end.subscription, &to, &end.outcome);
            return Ok(Step::Again);
        }
    }

    /// No other subscription is ready: the run waits if it was told to, or ends with what it has.
    fn wait_for_another(
        &self,
        state: &RunState,
        end: &AttemptEnd,
        why: NoSuccessor,
    ) -> Result<Option<WaitEnd>> {
        // Whichever comes back first, also one that this run has tried.
        let request = Request { tried: state.visited.unusable.clone(), ..self.request_of(state) };
        if let (Some(not_ready), None) = (why.not_ready(), &request.only) {
            self.events.all_limited(not_ready);
            self.tell_notices();
        }
        let waits = self.args.wait.is_some() && why.not_ready().is_some_and(NotReady::may_pass);
        let asked = Box::new(request.clone());
        self.say(Said::NoSuccessor { refusal: Some(end.refusal()), why, request: asked, waits });
        if waits { self.wait(&request).map(Some) } else { Ok(None) }
    }

    /// The next attempt begins on a reservation.
    pub(super) fn start_on(&self, state: &mut RunState, reservation: Reservation, how: How) -> Result<Step> {
        let Reservation { lease, handover } = reservation;
        let subscription = &self.context.config.pool.subscriptions[&lease.subscription];
        let session = state.session.clone().unwrap_or_default();
        let prompt = &self.context.config.failover.prompt;
        let opening = match how {
            How::AsTyped => Opening::AsTyped,
            How::Resuming => Opening::Resuming { session: &session, prompt },
        };
        let grant = self.grant(subscription, handover.as_ref());
        let kind = handover.as_ref().map(|handover| handover.kind);
        let model = self.pinned_model(state, kind);
        let takes_over = self.takes_over(state, &lease)?;
        let plan = self.plan(subscription, grant, opening, model.as_deref(), takes_over);
        state.number += 1;
        (state.lease, state.handover, state.plan) = (lease, handover, plan);
        state.reads_input = how == How::AsTyped;
        Ok(Step::Again)
    }

    /// The model to name, where the agent would take another one with this credential.
    fn pinned_model(&self, state: &RunState, kind: Option<&'static SecretKind>) -> Option<String> {
        let same = kind == state.first_kind && kind.is_some();
        if self.intent.names_model || same {
            return None;
        }
        let usual = || state.first_kind.and_then(|kind| kind.model).map(str::to_owned);
        state.used_model.clone().or_else(usual)
    }

    /// Whether kage would continue where the next attempt is refused. The agent's own patience is cut short
    /// only then.
    fn takes_over(&self, state: &RunState, lease: &Lease) -> Result<bool> {
        // The provider's own trouble is waited for once; then nothing follows it, and patience is all there is.
        if state.number >= self.retries() || state.paused {
            return Ok(false);
        }
        let wish = Wish { request: self.request_of(state), resumes: None, reserves: false };
        let mut visited = state.visited.clone();
        visited.tried.push(lease.subscription.clone());
        Ok(matches!(self.successor(&wish, &mut visited)?, Successor::Ready(_)))
    }

    pub(super) fn say(&self, said: impl Into<Said>) {
        self.context.voice.say(said, &self.context.now());
    }

    /// Says what the event commands have to report.
    pub(super) fn tell_notices(&self) {
        for notice in self.events.take_notices() {
            self.say(notice);
        }
    }
}

/// The conversation that a subscription must have for an attempt to begin that way.
fn resumed(how: How, session: Option<&str>) -> Option<&str> {
    match how {
        How::AsTyped => None,
        How::Resuming => Some(session.unwrap_or_default()),
    }
}

impl AttemptEnd {
    pub(super) fn refusal(&self) -> Refusal {
        Refusal { subscription: self.subscription.clone(), outcome: self.outcome.clone() }
    }
}
