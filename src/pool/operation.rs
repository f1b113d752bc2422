//! Each change to the shared state, as a value with a pure `apply`. A `Store` executes them.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;

use super::{
    Change, Cooldowns, Costs, Exclusion, Gauge, Lease, LeaseId, Level, Moment, Name, NotReady, Outcome, Pool,
    Reading, Record, Request, State, take,
};

/// The process that reserves: the fields of a lease that are known before a subscription is chosen.
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

/// Chooses a subscription for an attempt and takes a place on it, in one step, so that two kages never both
/// take the last place.
#[derive(Debug, Clone, Copy)]
pub struct Reserve<'a> {
    pub pool: &'a Pool,
    pub request: &'a Request,
    pub holder: &'a Holder,
    /// Whether to reserve nothing until the runs of killed kages are counted: their usage may count against a
    /// budget.
    pub counts_lost_first: bool,
    pub moment: &'a Moment,
}

/// The result of `Reserve`.
#[derive(Debug, Clone, PartialEq)]
pub enum Reserved {
    Place {
        lease: Lease,
        /// The exclusion that `-s` or `--over-budget` overruled.
        overruled: Option<Exclusion>,
        /// Subscriptions that became active again because their limits passed.
        recovered: Vec<Name>,
    },
    NotReady {
        why: NotReady,
        recovered: Vec<Name>,
    },
    /// Runs of killed kages must be counted first.
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

/// Records something about a running attempt.
#[derive(Debug, Clone, Copy)]
pub struct Observe<'a> {
    pub lease: &'a Lease,
    pub reading: Observation<'a>,
    pub now: Timestamp,
}

/// What was observed about a running attempt.
#[derive(Debug, Clone, Copy)]
pub enum Observation<'a> {
    /// Where the agent's records of the run will be.
    Record(&'a Record),
    /// The provider refuses the subscription; from now on, all other runs avoid it.
    Refusal { outcome: &'a Outcome, cooldowns: Cooldowns },
    /// How full the windows are.
    Windows(&'a BTreeMap<String, Reading>),
    /// What a hook reported about the conversation, and the agent process that runs the hooks.
    Session { event: SessionEvent<'a>, at: Timestamp, hooked_pid: Option<u32> },
}

/// What happened to a conversation. Each variant holds the session id.
#[derive(Debug, Clone, Copy)]
pub enum SessionEvent<'a> {
    Entered(&'a str),
    Left(&'a str),
    Prompted(&'a str),
}

impl Observe<'_> {
    /// Returns the status change of the subscription, if any.
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
                        state.clear_refusal(lease);
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

/// What settling changed: the status of the subscription, and the budgets that reached 80 or 100 %.
#[derive(Debug, Clone, Default)]
pub struct Settled {
    pub change: Option<Change>,
    pub crossed: Vec<Gauge>,
}

impl Settle<'_> {
    pub fn apply(&self, state: &mut State) -> Settled {
        let Self { pool, lease, outcome, costs, moment } = *self;
        let settle = |state: &mut State| state.settle(lease, outcome, costs, Cooldowns::from(pool), moment);
        let (change, crossed) = pool.budgets_crossed_by(state, lease, moment, settle);
        Settled { change, crossed }
    }
}

/// Releases leases without an outcome to book.
#[derive(Debug, Clone, Copy)]
pub enum Release<'a> {
    /// A lease whose agent never started. It does not count as a run.
    NotStarted(&'a Lease),
    /// A lease whose agent never started because the credential could not be read. It does not count as a
    /// run. `reason` is shown to the user.
    CredentialFailed { lease: &'a Lease, reason: &'a str, now: Timestamp },
    /// All leases of a run.
    Run(&'a LeaseId),
}

impl Release<'_> {
    pub fn apply(&self, state: &mut State) {
        match *self {
            Self::NotStarted(lease) => state.undo_reservation(lease),
            Self::CredentialFailed { lease, reason, now } => {
                state.undo_reservation(lease);
                state.credential_failed(&lease.subscription, reason, now);
            }
            Self::Run(id) => state.release(id),
        }
    }
}

/// Changes made by the user or by the recovery of lost runs.
#[derive(Debug, Clone, Copy)]
pub enum Administer<'a> {
    /// Clears limits, health and turns; `rule` names the cause.
    Reset {
        name: &'a Name,
        rule: &'a str,
        now: Timestamp,
    },
    Rename {
        old: &'a Name,
        new: &'a Name,
    },
    /// Begins a new subscription. Drops the state of an earlier one with the same name.
    Begin {
        name: &'a Name,
        minted: Option<Timestamp>,
    },
    /// Records a new secret. Limits and health of the old one are cleared.
    NewCredential {
        name: &'a Name,
        minted: Option<Timestamp>,
        now: Timestamp,
    },
    Remove(&'a Name),
    /// Makes no change of its own. Before each change, the store moves the leases of dead processes to the
    /// lost ones; this operation only triggers that.
    Reap,
    /// Drops lost leases that have nothing to count, identified by run and start time.
    ForgetLost(&'a BTreeSet<(LeaseId, Timestamp)>),
}

impl Administer<'_> {
    /// Whether the change must survive a crash of the machine.
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
