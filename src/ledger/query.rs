//! What a user asks of the ledger, and the answer.

use std::collections::BTreeMap;
use std::ops::AddAssign;

use jiff::civil::Date;
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};

use crate::pool::{Cost, Name, TokenCount};

/// Which attempts, and by what they are told apart.
#[derive(Debug, Clone)]
pub struct Query {
    /// Days are days of this zone.
    pub zone: TimeZone,
    /// The first day; `None` for the beginning.
    pub since: Option<Date>,
    /// The last day, which is counted; `None` for no end.
    pub until: Option<Date>,
    pub subscription: Option<Name>,
    pub namespace: Option<Name>,
    /// A whole model id, or the beginning of one.
    pub model: Option<String>,
    pub by: Vec<By>,
}

impl Query {
    /// Everything there is, in one sum.
    pub fn all(zone: TimeZone) -> Self {
        Self { zone, since: None, until: None, subscription: None, namespace: None, model: None, by: vec![] }
    }

    /// The same, told apart by something else.
    pub fn by(&self, by: &[By]) -> Self {
        Self { by: by.to_vec(), ..self.clone() }
    }
}

/// What rows are told apart by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum By {
    Subscription,
    Agent,
    Model,
    Namespace,
    /// The directory that it ran in.
    Project,
    Verdict,
    Day,
    Hour,
}

/// The keys of a row, in the order of `Query::by`.
pub type Keys = Vec<Key>;

/// One key of a row.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Key {
    Day(Date),
    /// The beginning of the hour.
    Hour(Timestamp),
    /// Empty where there is none: an attempt without a namespace, or without a known model.
    Text(String),
}

/// The sums of a row.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Tally {
    /// Calls of `kage exec` that began here.
    pub runs: u64,
    /// Starts of an agent; several where a run was continued on another subscription. By model: those that
    /// used it.
    pub attempts: u64,
    /// Attempts that a usage limit ended.
    pub limits: u64,
    pub duration: SignedDuration,
    pub tokens: TokenCount,
    /// Of the tokens whose price is known.
    pub cost: Cost,
    /// Tokens of every kind whose price is not known.
    pub unpriced: u64,
}

impl AddAssign for Tally {
    fn add_assign(&mut self, more: Self) {
        self.runs += more.runs;
        self.attempts += more.attempts;
        self.limits += more.limits;
        self.duration = self.duration.saturating_add(more.duration);
        self.tokens += more.tokens;
        self.cost += more.cost;
        self.unpriced = self.unpriced.saturating_add(more.unpriced);
    }
}

/// The answer to a query.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Answer {
    /// By their keys, in order.
    pub rows: BTreeMap<Keys, Tally>,
    pub total: Tally,
    /// Lines that could not be read: file, how many.
    pub damaged: Vec<(String, u64)>,
}
