//! Where the state lives that all kage processes share. Every change of it is one of the pool's operations.
//!
//! Called by the engine, which keeps the books, and by the doctor. Knows the pool's types only, and never prints.

mod file;

use std::time::Duration;

use anyhow::Result;

use crate::error::Notice;
use crate::pool::{Administer, Change, Observe, Release, Reserve, Reserved, Settle, Settled, State};

pub use file::{FileStore, holder_mark, marked_holder, started};

/// A place for the state. Each change is atomic: no other process sees half of it, and none is lost.
pub trait Store {
    /// The state as it is now, without the leases of dead processes. Changes nothing. What is damaged counts as
    /// empty, and is a notice.
    fn view(&self) -> Result<State>;

    /// The same for a caller that looks again in a moment: damage is an error.
    fn undamaged_view(&self) -> Result<State>;

    fn reserve(&self, reserve: &Reserve<'_>) -> Result<Reserved>;

    /// Waits no longer than `patience` for another process that changes the state.
    fn observe(&self, observe: &Observe<'_>, patience: Duration) -> Result<Option<Change>>;

    fn settle(&self, settle: &Settle<'_>) -> Result<Settled>;

    fn release(&self, release: &Release<'_>) -> Result<()>;

    /// The answer is the state after the change, from the same transaction.
    fn administer(&self, administer: &Administer<'_>) -> Result<State>;

    /// What happened since the last call that the user should know.
    fn take_notices(&self) -> Vec<Notice>;
}
