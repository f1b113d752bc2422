//! Chooses a subscription for a run: reserves a place, previews the choice, finds a successor.

use std::env;

use anyhow::Result;

use super::model::{Reservation, Run, RunState, Visited};
use super::said::NoSuccessor;
use super::said::Said;
use crate::pool::{
    Exclusion, Holder, Lease, Name, NotReady, Outcome, Release, Request, Reserve, Reserved, Scope, Verdict,
    peek,
};
use crate::store;

/// A place on a subscription that was reserved or would be reserved.
pub(super) struct Place {
    pub subscription: Name,
    /// The exclusion that the user overruled with `-s` or `--over-budget`.
    pub overruled: Option<Exclusion>,
    /// `None` if nothing was reserved.
    pub lease: Option<Lease>,
}

/// The answer of the pool to a request.
pub(super) enum Choice {
    Ready(Place),
    NotReady(NotReady),
}

/// The result of a search for another subscription.
pub(super) enum Successor {
    /// It is reserved, and its credential has been read.
    Reserved(Reservation),
    /// It is ready. Nothing is reserved, and its credential has not been read.
    Ready(Name),
    None(NoSuccessor),
}

/// What the next attempt needs from a subscription.
pub(super) struct Criteria<'a> {
    pub request: Request,
    /// The conversation that it must be able to resume; `None` if none is resumed.
    pub resumes: Option<&'a str>,
    /// Whether a place is reserved, or only searched for.
    pub reserves: bool,
}

impl Run<'_> {
    /// Returns what would be chosen now, without reserving it.
    pub(super) fn peek(&self, request: &Request) -> Result<Choice> {
        let moment = self.context.moment();
        Ok(match peek(&self.context.config.pool, &self.context.view()?, request, &moment) {
            Ok(chosen) => {
                Choice::Ready(Place { subscription: chosen.name, overruled: chosen.overruled, lease: None })
            }
            Err(why) => Choice::NotReady(why),
        })
    }

    /// Chooses a subscription and reserves a place on it.
    pub(super) fn reserve(&self, request: &Request) -> Result<Choice> {
        let holder = self.holder();
        loop {
            let moment = self.context.moment();
            let reserve = Reserve {
                pool: &self.context.config.pool,
                request,
                holder: &holder,
                counts_lost_first: !self.has_recovered.get(),
                moment: &moment,
            };
            let reserved = self.context.store.reserve(&reserve);
            self.context.say_notices();
            let (choice, recovered) = match reserved? {
                Reserved::LostFirst => {
                    self.has_recovered.set(true);
                    self.context.recover(&self.events);
                    self.say_notices();
                    continue;
                }
                Reserved::Place { lease, overruled, recovered } => {
                    let subscription = lease.subscription.clone();
                    (Choice::Ready(Place { subscription, overruled, lease: Some(lease) }), recovered)
                }
                Reserved::NotReady { why, recovered } => (Choice::NotReady(why), recovered),
            };
            for name in &recovered {
                self.events.recovered(name);
            }
            self.say_notices();
            return Ok(choice);
        }
    }

    fn holder(&self) -> Holder {
        let pid = std::process::id();
        Holder {
            id: self.id.clone(),
            pid,
            started: store::started(pid),
            agent: self.agent.name().to_owned(),
            namespace: self.location.namespace.clone(),
            level: self.location.level,
            pane: env::var("TMUX_PANE").ok(),
            cwd: self.location.cwd.to_string_lossy().into_owned(),
        }
    }

    /// Returns another subscription for the next attempt. Subscriptions that lack the conversation, or whose
    /// credential could not be read, are skipped and added to `visited`.
    pub(super) fn successor(&self, criteria: &Criteria<'_>, visited: &mut Visited) -> Result<Successor> {
        let mut lacking = None;
        loop {
            let request = Request { tried: visited.tried.clone(), ..criteria.request.clone() };
            let choice = if criteria.reserves { self.reserve(&request)? } else { self.peek(&request)? };
            let place = match choice {
                Choice::Ready(place) => place,
                Choice::NotReady(why) => {
                    return Ok(Successor::None(match lacking {
                        Some(name) if self.is_session() => NoSuccessor::LacksConversation(name),
                        _ => NoSuccessor::NotReady(self.first_to_return(criteria, visited, why)?),
                    }));
                }
            };
            let name = place.subscription.clone();
            match self.usable(place, criteria.resumes)? {
                Usable::Reserved(reservation) => return Ok(Successor::Reserved(reservation)),
                Usable::Ready => return Ok(Successor::Ready(name)),
                Usable::LacksConversation => lacking = Some(name.clone()),
                Usable::NoCredential => {}
            }
            visited.tried.push(name.clone());
            visited.unusable.push(name);
        }
    }

    /// Returns why nothing is ready, for the message and for waiting. Subscriptions that this run has tried
    /// count too: one of them may be the first to be ready again.
    fn first_to_return(
        &self,
        criteria: &Criteria<'_>,
        visited: &Visited,
        without: NotReady,
    ) -> Result<NotReady> {
        let request = Request { tried: visited.unusable.clone(), ..criteria.request.clone() };
        Ok(match self.peek(&request)? {
            Choice::Ready(_) => without,
            Choice::NotReady(why) => why,
        })
    }

    /// Checks whether the next attempt can begin on a place, and reads the credential if the place is
    /// reserved. If the attempt cannot begin, the place is released.
    pub(super) fn usable(&self, place: Place, resumes: Option<&str>) -> Result<Usable> {
        let subscription = &self.context.config.pool.subscriptions[&place.subscription];
        if resumes
            .is_some_and(|session| !self.can_resume(session, subscription, self.grant(subscription, None)))
        {
            if let Some(lease) = &place.lease {
                self.context.release(&Release::NotStarted(lease))?;
            }
            if !self.is_session() {
                self.say(Said::LacksConversation(place.subscription));
            }
            return Ok(Usable::LacksConversation);
        }
        let Some(lease) = place.lease else { return Ok(Usable::Ready) };
        Ok(match self.obtain(subscription, &lease) {
            Ok(handover) => Usable::Reserved(Reservation { lease, handover }),
            Err(why) => {
                let why = format!("{why:#}");
                self.say(Said::CredentialFailed { subscription: place.subscription, why });
                Usable::NoCredential
            }
        })
    }

    /// Returns the run's request for its next attempt. If the command line names no model, the model is
    /// taken from the limit of one model that an earlier attempt met.
    pub(super) fn request_of(&self, state: &RunState) -> Request {
        let model = self.request.model.clone().or_else(|| state.limited_model.clone());
        Request { model, ..self.request.clone() }
    }

    /// Returns the request with which a session continues. The session may return to a subscription that it
    /// has used before, for example hours later.
    pub(super) fn request_after(&self, outcome: &Outcome) -> Request {
        let limited_model = match &outcome.verdict {
            Verdict::UsageLimit { scope: Scope::Model(model), .. } => Some(model.clone()),
            _ => None,
        };
        let model = self.request.model.clone().or(limited_model);
        Request { model, waits: false, ..self.request.clone() }
    }
}

/// Whether a place can be used.
pub(super) enum Usable {
    Reserved(Reservation),
    /// Nothing is reserved, and its credential has not been read.
    Ready,
    LacksConversation,
    NoCredential,
}
