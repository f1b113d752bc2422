//! The keychain of the operating system, through the `keyring` library: the Secret Service on Linux (pure
//! Rust D-Bus), the Keychain on macOS.
//!
//! Only one kage at a time makes a call, because a real gnome-keyring-daemon crashes when several clients
//! call it at the same time. Every call has a deadline, because a stuck bus or a stopped daemon would
//! otherwise block its client forever.
//!
//! On Linux, a secret for an agent is read by `plain` if possible. Otherwise a separate process reads it: the
//! library's threads live as long as their process, one of them wakes twice a second, and kage must sleep
//! while the agent runs.

mod fetch;

use std::collections::HashMap;
use std::io::{self, IsTerminal as _, Write as _};
use std::path::{Path, PathBuf};
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Result, anyhow};
use keyring::{Entry, Error};

use super::Backend;
#[cfg(target_os = "linux")]
use super::plain::{self, Miss};
use crate::error::{Failure, Status};
use crate::files::Lock;
use crate::pool::Name;
use crate::secret::{Secret, make_undumpable};

use fetch::{PATIENCE, unusable};

const SERVICE: &str = "kage";

/// The keychain of the user.
pub(super) struct Keychain {
    lock: PathBuf,
    /// The time limit of a call, including the wait for the lock.
    patience: Duration,
}

impl Keychain {
    pub(super) fn new(state: &Path) -> Self {
        Self { lock: state.join("keyring.lock"), patience: PATIENCE }
    }

    /// Locks the keychain against other kage processes.
    fn acquire_lock(&self, name: Option<&Name>) -> Result<Lock> {
        Lock::acquire(&self.lock, self.patience).map_err(|why| {
            // The holder of the lock has the same time limit, so a timeout here means that the keychain
            // hangs.
            let waited = why.is::<Failure>();
            if waited { KeychainError::TimedOut.failure(name).into() } else { why }
        })
    }

    /// Makes one call under the lock and within the deadline. Returns `None` if there is no such entry.
    fn call<T: Send + 'static>(
        &self,
        name: Option<&Name>,
        work: impl Fn() -> keyring::Result<T> + Send + 'static,
    ) -> Result<Option<T>> {
        let begun = Instant::now();
        let _lock = self.acquire_lock(name)?;
        let (done, wait) = mpsc::channel();
        thread::spawn(move || {
            let answer = match work() {
                // If the daemon died during the call, the bus starts a new one: retry once.
                Err(Error::PlatformFailure(_)) => work(),
                answer => answer,
            };
            let _ = done.send(answer.map_err(KeychainError::of));
        });
        let left = self.patience.saturating_sub(begun.elapsed());
        match wait.recv_timeout(left) {
            Ok(Ok(answer)) => Ok(Some(answer)),
            Ok(Err(KeychainError::NoEntry)) => Ok(None),
            Ok(Err(error)) => Err(error.failure(name).into()),
            Err(_) => Err(KeychainError::TimedOut.failure(name).into()),
        }
    }

    /// Makes one call for the entry of a name.
    fn entry<T: Send + 'static>(
        &self,
        name: &Name,
        work: impl Fn(Entry) -> keyring::Result<T> + Send + 'static,
    ) -> Result<Option<T>> {
        let user = name.to_string();
        self.call(Some(name), move || work(Entry::new(SERVICE, &user)?))
    }
}

/// The name of the trial entry. No subscription has it: a name cannot begin with a hyphen.
const TRIAL_NAME: &str = "-doctor";

impl Keychain {
    /// Writes, reads and removes a trial entry.
    pub(super) fn round_trip(&self) -> Result<()> {
        const TRIAL: &[u8] = b"trial";
        let same = self.call(None, || {
            let entry = Entry::new(SERVICE, TRIAL_NAME)?;
            entry.set_secret(TRIAL)?;
            let got = entry.get_secret();
            entry.delete_credential()?;
            Ok(got? == TRIAL)
        })?;
        match same {
            Some(true) => Ok(()),
            Some(false) => Err(anyhow!("the keychain returned a different secret than the one stored")),
            None => Err(KeychainError::NoEntry.failure(None).into()),
        }
    }
}

