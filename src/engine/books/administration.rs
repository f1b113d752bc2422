//! Changes of the state that the user makes: rename, reset, remove, a new credential.

use anyhow::Result;
use jiff::Timestamp;

use crate::engine::context::Context;
use crate::pool::{Administer, Name, State};

impl Context {
    /// Begins the state of a new subscription. Drops the state of an earlier one with the same name.
    pub(crate) fn begin_subscription(&self, name: &Name, minted: Option<Timestamp>) -> Result<()> {
        self.administer(&Administer::Begin { name, minted }).map(drop)
    }

    /// Moves limits, totals and running agents to the new name.
    pub(crate) fn rename_subscription(&self, old: &Name, new: &Name) -> Result<()> {
        self.administer(&Administer::Rename { old, new }).map(drop)
    }

    /// Clears limits, health and turns. Totals remain.
    pub(crate) fn reset_subscription(&self, name: &Name) -> Result<()> {
        let now = self.now().timestamp();
        self.administer(&Administer::Reset { name, rule: "reset", now }).map(drop)
    }

    /// Clears limits and health, which belonged to the old secret. `minted` is when the new one was made.
    pub(crate) fn note_new_credential(&self, name: &Name, minted: Option<Timestamp>) -> Result<()> {
        let now = self.now().timestamp();
        self.administer(&Administer::NewCredential { name, minted, now }).map(drop)
    }

    /// Removes a subscription from the state.
    pub(crate) fn forget_subscription(&self, name: &Name) -> Result<()> {
        self.administer(&Administer::Remove(name)).map(drop)
    }

    pub(super) fn administer(&self, administer: &Administer<'_>) -> Result<State> {
        let state = self.store.administer(administer);
        self.say_notices();
        state
    }
}
