//! After an attempt: what the decision asks for is done, so that the next attempt can begin.

use std::time::Duration;

use anyhow::Result;

use super::choose::{Successor, Usable, Wish};
use super::model::{AttemptEnd, Reservation, Run, RunState, Visited};
use super::next::{self, How, Next, Situation, next};
use super::run::Step;
use super::said::{NoSuccessor, Said};
use super::wait::WaitEnd;
use crate::agent::{Opening, SecretKind};
use crate::pool::{Lease, NotReady, Release, Request, Verdict};
use crate::run::Relay;

impl Run<'_> {
    /// Prepares the attempt that follows, where one does. What goes wrong on the way to it takes nothing from
    /// the one that has ended.
    pub(super) fn after(&self, state: &mut RunState, end: &mut AttemptEnd, relay: Option<&Relay>) -> Step {
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
                Successor::Ready(_) => return Ok(Step::Final), // a place was to be reserved
                Successor::None(why) => {
                    let place = match self.wait_for_another(state, end, why)? {
                        Some(WaitEnd::Place(place)) => place,
                        Some(WaitEnd::Signal(signal)) => return Ok(Step::Signal(signal)),
                        Some(WaitEnd::TooLong(_)) | None => return Ok(Step::Final),
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
            self.tell_notices();
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
}

/// The conversation that a subscription must have for an attempt to begin that way.
fn resumed(how: How, session: Option<&str>) -> Option<&str> {
    match how {
        How::AsTyped => None,
        How::Resuming => Some(session.unwrap_or_default()),
    }
}
