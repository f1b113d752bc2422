//! `kage ps`: the agents that run.

use anyhow::Result;

use super::Desk;
use crate::cli;
use crate::report;

pub(super) fn run(form: &cli::Json) -> Result<()> {
    let desk = Desk::open()?;
    let leases = desk.store.read()?.leases;
    if form.json {
        report::print_json(&report::running_json(&leases))
    } else {
        report::print(&report::running(&leases, &desk.paths.home, report::columns(), &desk.now))
    }
}
