//! `kage metrics`: counters and gauges for a monitoring system.

use anyhow::Result;
use jiff::tz::TimeZone;

use super::Desk;
use super::usage::warn_of_damage;
use crate::ledger::{By, Ledger, Query};
use crate::report::{self, Metrics, metrics};

pub(super) fn run() -> Result<()> {
    let desk = Desk::open()?;
    let ledger = Ledger::new(&desk.paths.state);
    let state = desk.state()?; // first, so that what killed runs have used is in the ledger
    let prices = &desk.config.prices;
    let all = Query::all(TimeZone::UTC);
    let attempts = ledger.usage(&all.by(&[By::Subscription, By::Agent, By::Verdict]), prices)?;
    let models = ledger.usage(&all.by(&[By::Subscription, By::Model]), prices)?;
    warn_of_damage(&models);
    report::print(&metrics(&Metrics {
        attempts: &attempts,
        models: &models,
        pool: &desk.config.pool,
        state: &state,
        now: desk.now.timestamp(),
    }))
}
