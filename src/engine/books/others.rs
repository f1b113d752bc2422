//! Other attempts whose transcripts are in the same location as an attempt's own. If kage did not choose the
//! id of the conversation, it must not mistake their transcripts for the attempt's own.

use crate::agent::{Others, Watch};
use crate::engine::context::Context;
use crate::pool::{Lease, State};

impl Context {
    /// Returns what is known about other attempts of the same agent whose transcripts are in the same
    /// location. The state must be read before the ledger: an attempt that is no longer in the state is then
    /// in the ledger.
    pub(in crate::engine) fn others(&self, own: &Lease, watch: &Watch, state: &State) -> Others {
        let Some(record) = watch.record().filter(|_| watch.session.is_none()) else {
            return Others::default();
        };
        let shares_location = |lease: &&Lease| {
            let location = lease.record.as_ref().map(|record| (&record.dir, &record.cwd));
            lease.id != own.id && lease.agent == own.agent && location == Some((&record.dir, &record.cwd))
        };
        let others: Vec<_> = state.leases.iter().chain(&state.lost).filter(shares_location).collect();
        let booked = self.ledger().conversations(&own.agent);
        let is_booked =
            |lease: &Lease| booked.iter().any(|one| one.run == lease.id.0 && one.began == lease.since);
        let order = |lease: &Lease| (lease.since, lease.id.0.clone());
        let later = others.iter().filter(|lease| order(lease) > order(own));
        let unknown = later.filter(|lease| lease.sessions().is_empty() && !is_booked(lease));
        Others {
            later: unknown.map(|lease| lease.since).collect(),
            sessions: others
                .iter()
                .flat_map(|lease| lease.sessions())
                .map(str::to_owned)
                .chain(booked.iter().map(|one| one.session.clone()))
                .collect(),
        }
    }
}
