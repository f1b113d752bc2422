//! After a session at the terminal: it continues on another subscription, or the user is asked, or kage
//! prints how to continue.

mod live;

use anyhow::Result;

use super::choose::{Criteria, Successor};
use super::model::{AttemptEnd, Reservation, Run, RunState, SessionEnd, Visited};
use super::next::{Form, How, Next, Session, SessionExit, Situation, next};
use super::run::Step;
use super::said::Said;
use crate::agent::Exit;
use crate::pool::{Name, Outcome, Release};
use crate::run::Answer;

pub(super) use live::Live;

/// SIGTERM, with which kage ends a session.
const TERM: i32 = 15;

impl Run<'_> {
    pub(super) fn after_session(&self, state: &mut RunState, end: &mut AttemptEnd) -> Result<Step> {
        let SessionEnd { reservation, announced, asked_to_leave } = std::mem::take(&mut end.session);
        let by_signal =
            matches!(end.exit, Exit::Code(code) if code == 128 + TERM) || end.exit == Exit::Signal(TERM);
        let exit = SessionExit {
            ends_with_error: end.ends_with_error,
            can_resume: self.agent.resume_args(&[], "", "").is_some(),
            announced,
            ended_by_kage: reservation.is_some() && (by_signal || asked_to_leave),
        };
        let decided = next(&Situation {
            verdict: &end.outcome.verdict,
            work: state.work,
            interrupted: end.interrupted,
            form: Form::Ended(self.session_facts(), exit),
        });
        match (decided, reservation) {
            (Next::Retry { how, .. }, Some(reservation)) => {
                let to = reservation.lease.subscription.clone();
                self.context.voice.say(Said::Switched { refusal: end.refusal(), to }, &end.at);
                return self.continue_on(state, reservation, end, how);
            }
            // The user left the session or ended it from outside, so nothing continues.
            (_, Some(reservation)) => self.context.release(&Release::NotStarted(&reservation.lease))?,
            (_, None) => {}
        }
        if !matches!(decided, Next::Ask | Next::Suggest) {
            self.say_change(end);
            return Ok(Step::Final);
        }
        let session = state.session.clone();
        match self.another(state, session.as_deref(), &end.outcome, false)? {
            Successor::Ready(to) if decided == Next::Ask => self.ask(state, end, &to),
            Successor::Ready(to) => {
                self.suggest(state, end, to);
                Ok(Step::Final)
            }
            Successor::None(why) => {
                let (refusal, request) = (Some(end.refusal()), Box::new(self.request.clone()));
                let said = Said::NoSuccessor { refusal, why, request, waits: false };
                self.context.voice.say(said, &end.at);
                Ok(Step::Final)
            }
            Successor::Reserved(_) => Ok(Step::Final), // cannot happen: `reserves` is not set
        }
    }

    /// Returns the facts about a session that the decision depends on besides the verdict. The observer of a
    /// running session fills in the rest.
    pub(super) fn session_facts(&self) -> Session {
        Session { mode: self.interactive(), is_stalled: false, resets_soon: false }
    }

    /// Returns another subscription that is ready and can resume the conversation.
    pub(super) fn another(
        &self,
        state: &RunState,
        session: Option<&str>,
        outcome: &Outcome,
        reserves: bool,
    ) -> Result<Successor> {
        let resumes = Some(session.unwrap_or_default());
        let criteria = Criteria { request: self.request_after(outcome), resumes, reserves };
        let mut visited = Visited { tried: vec![state.lease.subscription.clone()], unusable: Vec::new() };
        self.successor(&criteria, &mut visited)
    }

    fn ask(&self, state: &mut RunState, end: &AttemptEnd, to: &Name) -> Result<Step> {
        if self.context.voice.is_quiet() {
            return Ok(Step::Final);
        }
        self.context.voice.say(Said::Refused(end.refusal()), &end.at);
        let answer = match self.host.ask(&format!("Continue on {to}? [Y/n] ")) {
            Answer::Line(answer) => answer,
            Answer::NoAnswer => return Ok(Step::Final),
            Answer::Signal(signal) => return Ok(Step::Signal(signal)),
        };
        if !["", "y", "yes"].contains(&answer.to_lowercase().as_str()) {
            return Ok(Step::Final);
        }
        let session = state.session.clone();
        match self.another(state, session.as_deref(), &end.outcome, true)? {
            Successor::Reserved(reservation) => {
                // Another run may have taken the last place on the offered subscription.
                if reservation.lease.subscription != *to {
                    self.say(Said::SwitchedTo(reservation.lease.subscription.clone()));
                }
                self.continue_on(state, reservation, end, How::Resuming)
            }
            Successor::None(why) => {
                let request = Box::new(self.request.clone());
                self.say(Said::NoSuccessor { refusal: None, why, request, waits: false });
                Ok(Step::Final)
            }
            Successor::Ready(_) => Ok(Step::Final), // cannot happen: `reserves` is set
        }
    }

    fn suggest(&self, state: &RunState, end: &AttemptEnd, to: Name) {
        let session = state.session.as_deref().unwrap_or_default();
        let prompt = &self.context.config.failover.prompt;
        let args = self.agent.resume_args(&self.args.command[1..], session, prompt).unwrap_or_default();
        let command = self.args.command[..1].iter().cloned().chain(args).collect();
        let said = Said::Continue {
            refusal: end.refusal(),
            to,
            request: Box::new(self.request.clone()),
            keep_env: self.args.keep_env.clone(),
            command,
        };
        self.context.voice.say(said, &end.at);
    }

    fn continue_on(
        &self,
        state: &mut RunState,
        reservation: Reservation,
        end: &AttemptEnd,
        how: How,
    ) -> Result<Step> {
        self.events.switched(&end.subscription, &reservation.lease.subscription, &end.outcome);
        self.say_notices();
        self.start_on(state, reservation, how)
    }
}
