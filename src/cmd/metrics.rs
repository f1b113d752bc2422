//! `kage metrics`: counters and gauges for a monitoring system.

use anyhow::Result;
use jiff::tz::TimeZone;

use super::usage::warn_of_damage;
use crate::engine::{By, Query};
use crate::report::{self, Metrics, metrics};

pub(super) fn run() -> Result<()> {
    let context = crate::cmd::context::open()?;
    let state = context.state()?; // first: this books the tokens of killed runs in the ledger
    let books = context.books();
    let all = Query::all(TimeZone::UTC);
    let attempts = books.ask(&all.by(&[By::Subscription, By::Agent, By::Verdict]))?;
    let models = books.ask(&all.by(&[By::Subscription, By::Model]))?;
    warn_of_damage(&models);
    report::print(&metrics(&Metrics {
        attempts: &attempts,
        models: &models,
        pool: &context.config.pool,
        state: &state,
        now: context.now().timestamp(),
    }))
}
