//! `kage why`: the choice of the next run, explained. Changes nothing.

use anyhow::Result;

use super::{Desk, request, strangers};
use crate::cli;
use crate::error;
use crate::pool::explain;
use crate::report;

pub(super) fn run(args: &cli::Why) -> Result<()> {
    let desk = Desk::open()?;
    let (request, standing) = request(&args.ask, &args.agent, &desk.config)?;
    for stranger in strangers(&standing, &request.tags, &desk.config) {
        error::warn(stranger);
    }
    let candidates = explain(&desk.config.pool, &desk.state()?, &request, &desk.moment());
    if args.form.json {
        report::print_json(&report::why_json(&candidates))
    } else {
        report::print(&report::why(&desk.config.pool, &candidates, &request, &desk.now))
    }
}
