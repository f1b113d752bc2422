//! Whose records may be among those of an attempt, where the agent did not take its conversation from kage.

use crate::agent::{Others, Watch};
use crate::engine::context::Context;
use crate::pool::{Lease, State};

impl Context {
    /// What is known of other attempts by the same agent with the same records. The state was read before the
    /// ledger is: who has left the one is in the other.
    pub(in crate::engine) fn others(&self, own: &Lease, watch: &Watch, state: &State) -> Others {
        let Some(place) = watch.record().filter(|_| watch.session.is_none()) else {
            return Others::default();
        };
        let is_beside = |lease: &&Lease| {
            let there = lease.record.as_ref().map(|record| (&record.dir, &record.cwd));
            lease.id != own.id && lease.agent == own.agent && there == Some((&place.dir, &place.cwd))
        };
        let beside: Vec<_> = state.leases.iter().chain(&state.lost).filter(is_beside).collect();
        let booked = self.ledger().conversations(&own.agent);
        let is_booked =
            |lease: &Lease| booked.iter().any(|one| one.run == lease.id.0 && one.began == lease.since);
        let order = |lease: &Lease| (lease.since, lease.id.0.clone());
        let later = beside.iter().filter(|lease| order(lease) > order(own));
        let unknown = later.filter(|lease| lease.sessions().is_empty() && !is_booked(lease));
        Others {
            later: unknown.map(|lease| lease.since).collect(),
            sessions: beside
                .iter()
                .flat_map(|lease| lease.sessions())
                .map(str::to_owned)
                .chain(booked.iter().map(|one| one.session.clone()))
                .collect(),
        }
    }
}
