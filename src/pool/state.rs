//! The state that all kage processes share: limits, health, leases, turns and today's totals.

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use super::maps;
use super::totals::{Costs, Month, Today, Totals};
use super::window::Sliding;
use super::{Lease, Moment, Name, Scope, Subscription, Usage, Window};

/// The window in which `least-used` counts tokens if the utilization is not known.
pub(super) const USAGE_WINDOW: SignedDuration = SignedDuration::from_hours(5);
/// How many status changes each subscription keeps.
const CHANGES_KEPT: usize = 5;

/// The whole shared state.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct State {
    #[serde(skip_serializing_if = "BTreeMap::is_empty", deserialize_with = "maps::deserialize_sorted")]
    pub subscriptions: BTreeMap<Name, SubscriptionState>,
    /// What the runs of each namespace used.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub namespaces: BTreeMap<Name, Totals>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub leases: Vec<Lease>,
    /// Leases with records whose kage was killed before it settled them. They do not count as running; their
    /// usage must still be booked.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub lost: Vec<Lease>,
    /// When the leases were last checked for reused pids; `None` if there are few leases.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub looked_at: Option<Timestamp>,
}

impl State {
    /// Returns the one subscription on which at least three attempts in a row ended with an HTTP 400 that nothing
    /// recognizes, and their number. If other subscriptions have such attempts too, the requests are the cause.
    pub fn refused_repeatedly(&self) -> Option<(&Name, u32)> {
        let mut refused = self.subscriptions.iter().filter(|(_, known)| known.unknown_refusals > 0);
        let (name, known) = refused.next().filter(|_| refused.next().is_none())?;
        (known.unknown_refusals >= 3).then_some((name, known.unknown_refusals))
    }

    /// Returns the state of a subscription, or an empty one if it has never run.
    pub fn of(&self, name: &Name) -> SubscriptionState {
        self.subscriptions.get(name).cloned().unwrap_or_default()
    }

    /// Returns how many agents run on a subscription now.
    pub fn running(&self, name: &Name) -> u32 {
        u32::try_from(self.leases.iter().filter(|lease| lease.subscription == *name).count())
            .unwrap_or(u32::MAX)
    }

    /// Drops the leases of dead processes: their kage or their machine died before it could settle. Leases
    /// with records move to `lost`.
    pub fn reap(&mut self, is_alive: impl Fn(&Lease) -> bool) {
        let dead = self.leases.extract_if(.., |lease| !is_alive(lease));
        self.lost.extend(dead.filter(|lease| lease.record.is_some()));
    }

    /// Drops limits whose deadline has passed. Returns the subscriptions that became active again.
    pub fn pass_deadlines(&mut self, now: Timestamp) -> Vec<Name> {
        let passed = self
            .subscriptions
            .iter_mut()
            .filter_map(|(name, known)| known.pass_deadlines(now).then(|| name.clone()));
        passed.collect()
    }

    /// Begins the state of a new subscription. Drops the state of an earlier one with the same name.
    pub fn begin(&mut self, name: &Name, minted: Option<Timestamp>) {
        self.subscriptions.remove(name);
        self.note_minted(name, minted);
    }

    /// Records when the new secret of a subscription was made; `None` if that is not known.
    pub fn note_minted(&mut self, name: &Name, minted: Option<Timestamp>) {
        match self.subscriptions.get_mut(name) {
            Some(known) => known.minted = minted,
            None if minted.is_none() => {}
            None => {
                let known = SubscriptionState { minted, ..SubscriptionState::default() };
                self.subscriptions.insert(name.clone(), known);
            }
        }
    }

    /// Moves the limits, totals and leases of a subscription to its new name.
    pub fn rename(&mut self, old: &Name, new: &Name) {
        if let Some(state) = self.subscriptions.remove(old) {
            self.subscriptions.insert(new.clone(), state);
        }
        let held = self.leases.iter_mut().chain(&mut self.lost);
        for lease in held.filter(|lease| lease.subscription == *old) {
            lease.subscription = new.clone();
        }
    }
}

