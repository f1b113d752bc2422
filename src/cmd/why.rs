//! `kage why`: explains which subscription the next run would get. Changes nothing.

use anyhow::Result;

use crate::cli;
use crate::engine::{likely_typos, request};
use crate::pool::{Moment, explain};
use crate::report;

pub(super) fn run(args: &cli::Why) -> Result<()> {
    let context = crate::cmd::context::open()?;
    let (request, location) = request(&super::context::ask(&args.ask), &args.agent, &context.config)?;
    for typo in likely_typos(&location, &request.tags, &context.config) {
        report::warn(typo);
    }
    let (state, now) = (context.state()?, context.now());
    let candidates = explain(&context.config.pool, &state, &request, &Moment::from(&now));
    if args.form.json {
        report::print_json(&report::why_json(&candidates))
    } else {
        report::print(&report::why(&context.config.pool, &candidates, &request, &now))
    }
}
