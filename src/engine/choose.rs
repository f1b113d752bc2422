//! Choosing for a run: reserve a place, look at what would be chosen, find a successor.

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

/// A place that was taken, or that would be.
pub(super) struct Place {
    pub subscription: Name,
    /// What would have excluded the subscription, had the user not insisted on it.
    pub overruled: Option<Exclusion>,
    /// `None` where the place was only looked at.
    pub lease: Option<Lease>,
}

/// What a request finds in the pool.
pub(super) enum Choice {
    Ready(Place),
    NotReady(NotReady),
}

/// What a search for another subscription came to.
pub(super) enum Successor {
    /// It is reserved, and its credential is at hand.
    Reserved(Reservation),
    /// It is ready, as far as looking tells.
    Ready(Name),
    None(NoSuccessor),
}

/// What the next attempt needs of a subscription.
pub(super) struct Wish<'a> {
    pub request: Request,
    /// The conversation that it must have; `None` where it need not have any.
    pub resumes: Option<&'a str>,
    /// Whether a place is taken, or only looked for.
    pub reserves: bool,
}

impl Run<'_> {
    /// What would be chosen now.
    pub(super) fn look(&self, request: &Request) -> Result<Choice> {
        let moment = self.context.moment();
        Ok(match peek(&self.context.config.pool, &self.context.view()?, request, &moment) {
            Ok(chosen) => {
                Choice::Ready(Place { subscription: chosen.name, overruled: chosen.overruled, lease: None })
            }
            Err(why) => Choice::NotReady(why),
        })
    }

    /// Chooses, and holds what was chosen.
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
            self.context.tell_notices();
            let (choice, recovered) = match reserved? {
                Reserved::LostFirst => {
                    self.has_recovered.set(true);
                    self.context.recover(&self.events);
                    self.tell_notices();
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
            self.tell_notices();
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

    /// Another subscription for the next attempt. One without the conversation, or whose credential cannot be
    /// obtained, is passed over and added to `visited`.
    pub(super) fn successor(&self, wish: &Wish<'_>, visited: &mut Visited) -> Result<Successor> {
        let mut lacking = None;
        loop {
            let request = Request { tried: visited.tried.clone(), ..wish.request.clone() };
            let choice = if wish.reserves { self.reserve(&request)? } else { self.look(&request)? };
            let place = match choice {
                Choice::Ready(place) => place,
                Choice::NotReady(why) => {
                    return Ok(Successor::None(match lacking {
                        Some(name) if self.is_session() => NoSuccessor::LacksConversation(name),
                        _ => NoSuccessor::NotReady(self.first_to_return(wish, visited, why)?),
                    }));
                }
            };
            let name = place.subscription.clone();
            match self.usable(place, wish.resumes)? {
                Usable::Reserved(reservation) => return Ok(Successor::Reserved(reservation)),
                Usable::Ready => return Ok(Successor::Ready(name)),
                Usable::LacksConversation => lacking = Some(name.clone()),
                Usable::NoCredential => {}
            }
            visited.tried.push(name.clone());
            visited.unusable.push(name);
        }
    }

    /// Why nothing is ready, for a person and for waiting: a subscription that this run has tried may be the first
    /// that is ready again.
    fn first_to_return(&self, wish: &Wish<'_>, visited: &Visited, without: NotReady) -> Result<NotReady> {
        let request = Request { tried: visited.unusable.clone(), ..wish.request.clone() };
        Ok(match self.look(&request)? {
            Choice::Ready(_) => without,
            Choice::NotReady(why) => why,
        })
    }

    /// Whether the next attempt can begin on a place. If not, the place is given back.
    pub(super) fn usable(&self, place: Place, resumes: Option<&str>) -> Result<Usable> {
        let subscription = &self.context.config.pool.subscriptions[&place.subscription];
        if resumes.is_some_and(|session| !self.finds(session, subscription, self.grant(subscription, None))) {
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

    /// What the run asks of the pool now. A limit of one model tells which model the run is about.
    pub(super) fn request_of(&self, state: &RunState) -> Request {
        let model = self.request.model.clone().or_else(|| state.limited_model.clone());
        Request { model, ..self.request.clone() }
    }

    /// What a session asks of the pool when it continues. It may come back to a subscription that it has been on:
    /// hours later, say.
    pub(super) fn request_after(&self, outcome: &Outcome) -> Request {
        let of_model = match &outcome.verdict {
            Verdict::UsageLimit { scope: Scope::Model(model), .. } => Some(model.clone()),
            _ => None,
        };
        let model = self.request.model.clone().or(of_model);
        Request { model, waits: false, ..self.request.clone() }
    }
}

/// Whether a place can be used.
pub(super) enum Usable {
    Reserved(Reservation),
    /// As far as looking tells.
    Ready,
    LacksConversation,
    NoCredential,
}
