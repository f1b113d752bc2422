//! Every change of the shared state, as a value with a pure `apply`. A `Store` executes them.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;

use super::{
    Change, Cooldowns, Costs, Exclusion, Gauge, Lease, LeaseId, Level, Moment, Name, NotReady, Outcome, Pool,
    Reading, Record, Request, State, take,
};

/// Who asks for a place: everything that a lease says but the subscription.
#[derive(Debug, Clone)]
pub struct Holder {
    pub id: LeaseId,
    pub pid: u32,
    /// When the process started, in the kernel's clock ticks since boot.
    pub started: u64,
    pub agent: String,
    pub namespace: Option<Name>,
    pub level: Level,
    pub pane: Option<String>,
    pub cwd: String,
}

impl Holder {
    fn lease(&self, subscription: Name, since: Timestamp) -> Lease {
        Lease {
            id: self.id.clone(),
            pid: self.pid,
            started: self.started,
            subscription,
            agent: self.agent.clone(),
            namespace: self.namespace.clone(),
            level: self.level,
            hooked_pid: None,
            visits: Vec::new(),
            refused: None,
            record: None,
            pane: self.pane.clone(),
            cwd: self.cwd.clone(),
            since,
        }
    }
}

/// Chooses a subscription for an attempt and takes a place on it, so that two kages never take the last one.
#[derive(Debug, Clone, Copy)]
pub struct Reserve<'a> {
    pub pool: &'a Pool,
    pub request: &'a Request,
    pub holder: &'a Holder,
    /// Nothing is reserved while there are runs whose kage was killed: what they used may count against a budget.
    pub counts_lost_first: bool,
    pub moment: &'a Moment,
}

/// What `Reserve` came to.
#[derive(Debug, Clone, PartialEq)]
pub enum Reserved {
    Place {
        lease: Lease,
        /// What would have excluded the subscription, had the user not insisted on it.
        overruled: Option<Exclusion>,
        /// Subscriptions whose limits had passed.
        recovered: Vec<Name>,
    },
    NotReady {
        why: NotReady,
        recovered: Vec<Name>,
    },
    /// There are runs whose kage was killed, to be counted first.
    LostFirst,
}

impl Reserve<'_> {
    pub fn apply(&self, state: &mut State) -> Reserved {
        if self.counts_lost_first && !state.lost.is_empty() {
            return Reserved::LostFirst;
        }
        let recovered = state.pass_deadlines(self.moment.now);
        match take(self.pool, state, self.request, self.moment) {
            Ok(chosen) => {
                let lease = self.holder.lease(chosen.name, self.moment.now);
                state.leases.push(lease.clone());
                Reserved::Place { lease, overruled: chosen.overruled, recovered }
            }
            Err(why) => Reserved::NotReady { why, recovered },
        }
    }
}

/// Notes something about an attempt that runs.
#[derive(Debug, Clone, Copy)]
pub struct Observe<'a> {
    pub lease: &'a Lease,
    pub reading: Observation<'a>,
    pub now: Timestamp,
}

