//! Questions to the ledger, and its maintenance.

use anyhow::Result;
use jiff::civil::Date;
use jiff::tz::TimeZone;

use crate::engine::context::Context;
use crate::ledger::{Answer, By, Key, Ledger, Query};
use crate::prices::Prices;

/// The ledger, and what its tokens cost.
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

    /// Sums all of it up again.
    pub(crate) fn rebuild(&self, zone: &TimeZone) -> Result<()> {
        self.ledger.rebuild(zone)
    }

    /// Deletes what is from before a day; the answer is how many attempts.
    pub(crate) fn prune(&self, before: Date, zone: &TimeZone) -> Result<u64> {
        self.ledger.prune(before, zone)
    }

    /// Every subscription on which something ran.
    pub(crate) fn subscriptions(&self) -> Result<Vec<String>> {
        let seen = self.ask(&Query::all(TimeZone::UTC).by(&[By::Subscription]))?;
        let names = seen.rows.into_keys().flatten();
        Ok(names.filter_map(|key| if let Key::Text(name) = key { Some(name) } else { None }).collect())
    }
}
