//! What tokens cost at the providers' public prices: a dated table, and the user's own on top.
//!
//! Called by the config, which reads the user's, and by whoever shows or limits a cost. The answer is what the
//! same tokens would have cost over the provider's API, never what anyone paid. What has no price here is
//! unpriced, never free.

mod built_in;
mod names;
mod period;
mod table;

use std::collections::BTreeMap;

use jiff::civil::Date;

use crate::pool::{Cost, PromptLength, TokenCount};

pub use period::{Period, overlap};
use table::Table;

/// All prices that are known: the user's own, and behind them kage's table.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Prices {
    own: Table,
}

/// The prices of one model, over time. Without any, all its tokens are unpriced.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct OfModel<'a> {
    periods: &'a [Period],
}

impl Prices {
    /// With prices of the user's. A name may end in `*`, which stands for any ending.
    pub fn with_own(own: BTreeMap<String, Vec<Period>>) -> Self {
        Self { own: Table::new(own) }
    }

    /// The prices of a model by the id in the agent's records; none where it is not in the table. The user's
    /// own replace those of kage's table on all days.
    pub fn of(&self, model: &str) -> OfModel<'_> {
        let known = self.own.find(model).or_else(|| built_in::TABLE.prices.find(model));
        OfModel { periods: known.unwrap_or_default() }
    }

    /// Which prices these are: the date of kage's table, with `+own` where the user's are on top.
    pub fn version(&self) -> String {
        let own = if self.own == Table::default() { "" } else { "+own" };
        format!("{}{own}", built_in::TABLE.version)
    }
}

impl OfModel<'_> {
    /// What the tokens would have cost on that day; `None` where a price is not known for any of them.
    pub fn cost(self, day: Date, prompt: PromptLength, count: &TokenCount) -> Option<Cost> {
        self.periods.iter().find(|period| period.covers(day))?.cost(prompt, count)
    }
}

impl Table {
    fn new(prices: BTreeMap<String, Vec<Period>>) -> Self {
        let mut table = Self::default();
        for (name, periods) in prices {
            match name.strip_suffix('*') {
                Some(family) => table.families.push((family.to_owned(), periods)),
                None => drop(table.models.insert(name, periods)),
            }
        }
        table.families.sort_by_key(|(family, _)| std::cmp::Reverse(family.len()));
        table
    }

    fn find(&self, model: &str) -> Option<&[Period]> {
        if self.models.is_empty() && self.families.is_empty() {
            return None;
        }
        let names = names::of(model);
        let exact = names.iter().find_map(|&name| self.models.get(name));
        let of_family = |(family, periods)| {
            let fits = names.iter().any(|name| name.starts_with(family));
            fits.then_some(periods)
        };
        let families = || self.families.iter().map(|(family, periods)| (family.as_str(), periods));
        exact.or_else(|| families().find_map(of_family)).map(Vec::as_slice)
    }
}

#[cfg(test)]
mod tests;
