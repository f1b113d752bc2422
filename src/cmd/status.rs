//! `kage status`: the pool at a glance.

use anyhow::Result;

use super::Desk;
use crate::cli;
use crate::report;

pub(super) fn run(form: &cli::Json) -> Result<()> {
    let desk = Desk::open()?;
    let state = desk.state()?;
    if form.json {
        report::print_json(&report::pool_json(&desk.config.pool, &state, None, &desk.now))
    } else {
        report::print(&report::overview(&desk.config.pool, &state, &desk.now))
    }
}
