//! Where secrets are kept: four backends behind one trait. A secret is in exactly one of them.
//!
//! Called by `exec` (get) and the subscription verbs. Nothing here knows agents or the config.

mod command;
mod envelope;
mod file;
mod home;
mod key;
mod keychain;

use anyhow::Result;

use crate::error::{Failure, Status};
use crate::paths::Paths;
use crate::pool::{Name, Source};
use crate::secret::Secret;

pub(crate) use keychain::fetch as fetch_from_keychain;

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
}

/// The backend of a source.
pub(crate) fn backend(source: &Source, paths: &Paths) -> Box<dyn Backend> {
    match source {
        Source::Keychain => Box::new(keychain::Keychain::new(&paths.state)),
        Source::File => Box::new(file::EncryptedFile::new(paths)),
        Source::Command(command) => Box::new(command::Printed(command.clone())),
        Source::Home(dir) => Box::new(home::Login(dir.clone())),
    }
}

/// Takes away a secret that no subscription uses any more. One that stays, or may stay, in the keychain
/// could be used by nobody but its thief, so the error says how to take it away by hand.
pub(crate) fn forget(source: &Source, name: &Name, paths: &Paths) -> Result<()> {
    let removed = backend(source, paths).remove(name);
    if *source != Source::Keychain {
        return removed.map(|_| ());
    }
    let why = match removed {
        Ok(true) => return Ok(()),
        Ok(false) => "it was not found, or the keychain was never unlocked".to_owned(),
        Err(why) => format!("{why:#}"),
    };
    let message = format!("the secret of `{name}` may still be in the keychain ({why})");
    Err(Failure::new(Status::Failed, message)
        .hint(format!("to take it away: {}", keychain::by_hand(name)))
        .into())
}

#[cfg(test)]
mod tests;
