//! The loop of a run: one attempt after the other, until one is final.

use std::fs;
use std::io::IsTerminal as _;
use std::time::Instant;

use anyhow::Result;

use super::choose::Choice;
use super::host::Launch;
use super::model::{AttemptEnd, Reservation, Run, RunState};
use super::pane::Pane;
use super::said::{Refusal, Said};
use super::session::Live;
use super::wait::WaitEnd;
use super::withheld::withheld;
use crate::agent::{Exit, Form, LaunchPlan, Opening};
use crate::error::Notice;
use crate::pool::{Name, NotReady, Release, Rule, Source};
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
        let beginning = self.try_to_begin();
        self.finish_events();
        beginning
    }

    fn try_to_begin(&self) -> Result<Beginning> {
        let place = match self.reserve(&self.request)? {
            Choice::Ready(place) => place,
            Choice::NotReady(why) => match self.wait_for_first(&why)? {
                Some(WaitEnd::Place(place)) => place,
                Some(WaitEnd::Signal(signal)) => return Ok(Beginning::Signal(signal)),
                Some(WaitEnd::TooLong(last)) => return Ok(Beginning::NotReady(last.unwrap_or(why))),
                None => return Ok(Beginning::NotReady(why)),
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
        let exit = self.run_attempts(&mut state, relay.as_mut(), pane.as_mut());
        // Before a signal ends kage as it ended the agent.
        drop(pane);
        self.finish_events();
        Ok(self.end(exit?, relay.as_mut()))
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

    pub(super) fn say(&self, said: impl Into<Said>) {
        self.context.voice.say(said, &self.context.now());
    }

    /// Says which of the event commands have failed by now.
    fn finish_events(&self) {
        self.events.finish();
        self.tell_notices();
    }

    /// Says what the event commands have to report.
    pub(super) fn tell_notices(&self) {
        for notice in self.events.take_notices() {
            self.say(notice);
        }
    }
}

impl AttemptEnd {
    pub(super) fn refusal(&self) -> Refusal {
        Refusal { subscription: self.subscription.clone(), outcome: self.outcome.clone() }
    }
}
