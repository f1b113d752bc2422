//! What the ledger answered: as a table, as JSON, as lines for a spreadsheet, and as a page.

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
pub use period::{is_of_one_day, nothing};
pub use table::{Around, Terminal, table};

/// A question to the ledger, and its answer.
pub struct Usage<'a> {
    pub query: &'a Query,
    pub answer: &'a Answer,
    /// Which table of prices the costs are from.
    pub prices: &'a str,
    /// The name of the zone whose days are meant, where it is known.
    pub zone: Option<&'a str>,
    /// Now, in that zone.
    pub now: &'a Zoned,
    /// The user's home directory, which a person knows as `~`.
    pub home: &'a Path,
}

impl Usage<'_> {
    /// Days and hours as they came; what else there is by its tokens, most first.
    fn rows(&self) -> Vec<(&Keys, &Tally)> {
        let mut rows: Vec<_> = self.answer.rows.iter().collect();
        let moments = |keys: &Keys| {
            let is_moment = |key: &&Key| !matches!(key, Key::Text(_));
            keys.iter().filter(is_moment).cloned().collect::<Vec<_>>()
        };
        rows.sort_by_cached_key(|(keys, tally)| (moments(keys), Reverse(tally.tokens.tokens()), *keys));
        rows
    }

    /// Whether rows count the attempts that used a model: a run may use several.
    fn counts_attempts(&self) -> bool {
        self.query.model.is_some() || self.query.by.contains(&By::Model)
    }

    /// The keys of a row as a person reads them.
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

/// The word for what rows are told apart by, in JSON, CSV and, with a capital, in tables.
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
