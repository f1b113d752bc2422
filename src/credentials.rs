//! Where secrets are kept: four backends behind one trait. A secret is in exactly one of them.
//!
//! Called by `exec` (get) and the subscription verbs. Nothing here knows agents or the config.

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
use crate::secret::{Secret, close_process};

pub(crate) use backend::Backend;
pub(crate) use keychain::fetch as fetch_from_keychain;

/// The backend of a source. From here on the process may have a secret.
pub(crate) fn backend(source: &Source, paths: &Paths) -> Box<dyn Backend> {
    close_process();
    match source {
        Source::Keychain => Box::new(keychain::Keychain::new(&paths.state)),
        Source::File => Box::new(file::EncryptedFile::new(paths)),
        Source::Command(command) => Box::new(command::Printed::by(command)),
        Source::Home(dir) => Box::new(home::Login(dir.clone())),
    }
}

/// What a command prints, for who would rather not than wait longer.
pub(crate) fn printed_within(line: &str, name: &Name, patience: Duration) -> Result<Secret> {
    close_process();
    command::Printed { line: line.to_owned(), patience }.get(name)
}

/// Writes a secret that is none, reads it and takes it away again, beside the secrets of the user: in the
/// keychain under a name that no subscription can have, in an encrypted file of its own. Where nothing is kept
/// there is nothing to try.
pub(crate) fn round_trip(source: &Source, paths: &Paths) -> Result<()> {
    close_process();
    match source {
        Source::Keychain => keychain::Keychain::new(&paths.state).round_trip(),
        Source::File => file::EncryptedFile::round_trip(paths),
        Source::Command(_) | Source::Home(_) => Ok(()),
    }
}

/// The command that takes a secret out of the keychain without kage.
pub(crate) fn keychain_by_hand(name: &Name) -> String {
    keychain::by_hand(name)
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
