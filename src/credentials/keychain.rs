//! The keychain of the operating system, through `keyring` and the store it has for the platform: the
//! Secret Service on Linux (pure Rust D-Bus), the Keychain on macOS.
//!
//! Every call is made by one kage at a time, since a real gnome-keyring-daemon dies under parallel clients,
//! and has a deadline, since a stuck bus or a stopped daemon otherwise hangs its client for good.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Result, anyhow};
use keyring::{Entry, Error};

use super::Backend;
use crate::error::{Failure, Status};
use crate::files::Lock;
use crate::pool::Name;
use crate::secret::Secret;

/// For the lock and the call together.
const PATIENCE: Duration = Duration::from_secs(10);
const SERVICE: &str = "kage";

/// The keychain of the user.
pub(super) struct Keychain {
    lock: PathBuf,
    patience: Duration,
}

impl Keychain {
    pub(super) fn new(state: &Path) -> Self {
        Self { lock: state.join("keyring.lock"), patience: PATIENCE }
    }

    /// One call: alone, within the deadline. `None` where there is no such entry.
    fn call<T: Send + 'static>(
        &self,
        name: &Name,
        work: impl Fn(&str) -> keyring::Result<T> + Send + 'static,
    ) -> Result<Option<T>> {
        let begun = Instant::now();
        let _lock = Lock::acquire(&self.lock, self.patience)
            .map_err(|why| why.context("the keychain is busy").context(refusal(name, "timed out")))?;
        let (done, wait) = mpsc::channel();
        let user = name.to_string();
        thread::spawn(move || {
            let answer = match work(&user) {
                // A daemon that died under the call is started again by the bus; ask that one once.
                Err(Error::PlatformFailure(_)) => work(&user),
                answer => answer,
            };
            let _ = done.send(answer.map_err(cause));
        });
        let left = self.patience.saturating_sub(begun.elapsed());
        match wait.recv_timeout(left) {
            Ok(Ok(answer)) => Ok(Some(answer)),
            Ok(Err(Cause::NotFound)) => Ok(None),
            Ok(Err(Cause::Other(what))) => Err(refusal(name, &what).into()),
            Err(_) => {
                let what = format!("did not answer within {} s", self.patience.as_secs());
                Err(refusal(name, &what).into())
            }
        }
    }
}

/// What the keychain did, and the way out.
fn refusal(name: &Name, what: &str) -> Failure {
    Failure::new(Status::Failed, format!("the keychain {what}")).hint(format!(
        "unlock it, or keep this secret in kage's encrypted file: \
         kage subscription credential {name} --credential file (`add` takes the same option)"
    ))
}

enum Cause {
    NotFound,
    /// A clause behind "the keychain".
    Other(String),
}

/// What a refusal of the keyring library means to a person.
fn cause(error: Error) -> Cause {
    match error {
        Error::NoEntry => Cause::NotFound,
        Error::NoStorageAccess(_) => Cause::Other("is locked".into()),
        // `Entry::new` hides why the store could not be opened; this tells.
        Error::NoDefaultStore => match Entry::store_status() {
            Err(why) => Cause::Other(platform(&why.to_string())),
            Ok(()) => Cause::Other("has no store on this system".into()),
        },
        other => Cause::Other(platform(&other.to_string())),
    }
}

fn platform(why: &str) -> String {
    let lower = why.to_lowercase();
    let has = |words: &[&str]| words.iter().any(|word| lower.contains(word));
    if has(&["serviceunknown", "not provided by any", "namehasnoowner", "spawn"]) {
        "is missing: no Secret Service runs on the session bus".into()
    } else if has(&[
        "no such file",
        "connection refused",
        "dbus_session_bus_address",
        "address",
        "autolaunch",
    ]) {
        "is missing: there is no session bus".into()
    } else if has(&["locked", "prompt"]) {
        "is locked".into()
    } else {
        format!("failed: {why}")
    }
}

impl Backend for Keychain {
    fn get(&self, name: &Name) -> Result<Secret> {
        let found = self.call(name, |user| Entry::new(SERVICE, user)?.get_secret())?;
        let bytes = found.ok_or_else(|| {
            let message = format!("the keychain has no secret for `{name}`, or was never unlocked");
            Failure::new(Status::Failed, message)
                .hint(format!("unlock it, or: kage subscription credential {name}"))
        })?;
        Secret::parse(bytes).map_err(|why| anyhow!("the keychain's secret for `{name}` is unusable: {why}"))
    }

    fn set(&self, name: &Name, secret: &Secret) -> Result<()> {
        let secret = secret.clone();
        let set =
            self.call(name, move |user| Entry::new(SERVICE, user)?.set_secret(secret.expose().as_bytes()))?;
        set.ok_or_else(|| refusal(name, "is locked").into())
    }

    fn remove(&self, name: &Name) -> Result<()> {
        self.call(name, |user| Entry::new(SERVICE, user)?.delete_credential()).map(|_| ())
    }

    fn has(&self, name: &Name) -> Result<bool> {
        let found = self.call(name, |user| Entry::new(SERVICE, user)?.inner.get_attributes())?;
        Ok(found.is_some())
    }

    fn list(&self) -> Result<Vec<Name>> {
        let any = "list".parse().map_err(|why: String| anyhow!(why))?;
        let names = self.call(&any, |user| {
            Entry::new(SERVICE, user)?; // chooses the platform's store
            let entries = keyring_core::Entry::search(&HashMap::from([("service", SERVICE)]))?;
            let users = entries.iter().filter_map(keyring_core::Entry::get_specifiers).map(|(_, user)| user);
            Ok(users.collect::<Vec<_>>())
        })?;
        Ok(names.unwrap_or_default().iter().filter_map(|user| user.parse().ok()).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// keyring has a mock store that forgets everything: a build that falls back to it must not pass.
    /// Without a session bus there is no store at all, and that is an error, not a mock.
    #[test]
    fn the_store_is_the_platforms_own() {
        if Entry::store_status().is_ok() {
            let vendor = keyring_core::get_default_store().expect("it was set").vendor();
            assert!(vendor.contains("Secret Service") || vendor.contains("apple"), "{vendor}");
        }
    }
}
