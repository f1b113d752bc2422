//! Opens the context that nearly every verb needs.

use anyhow::Result;

use crate::cli;
use crate::engine::{Context, RequestArgs, Voice};
use crate::report;

/// Opens the context of a verb that prints messages to the terminal.
pub(super) fn open() -> Result<Context> {
    Context::open(Voice::terminal(report::sentence))
}

/// Converts the request options of the command line.
pub(super) fn ask(ask: &cli::RequestArgs) -> RequestArgs {
    RequestArgs {
        namespace: ask.namespace.clone(),
        level: ask.priority,
        tags: ask.tags.clone(),
        over_budget: ask.over_budget,
    }
}

/// Like `open`, for a verb that also works without a config and creates one.
pub(super) fn open_or_begin() -> Result<Context> {
    Context::open_or_begin(Voice::terminal(report::sentence))
}