/// The shared state of one subscription.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct SubscriptionState {
    /// The balance of this subscription in smooth weighted round-robin: positive if it is owed runs.
    #[serde(skip_serializing_if = "is_zero")]
    pub credit: i64,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub limits: Vec<Limit>,
    #[serde(skip_serializing_if = "Option::is_none", rename = "sickness")]
    pub unhealthy: Option<Unhealthy>,
    /// Consecutive failures to read the credential. The third and each later one make the subscription
    /// unhealthy.
    #[serde(skip_serializing_if = "is_zero_count")]
    pub failures: u32,
    /// How many times in a row it became unhealthy; each time doubles the pause.
    #[serde(skip_serializing_if = "is_zero_count", rename = "strikes")]
    pub consecutive_failures: u32,
    /// Consecutive attempts that ended with an HTTP 400 that nothing recognizes.
    #[serde(skip_serializing_if = "is_zero_count")]
    pub unknown_refusals: u32,
    /// Consecutive limits, including throttling, that had no reset time; each doubles the pause.
    #[serde(skip_serializing_if = "is_zero_count")]
    pub repeats: u32,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub today: Option<Today>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub month: Option<Month>,
    #[serde(skip_serializing_if = "Sliding::is_empty")]
    pub requests: Sliding,
    #[serde(skip_serializing_if = "Sliding::is_empty")]
    pub tokens: Sliding,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub utilization: BTreeMap<String, Utilization>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub changes: Vec<Change>,
    /// When the secret was made: the date the user gave, or when it was stored.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub minted: Option<Timestamp>,
}

// serde passes the fields by reference.
#[allow(clippy::trivially_copy_pass_by_ref)]
fn is_zero(credit: &i64) -> bool {
    *credit == 0
}

#[allow(clippy::trivially_copy_pass_by_ref)]
fn is_zero_count(count: &u32) -> bool {
    *count == 0
}

impl SubscriptionState {
    /// Returns the totals of the current day.
    pub fn today(&self, moment: &Moment) -> Today {
        Today::at(self.today.as_ref(), moment)
    }

    /// Returns the totals of the current month.
    pub fn month(&self, moment: &Moment) -> Month {
        Month::at(self.month.as_ref(), moment)
    }

    /// Books what an attempt used on the day and month in which it was used.
    pub(super) fn book_usage(&mut self, usage: &Usage, costs: &Costs, moment: &Moment) {
        let mut totals = Totals { today: self.today.take(), month: self.month.take() };
        totals.book(usage, costs, moment);
        (self.today, self.month) = (totals.today, totals.month);
    }

    /// Returns the limits that have not passed.
    pub fn active_limits(&self, now: Timestamp) -> impl Iterator<Item = &Limit> {
        self.limits.iter().filter(move |limit| limit.until > now)
    }

    /// Returns the highest utilization (0.0-1.0) of the known windows that have not reset. The window of one model counts only for requests for that model.
    pub fn highest_utilization(&self, model: Option<&str>, now: Timestamp) -> Option<f64> {
        let counts = |window: &str| Window::model_of(window).is_none_or(|covered| model == Some(covered));
        let known = self
            .utilization
            .iter()
            .filter(|(window, reading)| counts(window) && reading.resets_at.is_none_or(|at| at > now));
        known.map(|(_, reading)| reading.value).max_by(f64::total_cmp)
    }

    /// Returns the tokens used in the last `USAGE_WINDOW`, which `least-used` compares.
    pub fn recent_tokens(&self, now: Timestamp) -> u64 {
        self.tokens.total(USAGE_WINDOW, now)
    }

    /// Returns the status of the subscription now.
    pub fn status(&self, subscription: &Subscription, now: Timestamp) -> Status {
        if !subscription.enabled {
            return Status::Disabled;
        }
        let limited_until = |kind| {
            let limits = self.active_limits(now).filter(|limit| limit.scope == Scope::All);
            limits.filter(|limit| limit.kind == kind).map(|limit| limit.until).max()
        };
        if let Some(unhealthy) = self.unhealthy.as_ref().filter(|unhealthy| unhealthy.until > now) {
            Status::Unhealthy { until: unhealthy.until }
        } else if let Some(until) = limited_until(LimitKind::Exhausted) {
            Status::Exhausted { until }
        } else if let Some(until) = limited_until(LimitKind::RateLimited) {
            Status::RateLimited { until }
        } else {
            Status::Active
        }
    }

