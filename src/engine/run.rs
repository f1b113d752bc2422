//! The loop of a run: one attempt after another, until one is final.

use std::fs;
use std::io::IsTerminal as _;
use std::path::Path;
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
use crate::agent::{Exit, Form, LaunchPlan, Opening, Patience};
use crate::error::Notice;
use crate::pool::{Name, NotReady, Release, Rule, Source};
use crate::run::{Input, Launched, Output, Relay, Released, SessionObserver, Streams};

/// How a run begins.
pub(crate) enum Beginning {
    /// A subscription is reserved, and its credential is available.
    Ready(Box<RunState>),
    NotReady(NotReady),
    /// A signal with this number arrived while the run waited.
    Signal(i32),
}

/// How a run ended: its exit status.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum RunEnd {
    Code(i32),
    /// kage ends itself with this signal.
    Signal(i32),
}

/// What a run would do, for `--dry-run`.
pub(crate) enum DryRun {
    Plan { subscription: Name, plan: Box<LaunchPlan>, carrier: String },
    NotReady(NotReady),
}

/// What follows an attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Step {
    /// Another attempt, for which the state has been prepared.
    Again,
    /// Nothing: the attempt is final.
    Final,
    /// Nothing: a signal with this number arrived between two attempts and ends kage.
    Signal(i32),
}

/// The result of an attempt.
pub(super) enum Attempted {
    Ended(Box<AttemptEnd>),
    /// A signal with this number arrived before the agent was started.
    Signal(i32),
}

/// A file that is removed when this is dropped: its content is needed until the attempt is booked.
struct RemovedAtEnd<'a>(&'a Path);

impl Drop for RemovedAtEnd<'_> {
    fn drop(&mut self) {
        let _ = fs::remove_file(self.0);
    }
}

impl Run<'_> {
    /// Reserves a subscription for the first attempt. If none is ready, the run waits when `--wait` is given.
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
        let lease = place.lease.expect("a reserved place has a lease");
        let handover = self.obtain(subscription, &lease)?;
        let grant = self.grant(subscription, handover.as_ref());
        let plan = self.plan(subscription, grant, Opening::AsTyped, None, self.first_patience());
        let state = RunState::new(Reservation { lease, handover }, plan);
        self.announce(&state.plan);
        Ok(Beginning::Ready(Box::new(state)))
    }

    fn wait_for_first(&self, why: &NotReady) -> Result<Option<WaitEnd>> {
        if why.waiting_can_help() && self.request.only.is_none() {
            self.events.all_limited(why);
            self.say_notices();
        }
        if self.args.wait.is_none() || !why.waiting_can_help() {
            return Ok(None);
        }
        self.say(Said::Waiting { why: why.clone(), request: Box::new(self.request.clone()) });
        self.wait(&self.request).map(Some)
    }

    /// How long the agent of the first attempt retries on its own.
    fn first_patience(&self) -> Patience {
        if self.retries() > 0 { Patience::Short } else { Patience::Own }
    }

    /// Returns what would run, without reserving a subscription or reading a secret.
    pub(crate) fn dry_run(&self) -> Result<DryRun> {
        let chosen = match self.peek(&self.request)? {
            Choice::Ready(place) => place.subscription,
            Choice::NotReady(why) => return Ok(DryRun::NotReady(why)),
        };
        let subscription = &self.context.config.pool.subscriptions[&chosen];
        let grant = self.grant(subscription, None);
        let plan = self.plan(subscription, grant, Opening::AsTyped, None, self.first_patience());
        let carrier = match &subscription.credential.source {
            Source::Home(dir) => format!("the login in {}", dir.display()),
            source => {
                let variable = self.agent.default_kind().variable_for(subscription.credential.deliver);
                format!("{variable} from {}", source.word())
            }
        };
        Ok(DryRun::Plan { subscription: chosen, plan: Box::new(plan), carrier })
    }

    /// Runs all attempts and delivers the output of the last one.
    pub(crate) fn complete(&self, mut state: RunState) -> Result<RunEnd> {
        let mut relay = self.relay();
        let mut pane = self.pane();
        let exit = self.run_attempts(&mut state, relay.as_mut(), pane.as_mut());
        // The pane must be unmarked before kage ends itself with the signal that ended the agent.
        drop(pane);
        self.finish_events();
        Ok(self.end(exit?, relay.as_mut()))
    }

    /// Delivers what the last attempt printed, and returns how kage must end.
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
            // The agent succeeded but its answer is lost, so kage must not report success.
            Exit::Code(0) if is_lost => RunEnd::Code(1),
            Exit::Code(code) => RunEnd::Code(code),
            Exit::Signal(signal) => RunEnd::Signal(signal),
        }
    }

    /// Runs one attempt after another and returns how the last one ended.
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
                    // The previous attempt is final, as if there were no other subscription.
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

    /// Returns the tmux pane that shows the agent.
    fn pane(&self) -> Option<Pane> {
        let shows = self.intent.form != Form::Other && std::io::stdout().is_terminal();
        if shows { Pane::here(withheld(&self.context.config.agents)) } else { None }
    }

    /// Returns the relay between the agent and the caller for a print form. It holds output back until the
    /// attempt is known to be final. An interactive session or any other program has no relay.
    fn relay(&self) -> Option<Relay> {
        let output = match self.intent.form {
            Form::Whole => Output::Whole,
            Form::Lines => Output::Lines(self.agent.classifier()),
            Form::Interactive | Form::Other => return None,
        };
        let mut relay = Relay::new(output, self.agent.errors_on_stderr());
        if self.retries() > 0 {
            relay.end_after(self.agent.useless_retry());
        }
        relay.set_hold(self.retries() > 0);
        Some(relay)
    }

    /// Runs the agent once and books the attempt. The error is why the agent did not start.
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
        self.say_notices();
        self.context.voice.resume();
        let own = plan.settings.as_ref().filter(|(file, _)| file.starts_with(self.settings_dir()));
        let _removed = own.map(|(file, _)| RemovedAtEnd(file));
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

    /// Reports the event commands that have failed by now.
    fn finish_events(&self) {
        self.events.finish();
        self.say_notices();
    }

    /// Prints the notices about event commands.
    pub(super) fn say_notices(&self) {
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