/// What was observed.
#[derive(Debug, Clone, Copy)]
pub enum Observation<'a> {
    /// Where the agent's records will be.
    Record(&'a Record),
    /// The provider refuses the account; every other run avoids the subscription from now on.
    Refusal { outcome: &'a Outcome, cooldowns: Cooldowns },
    /// How full the windows are.
    Windows(&'a BTreeMap<String, Reading>),
    /// What a hook reported of the conversation, and the agent process that runs the hooks.
    Session { event: SessionEvent<'a>, at: Timestamp, hooked_pid: Option<u32> },
}

/// What happened to the conversation of a session.
#[derive(Debug, Clone, Copy)]
pub enum SessionEvent<'a> {
    Entered(&'a str),
    Left(&'a str),
    Prompted(&'a str),
}

impl Observe<'_> {
    /// The answer is what it changed about the subscription.
    pub fn apply(&self, state: &mut State) -> Option<Change> {
        let Self { lease, now, .. } = *self;
        match self.reading {
            Observation::Record(record) => state.note_record(lease, record.clone()),
            Observation::Refusal { outcome, cooldowns } => {
                return state.refuse(lease, outcome, cooldowns, now);
            }
            Observation::Windows(readings) => {
                let news = state.of(&lease.subscription).news(readings, now);
                if !news.is_empty() && state.leases.contains(lease) {
                    state.read_windows(&lease.subscription, &news, now);
                }
            }
            Observation::Session { event, at, hooked_pid } => {
                state.note_hooked_pid(lease, hooked_pid);
                match event {
                    SessionEvent::Entered(session) => state.enter(lease, session, at),
                    SessionEvent::Left(session) => state.leave(lease, session, at),
                    SessionEvent::Prompted(session) => {
                        state.enter(lease, session, at);
                        state.prompted(lease);
                    }
                }
            }
        }
        None
    }
}

/// Books the outcome of an attempt and releases its lease.
#[derive(Debug, Clone, Copy)]
pub struct Settle<'a> {
    pub pool: &'a Pool,
    pub lease: &'a Lease,
    pub outcome: &'a Outcome,
    pub costs: &'a Costs,
    pub moment: &'a Moment,
}

/// What settling changed: about the subscription, and which budgets it brought to 80 % or to their end.
#[derive(Debug, Clone, Default)]
pub struct Settled {
    pub change: Option<Change>,
    pub crossed: Vec<Gauge>,
}

impl Settle<'_> {
    pub fn apply(&self, state: &mut State) -> Settled {
        let Self { pool, lease, outcome, costs, moment } = *self;
        let settle = |state: &mut State| state.settle(lease, outcome, costs, Cooldowns::from(pool), moment);
        let (change, crossed) = pool.crossings(state, lease, moment, settle);
        Settled { change, crossed }
    }
}

/// Releases what has nothing to book.
#[derive(Debug, Clone, Copy)]
pub enum Release<'a> {
    /// A lease whose agent never started: that was no run.
    NotStarted(&'a Lease),
    /// The same, for the account's own fault: why, for a person.
    CredentialFailed { lease: &'a Lease, reason: &'a str, now: Timestamp },
    /// Everything that a run holds.
    Run(&'a LeaseId),
}

impl Release<'_> {
    pub fn apply(&self, state: &mut State) {
        match *self {
            Self::NotStarted(lease) => state.give_back(lease),
            Self::CredentialFailed { lease, reason, now } => {
                state.give_back(lease);
                state.account_failed(&lease.subscription, reason, now);
            }
            Self::Run(id) => state.release(id),
        }
    }
}

/// What a person, or the recovery of killed runs, changes.
#[derive(Debug, Clone, Copy)]
pub enum Administer<'a> {
    /// Forgets limits, health and turns; `rule` says what for.
    Reset {
        name: &'a Name,
        rule: &'a str,
        now: Timestamp,
    },
    Rename {
        old: &'a Name,
        new: &'a Name,
    },
    /// A new subscription; another one may have had its name before.
    Begin {
        name: &'a Name,
        minted: Option<Timestamp>,
    },
    /// Another secret: limits and health are forgotten with the old one.
    NewCredential {
        name: &'a Name,
        minted: Option<Timestamp>,
        now: Timestamp,
    },
    Remove(&'a Name),
    /// Moves the leases of processes that are gone to the lost ones. The store does that before each change.
    Reap,
    /// Forgets lost runs of which there is nothing to count, by run and beginning.
    ForgetLost(&'a BTreeSet<(LeaseId, Timestamp)>),
}

impl Administer<'_> {
    /// Whether the change must survive the end of the machine.
    pub fn is_lasting(&self) -> bool {
        !matches!(self, Self::Reap | Self::ForgetLost(_))
    }

    pub fn apply(&self, state: &mut State) {
        match *self {
            Self::Reset { name, rule, now } => state.reset(name, rule, now),
            Self::Rename { old, new } => state.rename(old, new),
            Self::Begin { name, minted } => state.begin(name, minted),
            Self::NewCredential { name, minted, now } => {
                state.reset(name, "credential", now);
                state.note_minted(name, minted);
            }
            Self::Remove(name) => drop(state.subscriptions.remove(name)),
            Self::Reap => {}
            Self::ForgetLost(runs) => {
                state.lost.retain(|lease| !runs.contains(&(lease.id.clone(), lease.since)));
            }
        }
    }
}
