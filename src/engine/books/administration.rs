//! What a person changes about the state: rename, reset, remove, a new credential.

use anyhow::Result;
use jiff::Timestamp;

use crate::engine::context::Context;
use crate::pool::{Administer, Name, State};

impl Context {
    /// A new subscription; another one may have had its name before.
    pub(crate) fn begin_subscription(&self, name: &Name, minted: Option<Timestamp>) -> Result<()> {
        self.administer(&Administer::Begin { name, minted }).map(drop)
    }

    /// Limits, totals and running agents go with the name.
    pub(crate) fn rename_subscription(&self, old: &Name, new: &Name) -> Result<()> {
        self.administer(&Administer::Rename { old, new }).map(drop)
    }

    /// Forgets limits, health and turns; totals stay.
    pub(crate) fn reset_subscription(&self, name: &Name) -> Result<()> {
        let now = self.now().timestamp();
        self.administer(&Administer::Reset { name, rule: "reset", now }).map(drop)
    }

    /// Limits and health are forgotten with the old secret; `minted` is when the new one was made.
    pub(crate) fn note_new_credential(&self, name: &Name, minted: Option<Timestamp>) -> Result<()> {
        let now = self.now().timestamp();
        self.administer(&Administer::NewCredential { name, minted, now }).map(drop)
    }

    /// Forgets everything that is known of a subscription.
    pub(crate) fn forget_subscription(&self, name: &Name) -> Result<()> {
        self.administer(&Administer::Remove(name)).map(drop)
    }

    pub(super) fn administer(&self, administer: &Administer<'_>) -> Result<State> {
        let state = self.store.administer(administer);
        self.tell_notices();
        state
    }
}
