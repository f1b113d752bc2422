//! What nearly every verb begins with.

use anyhow::Result;

use crate::cli;
use crate::engine::{Ask, Context, Voice};
use crate::report;

/// The context of a verb that speaks at the terminal.
pub(super) fn open() -> Result<Context> {
    Context::open(Voice::terminal(report::sentence))
}

/// What was asked of the pool.
pub(super) fn ask(ask: &cli::Ask) -> Ask {
    Ask {
        namespace: ask.namespace.clone(),
        level: ask.priority,
        tags: ask.tags.clone(),
        over_budget: ask.over_budget,
    }
}

/// Like `open`, for a verb that works without a config and writes one.
pub(super) fn open_or_begin() -> Result<Context> {
    Context::open_or_begin(Voice::terminal(report::sentence))
}
