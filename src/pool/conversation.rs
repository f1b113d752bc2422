//! What the state records on its leases: the conversations of their agents, and refusals booked early.

use jiff::Timestamp;

use super::{Lease, LeaseId, Name, Record, Refused, State, Visit};

impl State {
    /// Returns the lease of a run on a subscription, or any lease of the run if the subscription was renamed.
    pub fn held(&self, run: &LeaseId, subscription: &Name) -> Option<&Lease> {
        let of_run = || self.leases.iter().filter(|lease| lease.id == *run);
        of_run().find(|lease| lease.subscription == *subscription).or_else(|| of_run().next())
    }

    fn lease_mut(&mut self, lease: &Lease) -> Option<&mut Lease> {
        self.leases.iter_mut().find(|held| held.is(lease))
    }

    /// Records what another kage needs to count this run if its own kage is killed.
    pub fn note_record(&mut self, lease: &Lease, record: Record) {
        if let Some(held) = self.lease_mut(lease) {
            held.record = Some(record);
        }
    }

    /// Drops a lost lease once its run has been counted.
    pub fn forget_lost(&mut self, lost: &Lease) {
        self.lost.retain(|lease| !lease.is(lost));
    }

    /// Records which process of the agent runs its hooks.
    pub(super) fn note_hooked_pid(&mut self, lease: &Lease, hooked_pid: Option<u32>) {
        if let Some(held) = self.lease_mut(lease) {
            held.hooked_pid = hooked_pid.or(held.hooked_pid);
        }
    }

    /// Records that the agent entered this conversation.
    pub fn enter(&mut self, lease: &Lease, session: &str, now: Timestamp) {
        let Some(held) = self.lease_mut(lease) else { return };
        if held.session() == Some(session) {
            return;
        }
        held.refused = None; // the refusal belonged to the previous conversation
        close(held, now);
        held.visits.push(Visit { session: session.to_owned(), since: now, until: None });
    }

    /// Records that the agent left this conversation.
    pub fn leave(&mut self, lease: &Lease, session: &str, now: Timestamp) {
        let held = self.lease_mut(lease).filter(|held| held.session() == Some(session));
        if let Some(held) = held {
            close(held, now);
        }
    }

    /// Clears the refusal, because a prompt continued the conversation.
    pub fn clear_refusal(&mut self, lease: &Lease) {
        if let Some(held) = self.lease_mut(lease) {
            held.refused = None;
        }
    }

    pub(super) fn note_refusal(&mut self, lease: &Lease, refused: Refused) {
        if let Some(held) = self.lease_mut(lease) {
            held.refused = Some(refused);
        }
    }
}

fn close(lease: &mut Lease, now: Timestamp) {
    if let Some(open) = lease.visits.last_mut().filter(|visit| visit.until.is_none()) {
        open.until = Some(now);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    #[test]
    fn a_conversation_ends_when_the_next_begins() {
        let lease = Lease::on("work");
        let mut state = State { leases: vec![lease.clone()], ..State::default() };
        let noted = |state: &State| {
            let visits = state.leases[0].visits.iter();
            visits.map(|visit| (visit.session.clone(), visit.since, visit.until)).collect::<Vec<_>>()
        };
        state.enter(&lease, "a", at(1));
        state.enter(&lease, "a", at(2)); // a compacted conversation is the same one
        assert_eq!(noted(&state), [("a".into(), at(1), None)]);
        state.enter(&lease, "b", at(3));
        assert_eq!(noted(&state), [("a".into(), at(1), Some(at(3))), ("b".into(), at(3), None)]);
        assert_eq!(state.leases[0].session(), Some("b"));
        state.leave(&lease, "a", at(4)); // reported late
        assert_eq!(state.leases[0].session(), Some("b"));
        state.leave(&lease, "b", at(5));
        assert_eq!(state.leases[0].session(), None);
        state.enter(&lease, "b", at(6));
        assert_eq!(state.leases[0].visits.len(), 3);
    }

    #[test]
    fn a_refusal_remains_until_a_prompt_or_another_conversation() {
        let lease = Lease::on("work");
        let mut state = State { leases: vec![lease.clone()], ..State::default() };
        let refused = || Refused { at: at(2), verdict: "usage_limit".into() };
        state.enter(&lease, "a", at(1));
        state.note_refusal(&lease, refused());
        assert!(state.leases[0].refused.is_some());
        state.clear_refusal(&lease);
        assert_eq!(state.leases[0].refused, None);
        state.note_refusal(&lease, refused());
        state.enter(&lease, "b", at(3));
        assert_eq!(state.leases[0].refused, None);
    }

    #[test]
    fn two_leases_of_a_run_are_distinguished() {
        let first = Lease::on("work");
        let second = Lease { subscription: "spare".parse().unwrap(), since: at(9), ..first.clone() };
        let mut state = State { leases: vec![first.clone(), second.clone()], ..State::default() };
        assert_eq!(state.held(&first.id, &second.subscription), Some(&second));
        state.enter(&second, "b", at(10));
        assert!(state.leases[0].visits.is_empty() && state.leases[1].session() == Some("b"));
        state.rename(&"spare".parse().unwrap(), &"other".parse().unwrap());
        state.leases.remove(0);
        assert!(state.held(&first.id, &second.subscription).is_some(), "the subscription was renamed");
    }
}
