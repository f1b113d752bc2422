//! `kage usage`: what ran, how many tokens it took, and what they would have cost.

use anyhow::Result;
use jiff::ToSpan as _;
use jiff::civil::Date;
use jiff::tz::TimeZone;

use super::Desk;
use crate::cli::{self, Period};
use crate::ledger::{By, Ledger, Query};
use crate::report;

pub(super) fn run(args: &cli::Usage) -> Result<()> {
    let desk = Desk::open()?;
    if let Some(before) = args.prune_before {
        return prune(&desk, before);
    }
    desk.state()?; // what killed runs have used is to be in the ledger
    let query = query(args, &desk);
    if args.rebuild {
        Ledger::new(&desk.paths.state).rebuild(&query.zone)?;
    }
    let answer = Ledger::new(&desk.paths.state).usage(&query, &desk.config.prices)?;
    report::print(&format!("{answer:#?}\n"))
}

/// Whoever types the day means it: there is no question.
fn prune(desk: &Desk, before: Date) -> Result<()> {
    let pruned = Ledger::new(&desk.paths.state).prune(before, desk.now.time_zone())?;
    report::print(&format!("deleted {} from before {before}\n", report::counted(pruned, "attempt")))
}

fn query(args: &cli::Usage, desk: &Desk) -> Query {
    let zone = if args.utc { TimeZone::UTC } else { desk.now.time_zone().clone() };
    let today = desk.now.with_time_zone(zone.clone()).date();
    let usual = args.since.is_none() && args.until.is_none();
    let since = match args.period.or(usual.then_some(Period::Month)) {
        None => args.since,
        Some(Period::Today) => Some(today),
        Some(Period::Week) => {
            Some(today.saturating_sub(i64::from(today.weekday().to_monday_zero_offset()).days()))
        }
        Some(Period::Month) => Some(today.first_of_month()),
        Some(Period::All) => None,
    };
    Query {
        since,
        until: args.until,
        subscription: args.subscription.clone(),
        namespace: args.namespace.clone(),
        model: args.model.clone(),
        by: args.by.iter().map(|&by| by.into()).collect(),
        ..Query::all(zone)
    }
}

impl From<cli::By> for By {
    fn from(by: cli::By) -> Self {
        match by {
            cli::By::Subscription => Self::Subscription,
            cli::By::Model => Self::Model,
            cli::By::Namespace => Self::Namespace,
            cli::By::Project => Self::Project,
            cli::By::Day => Self::Day,
            cli::By::Hour => Self::Hour,
        }
    }
}
