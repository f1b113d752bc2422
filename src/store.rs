//! The store of the state that all kage processes share. Each change is one of the pool's operations.
//!
//! Called by the engine, which does the bookkeeping. Knows only the pool's types; never prints.

mod file;

use std::time::Duration;

use anyhow::Result;

use crate::error::Notice;
use crate::pool::{Administer, Change, Observe, Release, Reserve, Reserved, Settle, Settled, State};

pub use file::{FileStore, holder_mark, marked_holder, started};

/// Holds the state. Each change is atomic: no process sees part of a change, and no change is lost.
pub trait Store {
    /// Returns the current state without the leases of dead processes. Changes nothing. A damaged state reads
    /// as empty, with a notice.
    fn view(&self) -> Result<State>;

    /// Like `view`, but damage is an error. For callers that read repeatedly.
    fn strict_view(&self) -> Result<State>;

    fn reserve(&self, reserve: &Reserve<'_>) -> Result<Reserved>;

    /// Waits at most `patience` for another process that is changing the state.
    fn observe(&self, observe: &Observe<'_>, patience: Duration) -> Result<Option<Change>>;

    fn settle(&self, settle: &Settle<'_>) -> Result<Settled>;

    fn release(&self, release: &Release<'_>) -> Result<()>;

    /// Returns the state after the change, from the same transaction.
    fn administer(&self, administer: &Administer<'_>) -> Result<State>;

    /// Returns the notices for the user since the last call.
    fn take_notices(&self) -> Vec<Notice>;
}