    /// Returns the reason for the status: why it is unhealthy, or the window of the longest limit.
    pub fn reason(&self, now: Timestamp) -> Option<&str> {
        let unhealthy = self.unhealthy.as_ref().filter(|unhealthy| unhealthy.until > now);
        unhealthy.map(|unhealthy| unhealthy.reason.as_str()).or_else(|| {
            self.active_limits(now).max_by_key(|limit| limit.until).map(|limit| limit.window.as_str())
        })
    }

    fn pass_deadlines(&mut self, now: Timestamp) -> bool {
        let limits_all = |limits: &[Limit]| limits.iter().any(|limit| limit.scope == Scope::All);
        let was_limited = limits_all(&self.limits);
        self.limits.retain(|limit| limit.until > now);
        let is_active = was_limited && !limits_all(&self.limits) && self.unhealthy.is_none();
        if is_active {
            let to = Status::Active.word().to_owned();
            self.record(Change { at: now, to, until: None, rule: "deadline".into(), evidence: None });
        }
        is_active
    }

    pub(super) fn record(&mut self, change: Change) {
        self.changes.push(change);
        let excess = self.changes.len().saturating_sub(CHANGES_KEPT);
        self.changes.drain(..excess);
    }
}

/// The status of a subscription.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Status {
    Active,
    RateLimited { until: Timestamp },
    Exhausted { until: Timestamp },
    Disabled,
    Unhealthy { until: Timestamp },
}

impl Status {
    /// The word used in tables, `--status` and JSON.
    pub fn word(self) -> &'static str {
        match self {
            Self::Active => "active",
            Self::RateLimited { .. } => "rate_limited",
            Self::Exhausted { .. } => "exhausted",
            Self::Disabled => "disabled",
            Self::Unhealthy { .. } => "unhealthy",
        }
    }

    /// Returns when the status ends; `None` if it does not end on its own, or is not known.
    pub fn until(self) -> Option<Timestamp> {
        match self {
            Self::Unhealthy { until } if until >= UNTIL_RESET => None,
            Self::RateLimited { until } | Self::Exhausted { until } | Self::Unhealthy { until } => {
                Some(until)
            }
            Self::Active | Self::Disabled => None,
        }
    }
}

/// Whether a limit lasts hours or days.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LimitKind {
    RateLimited,
    Exhausted,
}

/// A limit of the provider that holds until a deadline.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Limit {
    pub scope: Scope,
    pub kind: LimitKind,
    /// The provider's name for the window, or `throttled`.
    pub window: String,
    pub since: Timestamp,
    pub until: Timestamp,
}

/// Why and until when a subscription is unhealthy: the provider refuses it, or its credential keeps failing.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Unhealthy {
    pub reason: String,
    pub since: Timestamp,
    /// After this time, one run at a time may try the subscription. `UNTIL_RESET` if no run may.
    pub until: Timestamp,
}

impl Unhealthy {
    /// Whether only `kage subscription reset` or a new credential ends it.
    pub fn is_until_reset(&self) -> bool {
        self.until >= UNTIL_RESET
    }
}

/// The deadline of a subscription that no run may try until its health is reset: the year 9999.
pub const UNTIL_RESET: Timestamp = Timestamp::constant(253_370_764_800, 0);

/// How full a provider's window was when last read.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Utilization {
    /// 0.0-1.0.
    pub value: f64,
    pub resets_at: Option<Timestamp>,
    pub read_at: Timestamp,
}

/// A status change: when, by which rule, on what evidence.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Change {
    pub at: Timestamp,
    pub to: String,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub until: Option<Timestamp>,
    pub rule: String,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub evidence: Option<String>,
}
