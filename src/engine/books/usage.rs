//! Queries of the ledger, and its maintenance.

use anyhow::Result;
use jiff::civil::Date;
use jiff::tz::TimeZone;

use crate::engine::context::Context;
use crate::ledger::{Answer, By, Key, Ledger, Query};
use crate::prices::Prices;

/// The ledger, and the prices of its tokens.
pub(crate) struct Books<'a> {
    ledger: Ledger,
    prices: &'a Prices,
}

impl Context {
    pub(crate) fn books(&self) -> Books<'_> {
        Books { ledger: self.ledger(), prices: &self.config.prices }
    }
}

impl Books<'_> {
    pub(crate) fn ask(&self, query: &Query) -> Result<Answer> {
        self.ledger.usage(query, self.prices)
    }

    /// Returns the model whose price estimates that of a model without one.
    pub(crate) fn estimated_from(&self, model: &str) -> Option<&str> {
        self.prices.of(model).estimated_from()
    }

    /// Recomputes the sums of the whole ledger.
    pub(crate) fn rebuild(&self, zone: &TimeZone) -> Result<()> {
        self.ledger.rebuild(zone)
    }

    /// Deletes the attempts before a day and returns their number.
    pub(crate) fn prune(&self, before: Date, zone: &TimeZone) -> Result<u64> {
        self.ledger.prune(before, zone)
    }

    /// Returns every subscription that has an attempt in the ledger.
    pub(crate) fn subscriptions(&self) -> Result<Vec<String>> {
        let answer = self.ask(&Query::all(TimeZone::UTC).by(&[By::Subscription]))?;
        let names = answer.rows.into_keys().flatten();
        Ok(names.filter_map(|key| if let Key::Text(name) = key { Some(name) } else { None }).collect())
    }
}
