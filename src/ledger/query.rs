//! A query of the ledger, and its answer.

use std::collections::BTreeMap;
use std::ops::AddAssign;

use jiff::civil::Date;
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};

use crate::pool::{Cost, Name, TokenCount};

/// Which attempts to count, and how to group them.
#[derive(Debug, Clone)]
pub struct Query {
    /// The time zone that defines days.
    pub zone: TimeZone,
    /// The first day; `None` for no limit.
    pub since: Option<Date>,
    /// The last day, included; `None` for no limit.
    pub until: Option<Date>,
    pub subscription: Option<Name>,
    pub namespace: Option<Name>,
    /// A model id, or the beginning of one.
    pub model: Option<String>,
    pub by: Vec<By>,
}

impl Query {
    /// Returns the query for the sum of everything.
    pub fn all(zone: TimeZone) -> Self {
        Self { zone, since: None, until: None, subscription: None, namespace: None, model: None, by: vec![] }
    }

    /// Returns the same query, grouped by other keys.
    pub fn by(&self, by: &[By]) -> Self {
        Self { by: by.to_vec(), ..self.clone() }
    }
}

/// A key by which rows are grouped.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum By {
    Subscription,
    Agent,
    Model,
    Namespace,
    /// The working directory of the attempt.
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
    /// Empty if the attempt has none, such as no namespace or no known model.
    Text(String),
}

/// The sums of a row.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Tally {
    /// Runs (of `kage exec`) whose first attempt is in this row.
    pub runs: u64,
    /// Starts of an agent; several if a run continued on another subscription. When grouped by model: the
    /// attempts that used the model.
    pub attempts: u64,
    /// Attempts that ended at a usage limit.
    pub limits: u64,
    pub duration: SignedDuration,
    pub tokens: TokenCount,
    /// The cost of the tokens whose price is known or estimated.
    pub cost: Cost,
    /// The part of `cost` that is an estimate.
    pub estimated: Cost,
    /// The number of tokens (of all kinds) whose price is unknown.
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
        self.estimated += more.estimated;
        self.unpriced = self.unpriced.saturating_add(more.unpriced);
    }
}

/// The answer to a query.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Answer {
    /// The rows in the order of their keys.
    pub rows: BTreeMap<Keys, Tally>,
    pub total: Tally,
    /// Lines that could not be parsed: the file and their number.
    pub damaged: Vec<(String, u64)>,
}

impl Answer {
    /// Returns the texts of the keys of the rows that meet a condition.
    pub fn texts(&self, condition: impl Fn(&Tally) -> bool) -> Vec<String> {
        let rows = self.rows.iter().filter(|(_, tally)| condition(tally));
        let text = |key: &Key| if let Key::Text(text) = key { Some(text.clone()) } else { None };
        rows.flat_map(|(keys, _)| keys).filter_map(text).collect()
    }
}
