//! A store that keeps the state in memory and applies the operations, without files or locks.

use std::cell::RefCell;
use std::time::Duration;

use anyhow::Result;

use crate::error::Notice;
use crate::pool::{Administer, Change, Observe, Release, Reserve, Reserved, Settle, Settled, State};
use crate::store::Store;

/// The state in memory.
#[derive(Default)]
pub(super) struct Memory {
    pub state: RefCell<State>,
}

impl Store for &'static Memory {
    fn view(&self) -> Result<State> {
        Ok(self.state.borrow().clone())
    }

    fn strict_view(&self) -> Result<State> {
        self.view()
    }

    fn reserve(&self, reserve: &Reserve<'_>) -> Result<Reserved> {
        Ok(reserve.apply(&mut self.state.borrow_mut()))
    }

    fn observe(&self, observe: &Observe<'_>, _patience: Duration) -> Result<Option<Change>> {
        Ok(observe.apply(&mut self.state.borrow_mut()))
    }

    fn settle(&self, settle: &Settle<'_>) -> Result<Settled> {
        Ok(settle.apply(&mut self.state.borrow_mut()))
    }

    fn release(&self, release: &Release<'_>) -> Result<()> {
        release.apply(&mut self.state.borrow_mut());
        Ok(())
    }

    fn administer(&self, administer: &Administer<'_>) -> Result<State> {
        administer.apply(&mut self.state.borrow_mut());
        self.view()
    }

    fn take_notices(&self) -> Vec<Notice> {
        Vec::new()
    }
}
