//! After an attempt: carries out the decision about what follows, and prepares the next attempt.

use std::time::Duration;

use anyhow::Result;

use super::choose::{Criteria, Successor, Usable};
use super::model::{AttemptEnd, Reservation, Run, RunState, Visited};
use super::next::{self, How, Next, Situation, next};
use super::run::Step;
use super::said::{NoSuccessor, Said};
use super::wait::WaitEnd;
use crate::agent::{Opening, Patience, SecretKind};
use crate::pool::{Lease, Name, NotReady, Release, Request, Verdict};
use crate::run::Relay;

impl Run<'_> {
    /// Prepares the next attempt if one follows. If that fails, the attempt that has ended is final.
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
                other_gateway: state.paused
                    && !state.left_gateway
                    && !self.by_gateway(state, false).is_empty(),
                repeatable: self.intent.repeatable,
                replayable: relay.is_some_and(Relay::can_replay),
                committed: relay.is_some_and(Relay::is_committed),
                recorded: state.session.is_some(),
                not_resumable: self.intent.not_resumable,
            }),
        };
        match next(&situation) {
            Next::Retry { target: next::Target::Same, how } => self.retry_here(state, end, how),
            Next::Retry { target: next::Target::Another, how } => {
                if end.outcome.verdict == Verdict::Overloaded {
                    // The others at the same address meet the same overload.
                    let same = self.by_gateway(state, true);
                    state.left_gateway = true;
                    state.visited.tried.extend(same);
                }
                self.switch(state, end, how)
            }
            Next::Stuck(why) => {
                self.say(Said::NotRetried { refusal: end.refusal(), why });
                Ok(Step::Final)
            }
            Next::Final | Next::Ask | Next::Suggest => {
                self.say_change(end);
                Ok(Step::Final)
            }
        }
    }

    /// Prints the new status of the subscription on which the run ends.
    pub(super) fn say_change(&self, end: &AttemptEnd) {
        if let Some(change) = &end.change {
            let said = Said::Changed { refusal: end.refusal(), change: change.clone() };
            self.context.voice.say(said, &end.at);
        }
    }

    /// Pauses, and prepares another attempt on the same subscription.
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
        // Other runs skip a throttled subscription. With `only` this run uses it anyway.
        let request = Request { only: Some(name), waits: false, ..self.request_of(state) };
        let session = state.session.clone();
        let criteria = Criteria { request, resumes: resumed(how, session.as_deref()), reserves: true };
        if let Successor::Reserved(reservation) = self.successor(&criteria, &mut Visited::default())? {
            return self.start_on(state, reservation, how);
        }
        if state.paused {
            self.say_change(end);
            return Ok(Step::Final);
        }
        self.switch(state, end, how)
    }

    /// Prepares another attempt on another subscription.
    fn switch(&self, state: &mut RunState, end: &AttemptEnd, how: How) -> Result<Step> {
        state.visited.tried.push(state.lease.subscription.clone());
        let session = state.session.clone();
        let resumes = resumed(how, session.as_deref());
        loop {
            let criteria = Criteria { request: self.request_of(state), resumes, reserves: true };
            let reservation = match self.successor(&criteria, &mut state.visited)? {
                Successor::Reserved(reservation) => reservation,
                Successor::Ready(_) => return Ok(Step::Final), // cannot happen: `reserves` is set
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
            self.say_notices();
            return Ok(Step::Again);
        }
    }

    /// Called when no other subscription is ready. Waits if `--wait` was given; otherwise the attempt is
    /// final.
    fn wait_for_another(
        &self,
        state: &RunState,
        end: &AttemptEnd,
        why: NoSuccessor,
    ) -> Result<Option<WaitEnd>> {
        // The run waits for the first subscription to become ready, including those that it has tried.
        let request = Request { tried: state.visited.unusable.clone(), ..self.request_of(state) };
        if let (Some(not_ready), None) = (why.not_ready(), &request.only) {
            self.events.all_limited(not_ready);
            self.say_notices();
        }
        let waits = self.args.wait.is_some() && why.not_ready().is_some_and(NotReady::waiting_can_help);
        let shown = Box::new(request.clone());
        self.say(Said::NoSuccessor { refusal: Some(end.refusal()), why, request: shown, waits });
        if waits { self.wait(&request).map(Some) } else { Ok(None) }
    }

    /// Prepares the next attempt on a reservation.
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
        let patience = self.patience(state, &lease)?;
        let plan = self.plan(subscription, grant, opening, model.as_deref(), patience);
        state.number += 1;
        (state.lease, state.handover, state.plan) = (lease, handover, plan);
        state.reads_input = how == How::AsTyped;
        Ok(Step::Again)
    }

    /// Returns the model to pass to the agent; `None` leaves the agent its default. The default may differ
    /// if the kind of the credential differs from the first one's.
    fn pinned_model(&self, state: &RunState, kind: Option<&'static SecretKind>) -> Option<String> {
        let is_same = kind == state.first_kind && kind.is_some();
        if self.intent.names_model || is_same {
            return None;
        }
        let usual = || state.first_kind.and_then(|kind| kind.model).map(str::to_owned);
        state.used_model.clone().or_else(usual)
    }

    /// Returns how long the agent of the next attempt retries on its own: as long as it always does if nothing
    /// follows, less if kage would continue.
    fn patience(&self, state: &RunState, lease: &Lease) -> Result<Patience> {
        if state.paused {
            // Nothing or only a last attempt follows. The provider has had time, so some seconds are enough.
            return Ok(Patience::Bounded);
        }
        if state.number >= self.retries() {
            return Ok(Patience::Own);
        }
        let criteria = Criteria { request: self.request_of(state), resumes: None, reserves: false };
        let mut visited = state.visited.clone();
        visited.tried.push(lease.subscription.clone());
        let continues = matches!(self.successor(&criteria, &mut visited)?, Successor::Ready(_));
        Ok(if continues { Patience::Short } else { Patience::Own })
    }

    /// Returns the subscriptions that the run has not tried and that send requests to the same address as this
    /// one, or to another one.
    fn by_gateway(&self, state: &RunState, same: bool) -> Vec<Name> {
        let pool = &self.context.config.pool.subscriptions;
        let address = |name: &Name| {
            let known = pool.get(name)?;
            let own = known.env.iter().filter(|(variable, _)| self.agent.competes(variable));
            Some(own.collect::<Vec<_>>())
        };
        let here = address(&state.lease.subscription);
        let candidates = pool.values().filter(|one| one.enabled && one.agent == self.agent.name());
        let untried = candidates
            .map(|one| &one.name)
            .filter(|name| **name != state.lease.subscription && !state.visited.tried.contains(name));
        untried.filter(|name| (address(name) == here) == same).cloned().collect()
    }
}

/// Returns the conversation that the next attempt resumes; `None` if it runs the command as typed.
fn resumed(how: How, session: Option<&str>) -> Option<&str> {
    match how {
        How::AsTyped => None,
        How::Resuming => Some(session.unwrap_or_default()),
    }
}
