//! The operations of every credential location.

use anyhow::Result;

use crate::error::Notice;
use crate::pool::Name;
use crate::secret::Secret;

/// A credential location. Each secret has the name of its subscription.
pub(crate) trait Backend {
    fn get(&self, name: &Name) -> Result<Secret>;
    /// Stores a secret and replaces an existing one.
    fn set(&self, name: &Name, secret: &Secret) -> Result<()>;
    /// Removes a secret. Returns whether there was one.
    fn remove(&self, name: &Name) -> Result<bool>;
    /// Whether there is a secret. A keychain that was never unlocked reports that it has none.
    fn has(&self, name: &Name) -> Result<bool>;
    /// The names of the stored secrets.
    fn list(&self) -> Result<Vec<Name>>;
    /// The notices for the user since the last call.
    fn take_notices(&self) -> Vec<Notice> {
        Vec::new()
    }
}
