//! `kage usage`: an answer of the ledger as a table, JSON, CSV and HTML page.

mod amount;
mod bars;
mod csv;
mod json;
mod page;
mod period;
mod series;
mod table;

use std::cmp::Reverse;
use std::path::Path;

use jiff::Zoned;
use jiff::civil::Date;

use super::ps::below_home;
use crate::ledger::{Answer, By, Key, Keys, Query, Tally};
use crate::text::one_line;

pub(super) use amount::Worth;
pub use page::{Charts, page};
pub use period::{is_single_day, no_usage};
pub use table::{Extras, Terminal, table};

/// A query to the ledger and its answer.
pub struct Usage<'a> {
    pub query: &'a Query,
    pub answer: &'a Answer,
    /// The version of the price table.
    pub prices: &'a str,
    /// The name of the time zone of the days, if known.
    pub zone: Option<&'a str>,
    /// Now, in that time zone.
    pub now: &'a Zoned,
    /// The user's home directory, shown as `~`.
    pub home: &'a Path,
}

impl Usage<'_> {
    /// The rows by day and hour, then by tokens, most first.
    fn rows(&self) -> Vec<(&Keys, &Tally)> {
        let mut rows: Vec<_> = self.answer.rows.iter().collect();
        let times = |keys: &Keys| {
            let is_time = |key: &&Key| !matches!(key, Key::Text(_));
            keys.iter().filter(is_time).cloned().collect::<Vec<_>>()
        };
        rows.sort_by_cached_key(|(keys, tally)| (times(keys), Reverse(tally.tokens.tokens()), *keys));
        rows
    }

    /// Whether the rows count attempts instead of runs. Rows by model do: a run may use several models.
    fn counts_attempts(&self) -> bool {
        self.query.model.is_some() || self.query.by.contains(&By::Model)
    }

    /// The keys of a row as text.
    fn shown(&self, keys: &Keys) -> Vec<String> {
        let shown = |(by, key): (&By, &Key)| match (by, key) {
            (_, Key::Day(day)) => day.to_string(),
            (_, Key::Hour(hour)) => {
                hour.to_zoned(self.query.zone.clone()).strftime("%Y-%m-%d %H:%M").to_string()
            }
            (_, Key::Text(text)) if text.is_empty() => "none".to_owned(),
            (By::Project, Key::Text(cwd)) => one_line(&below_home(cwd, self.home)),
            (_, Key::Text(text)) => one_line(text),
        };
        self.query.by.iter().zip(keys).map(shown).collect()
    }

    fn today(&self) -> Date {
        self.now.date()
    }
}

/// The name of a grouping key in JSON and CSV.
fn word(by: By) -> &'static str {
    match by {
        By::Subscription => "subscription",
        By::Agent => "agent",
        By::Model => "model",
        By::Namespace => "namespace",
        By::Project => "project",
        By::Verdict => "verdict",
        By::Day => "day",
        By::Hour => "hour",
    }
}

/// The heading of a grouping key in tables.
fn heading(by: By) -> &'static str {
    match by {
        By::Subscription => "Subscription",
        By::Agent => "Agent",
        By::Model => "Model",
        By::Namespace => "Namespace",
        By::Project => "Project",
        By::Verdict => "Verdict",
        By::Day => "Day",
        By::Hour => "Hour",
    }
}

#[cfg(test)]
mod tests;
