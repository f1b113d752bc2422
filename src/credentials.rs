//! The credential locations: four backends with one trait. A secret is in exactly one of them.
//!
//! Called by a run, which only reads secrets, and by `subscription`, `setup` and `doctor`. Nothing here knows
//! agents or the config.

mod backend;
mod command;
mod envelope;
mod file;
mod home;
mod key;
mod keychain;
#[cfg(target_os = "linux")]
mod plain;

use std::time::Duration;

use anyhow::Result;

use crate::error::{Failure, Status};
use crate::paths::Paths;
use crate::pool::{Name, Source};
use crate::secret::{Secret, make_undumpable};

pub(crate) use backend::Backend;
pub(crate) use keychain::fetch as fetch_from_keychain;
#[cfg(target_os = "linux")]
pub use plain::secret_length;

/// Returns the backend of a source. From now on the process may hold a secret.
pub(crate) fn backend(source: &Source, paths: &Paths) -> Box<dyn Backend> {
    make_undumpable();
    match source {
        Source::Keychain => Box::new(keychain::Keychain::new(&paths.state)),
        Source::File => Box::new(file::EncryptedFile::new(paths)),
        Source::Command(command) => Box::new(command::SecretCommand::new(command)),
        Source::Home(dir) => Box::new(home::Login(dir.clone())),
    }
}

/// Returns the secret that a command prints, or an error if the command takes longer than `patience`.
pub(crate) fn secret_from_command(line: &str, name: &Name, patience: Duration) -> Result<Secret> {
    make_undumpable();
    command::SecretCommand { line: line.to_owned(), patience }.get(name)
}

/// Writes, reads and removes a trial secret without touching the user's secrets: in the keychain under a name
/// that no subscription can have, or in a separate encrypted file. Does nothing for a command or a login
/// directory, where kage stores nothing.
pub(crate) fn round_trip(source: &Source, paths: &Paths) -> Result<()> {
    make_undumpable();
    match source {
        Source::Keychain => keychain::Keychain::new(&paths.state).round_trip(),
        Source::File => file::EncryptedFile::round_trip(paths),
        Source::Command(_) | Source::Home(_) => Ok(()),
    }
}

/// The command that removes a secret from the keychain without kage.
pub(crate) fn manual_keychain_removal(name: &Name) -> String {
    keychain::manual_removal(name)
}

/// Removes a secret that no subscription uses any more. If it may still be in the keychain, where it is only
/// a risk, the error says how to remove it manually.
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
        .hint(format!("to remove it: {}", keychain::manual_removal(name)))
        .into())
}

#[cfg(test)]
mod tests;
