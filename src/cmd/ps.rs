//! `kage ps`: the running agents.

use anyhow::Result;

use crate::cli;
use crate::report;

pub(super) fn run(form: &cli::Json) -> Result<()> {
    let context = crate::cmd::context::open()?;
    let leases = context.view()?.leases;
    if form.json {
        report::print_json(&report::running_json(&leases))
    } else {
        report::print(&report::running(&leases, &context.paths.home, report::columns(), &context.now()))
    }
}
