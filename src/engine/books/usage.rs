//! Queries of the ledger, and its maintenance.

use anyhow::Result;
use jiff::civil::Date;
use jiff::tz::TimeZone;

use crate::config::Config;
use crate::engine::context::Context;
use crate::ledger::{Answer, By, Ledger, Query};
use crate::paths::Paths;
use crate::prices::Prices;

/// Returns the models of the runs of a query whose tokens have no price, not even an estimate.
pub(crate) fn unpriced_models(paths: &Paths, config: &Config, query: &Query) -> Result<Vec<String>> {
    let answer = Ledger::new(&paths.state).usage(&query.by(&[By::Model]), &config.prices)?;
    Ok(answer.texts(|tally| tally.unpriced > 0))
}

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
        Ok(answer.texts(|_| true))
    }
}
