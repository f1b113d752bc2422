//! What tokens cost at the providers' public prices: a dated table, overridden by the user's own prices.
//!
//! Called by the config, which reads the user's prices, and by everything that shows or limits a cost. A cost
//! is what the same tokens would have cost over the provider's API, never what was paid. If a model has no
//! price, that of another version of its family is used, as an estimate. Without one, its tokens are unpriced,
//! never free.

mod built_in;
mod family;
mod names;
mod period;
mod table;

use std::collections::BTreeMap;

use jiff::civil::Date;

use crate::pool::{Priced, PromptLength, TokenCount};

pub use period::{Period, overlap};
use table::Table;

/// All known prices: the user's own, then kage's table.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Prices {
    own: Table,
}

/// The prices of one model over time. If there are none, all its tokens are unpriced.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct ModelPrices<'a> {
    periods: &'a [Period],
    /// The model that the prices belong to, if it is another one.
    estimated_from: Option<&'a str>,
}

impl Prices {
    /// Returns kage's prices, overridden by the user's. A name may end in `*`, which matches any ending.
    pub fn with_own(own: BTreeMap<String, Vec<Period>>) -> Self {
        Self { own: Table::new(own) }
    }

    /// Returns the prices of a model, given its id in the agent's records: its own, else those of the nearest
    /// version of its family, else none. If the user has prices for it, kage's table is not used, even on days
    /// that they do not cover.
    pub fn of(&self, model: &str) -> ModelPrices<'_> {
        let tables = [&self.own, &built_in::TABLE.prices];
        if let Some(periods) = tables.iter().find_map(|table| table.find(model)) {
            return ModelPrices { periods, estimated_from: None };
        }
        let plain = names::of(model).into_iter().min_by_key(|name| name.len()).unwrap_or(model);
        let known = tables.iter().flat_map(|table| table.models.keys().map(String::as_str));
        let Some(nearest) = family::nearest(plain, known) else { return ModelPrices::default() };
        let periods = tables.iter().find_map(|table| table.find(nearest)).unwrap_or_default();
        ModelPrices { periods, estimated_from: Some(nearest) }
    }

    /// Returns the date of kage's table, followed by `+own` if the user has defined prices.
    pub fn version(&self) -> String {
        let own = if self.own == Table::default() { "" } else { "+own" };
        format!("{}{own}", built_in::TABLE.version)
    }
}

impl<'a> ModelPrices<'a> {
    /// Returns what the tokens would have cost on that day; `None` without a price for that day.
    pub fn cost(self, day: Date, prompt: PromptLength, count: &TokenCount) -> Option<Priced> {
        let priced = self.periods.iter().find(|period| period.covers(day))?.cost(prompt, count)?;
        Some(Priced { is_estimate: priced.is_estimate || self.estimated_from.is_some(), ..priced })
    }

    /// Returns the model whose prices are used, if it is another one.
    pub fn estimated_from(self) -> Option<&'a str> {
        self.estimated_from
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
            let matches = names.iter().any(|name| name.starts_with(family));
            matches.then_some(periods)
        };
        let families = || self.families.iter().map(|(family, periods)| (family.as_str(), periods));
        exact.or_else(|| families().find_map(of_family)).map(Vec::as_slice)
    }
}

#[cfg(test)]
mod tests;