/// The command that removes an entry without kage.
pub(super) fn manual_removal(name: &Name) -> String {
    if cfg!(target_os = "macos") {
        format!("security delete-generic-password -s {SERVICE} -a {name}")
    } else {
        format!("secret-tool clear service {SERVICE} username {name}")
    }
}

/// Why a call to the keychain failed.
#[derive(Debug, PartialEq)]
enum KeychainError {
    NoEntry,
    Locked,
    NoBus,
    NoService,
    TimedOut,
    Other(String),
}

impl KeychainError {
    /// Classifies an error of the keyring library.
    fn of(error: Error) -> Self {
        match error {
            Error::NoEntry => Self::NoEntry,
            Error::NoStorageAccess(_) => Self::Locked,
            // `Entry::new` hides why the store could not be opened; `store_status` reports it.
            Error::NoDefaultStore => match Entry::store_status() {
                Err(why) => Self::of_platform(&why.to_string()),
                Ok(()) => Self::Other("has no store on this system".into()),
            },
            other => Self::of_platform(&other.to_string()),
        }
    }

    fn of_platform(why: &str) -> Self {
        let lower = why.to_lowercase();
        let has = |words: &[&str]| words.iter().any(|word| lower.contains(word));
        if has(&["serviceunknown", "not provided by any", "namehasnoowner", "spawn"]) {
            Self::NoService
        } else if has(&[
            "no such file",
            "connection refused",
            "address",
            "autolaunch",
            // The library's error for an unusable bus address. It uses this text in no other case.
            "no secret service provider or dbus session",
        ]) {
            Self::NoBus
        } else if has(&["locked", "prompt"]) {
            Self::Locked
        } else {
            Self::Other(format!("failed: {why}"))
        }
    }

    /// The error for the user: what the keychain did, and what to do.
    fn failure(&self, name: Option<&Name>) -> Failure {
        let (what, remedy) = match self {
            Self::NoEntry => ("has no such secret, or was never unlocked".into(), "unlock it, or "),
            Self::Locked => ("is locked".into(), "unlock it, or "),
            Self::NoBus => ("is not available: there is no session bus".into(), ""),
            Self::NoService => ("is not available: no Secret Service runs on the session bus".into(), ""),
            Self::TimedOut => (format!("did not answer within {} s", PATIENCE.as_secs()), ""),
            Self::Other(what) => (what.clone(), ""),
        };
        let name = name.map_or("NAME", Name::as_str);
        Failure::new(Status::Failed, format!("the keychain {what}")).hint(format!(
            "{remedy}store this secret in kage's encrypted file: \
             kage subscription credential {name} --credential file (`add` has the same option)"
        ))
    }
}

impl Keychain {
    /// Reads the secret in this process, through the library.
    fn fetch(&self, name: &Name) -> Result<Secret> {
        let found = self.entry(name, |entry| entry.get_secret())?;
        let bytes = found.ok_or_else(|| {
            let message = format!("the keychain has no secret for `{name}`, or was never unlocked");
            Failure::new(Status::Failed, message)
                .hint(format!("unlock it, or: kage subscription credential {name}"))
        })?;
        Secret::parse(bytes).map_err(|why| unusable(name, why).into())
    }
}

impl Keychain {
    /// Reads the secret over a plain session in this process. `None` if that is not possible.
    #[cfg(target_os = "linux")]
    fn read_plain(&self, name: &Name) -> Result<Option<Secret>> {
        let until = Instant::now() + self.patience;
        let _lock = self.acquire_lock(Some(name))?;
        match plain::secret(SERVICE, name.as_str(), until) {
            Ok(secret) => Ok(Some(secret)),
            Err(Miss::Unusable(why)) => Err(unusable(name, why).into()),
            Err(Miss::Elsewhere) => Ok(None),
            Err(Miss::Late) => Err(KeychainError::TimedOut.failure(Some(name)).into()),
        }
    }

    /// Plain sessions exist only on Linux; elsewhere the library asks the system directly.
    #[cfg(not(target_os = "linux"))]
    #[expect(clippy::unused_self, clippy::unnecessary_wraps, reason = "the signature is that of Linux")]
    fn read_plain(&self, _: &Name) -> Result<Option<Secret>> {
        Ok(None)
    }
}

