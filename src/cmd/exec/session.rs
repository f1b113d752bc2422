//! After a session at the terminal: it goes on elsewhere, the user is asked, or told how.

use anyhow::Result;
use jiff::Zoned;

use super::Errand;
use super::books::Ended;
use super::journey::{Berth, Journey, Onward};
use super::live::Left;
use super::step::How;
use crate::agent::Exit;
use crate::config::Interactive;
use crate::error;
use crate::pool::{Name, NotReady, Outcome, Request, Scope, Verdict, peek};
use crate::report;
use crate::run;

/// SIGTERM, by which kage ends a session.
const TERM: i32 = 15;

/// Why a session cannot go on.
pub(super) enum Nowhere {
    NotReady(NotReady),
    /// This one is ready, and has its records elsewhere.
    WithoutTheConversation(Name),
}

impl Nowhere {
    pub(super) fn sentence(&self, request: &Request, now: &Zoned) -> String {
        match self {
            Self::NotReady(why) => report::no_other(why, request, now),
            Self::WithoutTheConversation(name) => {
                format!("{name} does not have the conversation in its login directory")
            }
        }
    }
}

impl Errand<'_> {
    /// How many attempts may follow one that was good for nothing.
    pub(super) fn patience(&self) -> u32 {
        self.args.retries.unwrap_or(self.desk.config.failover.attempts)
    }

    /// How a session goes on.
    pub(super) fn interactive(&self) -> Interactive {
        if self.patience() == 0 { Interactive::Off } else { self.desk.config.failover.interactive }
    }

    pub(super) fn after_session(&self, journey: &mut Journey, ended: &mut Ended) -> Result<Onward> {
        let Left { berth, announced, told_to_leave, warnings } = std::mem::take(&mut ended.left);
        for warning in warnings {
            error::warn(warning);
        }
        if let Some(berth) = berth {
            let by_kage = matches!(ended.exit, Exit::Code(code) if code == 128 + TERM);
            if !ended.interrupted && (by_kage || ended.exit == Exit::Signal(TERM) || told_to_leave) {
                let refused = report::refused(&ended.subscription, &ended.outcome, &ended.now);
                self.say(format_args!("{refused}; continuing on {}", berth.lease.subscription));
                return self.embark_with(journey, berth, ended);
            }
            // Whoever left it, or ended it from outside, meant to.
            self.give_back(&berth.lease)?;
        }
        let is_limited = ended.stands && matches!(ended.outcome.verdict, Verdict::UsageLimit { .. });
        let can_go_on = self.agent.resuming(&[], "", "").is_some();
        if ended.interrupted || !is_limited || !can_go_on {
            self.tell(ended);
            return Ok(Onward::Stands);
        }
        let refused = report::refused(&ended.subscription, &ended.outcome, &ended.now);
        let to = match self.other(journey, journey.session.as_deref(), &ended.outcome)? {
            Ok(to) => to,
            Err(nowhere) => {
                self.say(format_args!("{refused}; {}", nowhere.sentence(&self.request, &ended.now)));
                return Ok(Onward::Stands);
            }
        };
        match self.interactive() {
            // Who leaves a session that is about to go on elsewhere does not want it to.
            Interactive::Auto if announced => self.name_the_command(journey, &refused, &to),
            Interactive::Off => self.name_the_command(journey, &refused, &to),
            Interactive::Auto | Interactive::Ask => return self.ask(journey, ended, &refused, &to),
        }
        Ok(Onward::Stands)
    }

    fn ask(&self, journey: &mut Journey, ended: &Ended, refused: &str, to: &Name) -> Result<Onward> {
        if self.args.quiet {
            return Ok(Onward::Stands);
        }
        self.say(refused);
        let answer = match run::ask(&format!("Continue on {to}? [Y/n] ")) {
            Ok(answer) => answer,
            Err(signal) => return Ok(Onward::EndedBy(signal)),
        };
        let agrees = |answer: &str| ["", "y", "yes"].contains(&answer.to_lowercase().as_str());
        if !answer.as_deref().is_some_and(agrees) {
            return Ok(Onward::Stands);
        }
        let mut warnings = Vec::new();
        let berth = self.berth(journey, journey.session.as_deref(), &ended.outcome, &mut warnings)?;
        for warning in warnings {
            error::warn(warning);
        }
        match berth {
            Ok(berth) => {
                // It may have been taken since.
                if berth.lease.subscription != *to {
                    self.say(format_args!("continuing on {}", berth.lease.subscription));
                }
                self.embark_with(journey, berth, ended)
            }
            Err(nowhere) => {
                self.say(nowhere.sentence(&self.request, &self.desk.later()));
                Ok(Onward::Stands)
            }
        }
    }

    fn name_the_command(&self, journey: &Journey, refused: &str, to: &Name) {
        let session = journey.session.as_deref().unwrap_or_default();
        let prompt = &self.desk.config.failover.prompt;
        let args = self.agent.resuming(&self.args.command[1..], session, prompt).unwrap_or_default();
        let command = report::command(to, &self.request, &self.args.keep_env, &self.args.command[0], &args);
        self.say(format_args!("{refused}; to continue on {to}: {command}"));
    }

    fn embark_with(&self, journey: &mut Journey, berth: Berth, ended: &Ended) -> Result<Onward> {
        self.events.switched(&ended.subscription, &berth.lease.subscription, &ended.outcome);
        self.embark(journey, berth, How::Resuming)?;
        Ok(Onward::Again)
    }

    /// What a session asks of the pool when it goes on: another subscription than these. It may come back to
    /// one it has been on: hours later, say.
    fn request_after(&self, outcome: &Outcome, tried: &[Name]) -> Request {
        let of_model = match &outcome.verdict {
            Verdict::UsageLimit { scope: Scope::Model(model), .. } => Some(model.clone()),
            _ => None,
        };
        let model = self.request.model.clone().or(of_model);
        Request { model, tried: tried.to_vec(), waits: false, ..self.request.clone() }
    }

    /// Why there is nothing to go on with: one that is ready does not have the conversation, or nothing is
    /// ready; then the one that was refused may be the first that is again.
    fn nowhere(&self, outcome: &Outcome, lacking: Option<Name>, without: NotReady) -> Result<Nowhere> {
        if let Some(name) = lacking {
            return Ok(Nowhere::WithoutTheConversation(name));
        }
        let state = self.desk.store.read()?;
        let moment = (&self.desk.later()).into();
        let chosen = peek(&self.desk.config.pool, &state, &self.request_after(outcome, &[]), &moment);
        Ok(Nowhere::NotReady(chosen.err().unwrap_or(without)))
    }

    /// Another subscription that is ready and can go on with the conversation. Nothing is reserved.
    pub(super) fn other(
        &self,
        journey: &Journey,
        session: Option<&str>,
        outcome: &Outcome,
    ) -> Result<Result<Name, Nowhere>> {
        let pool = &self.desk.config.pool;
        let state = self.desk.store.read()?;
        let moment = (&self.desk.later()).into();
        let mut tried = vec![journey.lease.subscription.clone()];
        let mut lacking = None;
        loop {
            let request = self.request_after(outcome, &tried);
            let name = match peek(pool, &state, &request, &moment) {
                Ok(selection) => selection.name,
                Err(not_ready) => return Ok(Err(self.nowhere(outcome, lacking, not_ready)?)),
            };
            let subscription = &pool.subscriptions[&name];
            let grant = self.grant(subscription, None);
            if session.is_some_and(|session| self.finds(session, subscription, grant)) {
                return Ok(Ok(name));
            }
            lacking = Some(name.clone());
            tried.push(name);
        }
    }

    /// Reserves another subscription that can go on with the conversation, and fetches its credential.
    pub(super) fn berth(
        &self,
        journey: &Journey,
        session: Option<&str>,
        outcome: &Outcome,
        warnings: &mut Vec<String>,
    ) -> Result<Result<Berth, Nowhere>> {
        let mut tried = vec![journey.lease.subscription.clone()];
        let mut lacking = None;
        loop {
            let lease = match self.reserve(&self.request_after(outcome, &tried))? {
                Ok((lease, _)) => lease,
                Err(not_ready) => return Ok(Err(self.nowhere(outcome, lacking, not_ready)?)),
            };
            let name = lease.subscription.clone();
            let subscription = &self.desk.config.pool.subscriptions[&name];
            let grant = self.grant(subscription, None);
            if session.is_some_and(|session| self.finds(session, subscription, grant)) {
                match self.fetch(subscription, &lease) {
                    Ok(handover) => return Ok(Ok(Berth { lease, handover })),
                    Err(why) => warnings.push(format!("{name} cannot be used: {why:#}")),
                }
            } else {
                self.give_back(&lease)?;
                lacking = Some(name.clone());
            }
            tried.push(name);
        }
    }
}
