//! What every place for secrets can do.

use anyhow::Result;

use crate::error::Notice;
use crate::pool::Name;
use crate::secret::Secret;

/// A place that holds secrets by the name of their subscription.
pub(crate) trait Backend {
    fn get(&self, name: &Name) -> Result<Secret>;
    /// Stores a secret, in the place of the one that was there.
    fn set(&self, name: &Name, secret: &Secret) -> Result<()>;
    /// Removes a secret; one that is not there is no error. The answer is whether there was one.
    fn remove(&self, name: &Name) -> Result<bool>;
    /// A keychain that was never unlocked has nothing, as far as it says.
    fn has(&self, name: &Name) -> Result<bool>;
    /// The names it holds secrets for.
    fn list(&self) -> Result<Vec<Name>>;
    /// What happened since the last call that the user should know.
    fn take_notices(&self) -> Vec<Notice> {
        Vec::new()
    }
}