impl Backend for Keychain {
    fn get(&self, name: &Name) -> Result<Secret> {
        let begun = Instant::now();
        match self.read_plain(name)? {
            Some(secret) => Ok(secret),
            None => fetch::by_process(name, self.patience.saturating_sub(begun.elapsed())),
        }
    }

    fn set(&self, name: &Name, secret: &Secret) -> Result<()> {
        let secret = secret.clone();
        let set = self.entry(name, move |entry| entry.set_secret(secret.expose().as_bytes()))?;
        set.ok_or_else(|| KeychainError::NoEntry.failure(Some(name)).into())
    }

    fn remove(&self, name: &Name) -> Result<bool> {
        self.entry(name, |entry| entry.delete_credential()).map(|removed| removed.is_some())
    }

    fn has(&self, name: &Name) -> Result<bool> {
        let found = self.entry(name, |entry| entry.inner.get_attributes())?;
        Ok(found.is_some())
    }

    fn list(&self) -> Result<Vec<Name>> {
        let names = self.call(None, || {
            Entry::new(SERVICE, "list")?; // selects the platform's store
            let entries = keyring_core::Entry::search(&HashMap::from([("service", SERVICE)]))?;
            let users = entries.iter().filter_map(keyring_core::Entry::get_specifiers).map(|(_, user)| user);
            Ok(users.collect::<Vec<_>>())
        })?;
        Ok(names.unwrap_or_default().iter().filter_map(|user| user.parse().ok()).collect())
    }
}

/// Runs the process that was started to read a secret. It prints the secret into its stdout pipe, or the
/// error and the hint as two lines on stderr. `patience` is in milliseconds. Returns the exit status.
pub(crate) fn fetch(name: &Name, patience: Option<u64>, state: &Path) -> i32 {
    make_undumpable();
    let patience = patience.map_or(PATIENCE, Duration::from_millis);
    let secret = if io::stdout().is_terminal() {
        Err(anyhow!("a secret is not printed to a terminal"))
    } else {
        Keychain { patience, ..Keychain::new(state) }.fetch(name)
    };
    match secret.and_then(|secret| Ok(io::stdout().write_all(secret.expose().as_bytes())?)) {
        Ok(()) => 0,
        Err(why) => {
            let hint = why.downcast_ref::<Failure>().and_then(|failure| failure.hint.clone());
            let _ = write!(io::stderr(), "{why:#}\n{}", hint.unwrap_or_default());
            1
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The texts are real messages of zbus and the keyring library.
    #[test]
    fn failures_of_the_bus_and_of_the_service_are_distinguished() {
        for (text, expected) in [
            (
                "Platform failure: zbus error: I/O error: No such file or directory (os error 2)",
                KeychainError::NoBus,
            ),
            (
                "Platform failure: zbus error: I/O error: Connection refused (os error 111)",
                KeychainError::NoBus,
            ),
            ("Platform failure: no secret service provider or dbus session found", KeychainError::NoBus),
            (
                "Platform failure: zbus error: org.freedesktop.DBus.Error.ServiceUnknown: The name \
                 org.freedesktop.secrets was not provided by any .service files",
                KeychainError::NoService,
            ),
            (
                "Platform failure: zbus error: org.freedesktop.Secret.Error.IsLocked: Cannot get secret of a \
                 locked object",
                KeychainError::Locked,
            ),
            (
                "Platform failure: Crypto error: x",
                KeychainError::Other("failed: Platform failure: Crypto error: x".into()),
            ),
        ] {
            assert_eq!(KeychainError::of_platform(text), expected, "{text}");
        }
    }

    /// keyring has a mock store that forgets everything. A build that falls back to it must not pass. Without
    /// a session bus there is no store at all: an error, not a mock.
    #[test]
    fn the_store_is_the_platforms_own() {
        if Entry::store_status().is_ok() {
            let vendor = keyring_core::get_default_store().expect("the status is ok, so it is set").vendor();
            assert!(vendor.contains("Secret Service") || vendor.contains("apple"), "{vendor}");
        }
    }
}
