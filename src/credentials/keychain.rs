//! The keychain of the operating system, through `keyring` and the store it has for the platform: the
//! Secret Service on Linux (pure Rust D-Bus), the Keychain on macOS.
//!
//! Every call is made by one kage at a time, since a real gnome-keyring-daemon dies under parallel clients,
//! and has a deadline, since a stuck bus or a stopped daemon otherwise hangs its client for good.
//!
//! A secret for an agent comes by `plain` where that can be. Else a process of its own fetches it: the library
//! keeps threads for as long as the process lives, one of which wakes twice a second, and kage is to sleep
//! beside its agent.

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
use crate::secret::{Secret, close_process};

use fetch::{PATIENCE, unusable};

const SERVICE: &str = "kage";

/// The keychain of the user.
pub(super) struct Keychain {
    lock: PathBuf,
    /// What is left of the time.
    patience: Duration,
}

impl Keychain {
    pub(super) fn new(state: &Path) -> Self {
        Self { lock: state.join("keyring.lock"), patience: PATIENCE }
    }

    /// Keeps other kages away from the keychain.
    fn alone(&self, name: Option<&Name>) -> Result<Lock> {
        Lock::acquire(&self.lock, self.patience).map_err(|why| {
            // Its holder gives up in that time, so whoever waited for all of it waited for the keychain.
            let waited = why.is::<Failure>();
            if waited { Trouble::Silent.refusal(name).into() } else { why }
        })
    }

    /// One call: alone, within the deadline. `None` where there is no such entry.
    fn call<T: Send + 'static>(
        &self,
        name: Option<&Name>,
        work: impl Fn() -> keyring::Result<T> + Send + 'static,
    ) -> Result<Option<T>> {
        let begun = Instant::now();
        let _lock = self.alone(name)?;
        let (done, wait) = mpsc::channel();
        thread::spawn(move || {
            let answer = match work() {
                // A daemon that died under the call is started again by the bus; ask that one once.
                Err(Error::PlatformFailure(_)) => work(),
                answer => answer,
            };
            let _ = done.send(answer.map_err(Trouble::of));
        });
        let left = self.patience.saturating_sub(begun.elapsed());
        match wait.recv_timeout(left) {
            Ok(Ok(answer)) => Ok(Some(answer)),
            Ok(Err(Trouble::NoEntry)) => Ok(None),
            Ok(Err(trouble)) => Err(trouble.refusal(name).into()),
            Err(_) => Err(Trouble::Silent.refusal(name).into()),
        }
    }

    /// A call about the entry of one name.
    fn entry<T: Send + 'static>(
        &self,
        name: &Name,
        work: impl Fn(Entry) -> keyring::Result<T> + Send + 'static,
    ) -> Result<Option<T>> {
        let user = name.to_string();
        self.call(Some(name), move || work(Entry::new(SERVICE, &user)?))
    }
}

/// Who has no subscription: no name begins with a hyphen.
const NOBODY: &str = "-doctor";

impl Keychain {
    /// An entry under a name that no subscription can have: set, got, removed.
    pub(super) fn round_trip(&self) -> Result<()> {
        const TRIAL: &[u8] = b"trial";
        let same = self.call(None, || {
            let entry = Entry::new(SERVICE, NOBODY)?;
            entry.set_secret(TRIAL)?;
            let got = entry.get_secret();
            entry.delete_credential()?;
            Ok(got? == TRIAL)
        })?;
        match same {
            Some(true) => Ok(()),
            Some(false) => Err(anyhow!("the keychain does not give back what was put in")),
            None => Err(Trouble::NoEntry.refusal(None).into()),
        }
    }
}

/// The command that takes an entry away without kage.
pub(super) fn by_hand(name: &Name) -> String {
    if cfg!(target_os = "macos") {
        format!("security delete-generic-password -s {SERVICE} -a {name}")
    } else {
        format!("secret-tool clear service {SERVICE} username {name}")
    }
}

/// Why the keychain did not do what it was asked.
#[derive(Debug, PartialEq)]
enum Trouble {
    NoEntry,
    Locked,
    NoBus,
    NoService,
    Silent,
    Other(String),
}

impl Trouble {
    /// What a refusal of the keyring library means to a person.
    fn of(error: Error) -> Self {
        match error {
            Error::NoEntry => Self::NoEntry,
            Error::NoStorageAccess(_) => Self::Locked,
            // `Entry::new` hides why the store could not be opened; this tells.
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
            // What the library makes of an address that it cannot use; it has this for no other case.
            "no secret service provider or dbus session",
        ]) {
            Self::NoBus
        } else if has(&["locked", "prompt"]) {
            Self::Locked
        } else {
            Self::Other(format!("failed: {why}"))
        }
    }

    /// What the keychain did, and the way out.
    fn refusal(&self, name: Option<&Name>) -> Failure {
        let (what, remedy) = match self {
            Self::NoEntry => ("has no such secret, or was never unlocked".into(), "unlock it, or "),
            Self::Locked => ("is locked".into(), "unlock it, or "),
            Self::NoBus => ("is missing: there is no session bus".into(), ""),
            Self::NoService => ("is missing: no Secret Service runs on the session bus".into(), ""),
            Self::Silent => (format!("did not answer within {} s", PATIENCE.as_secs()), ""),
            Self::Other(what) => (what.clone(), ""),
        };
        let name = name.map_or("NAME", Name::as_str);
        Failure::new(Status::Failed, format!("the keychain {what}")).hint(format!(
            "{remedy}keep this secret in kage's encrypted file: \
             kage subscription credential {name} --credential file (`add` takes the same option)"
        ))
    }
}

impl Keychain {
    /// The secret, fetched by this process.
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
    /// The secret by the short way, where that knows it.
    #[cfg(target_os = "linux")]
    fn at_once(&self, name: &Name) -> Result<Option<Secret>> {
        let until = Instant::now() + self.patience;
        let _lock = self.alone(Some(name))?;
        match plain::secret(SERVICE, name.as_str(), until) {
            Ok(secret) => Ok(Some(secret)),
            Err(Miss::Unusable(why)) => Err(unusable(name, why).into()),
            Err(Miss::Elsewhere) => Ok(None),
            Err(Miss::Late) => Err(Trouble::Silent.refusal(Some(name)).into()),
        }
    }

    /// Elsewhere the library asks the system itself.
    #[cfg(not(target_os = "linux"))]
    #[expect(clippy::unused_self, clippy::unnecessary_wraps, reason = "as on Linux")]
    fn at_once(&self, _: &Name) -> Result<Option<Secret>> {
        Ok(None)
    }
}

impl Backend for Keychain {
    fn get(&self, name: &Name) -> Result<Secret> {
        let begun = Instant::now();
        match self.at_once(name)? {
            Some(secret) => Ok(secret),
            None => fetch::by_process(name, self.patience.saturating_sub(begun.elapsed())),
        }
    }

    fn set(&self, name: &Name, secret: &Secret) -> Result<()> {
        let secret = secret.clone();
        let set = self.entry(name, move |entry| entry.set_secret(secret.expose().as_bytes()))?;
        set.ok_or_else(|| Trouble::NoEntry.refusal(Some(name)).into())
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
            Entry::new(SERVICE, "list")?; // chooses the platform's store
            let entries = keyring_core::Entry::search(&HashMap::from([("service", SERVICE)]))?;
            let users = entries.iter().filter_map(keyring_core::Entry::get_specifiers).map(|(_, user)| user);
            Ok(users.collect::<Vec<_>>())
        })?;
        Ok(names.unwrap_or_default().iter().filter_map(|user| user.parse().ok()).collect())
    }
}

/// What the process does that was started for a secret: prints it into the pipe, or why there is none, with
/// the hint in a line of its own. `patience` is in milliseconds. Returns the exit status.
pub(crate) fn fetch(name: &Name, patience: Option<u64>, state: &Path) -> i32 {
    close_process();
    let patience = patience.map_or(PATIENCE, Duration::from_millis);
    let told = if io::stdout().is_terminal() {
        Err(anyhow!("a secret is not shown at a terminal"))
    } else {
        Keychain { patience, ..Keychain::new(state) }.fetch(name)
    };
    match told.and_then(|secret| Ok(io::stdout().write_all(secret.expose().as_bytes())?)) {
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

    /// What zbus and the keyring library said in each of these cases.
    #[test]
    fn a_failure_of_the_bus_is_told_from_one_of_the_service() {
        for (said, meant) in [
            (
                "Platform failure: zbus error: I/O error: No such file or directory (os error 2)",
                Trouble::NoBus,
            ),
            ("Platform failure: zbus error: I/O error: Connection refused (os error 111)", Trouble::NoBus),
            ("Platform failure: no secret service provider or dbus session found", Trouble::NoBus),
            (
                "Platform failure: zbus error: org.freedesktop.DBus.Error.ServiceUnknown: The name \
                 org.freedesktop.secrets was not provided by any .service files",
                Trouble::NoService,
            ),
            (
                "Platform failure: zbus error: org.freedesktop.Secret.Error.IsLocked: Cannot get secret of a \
                 locked object",
                Trouble::Locked,
            ),
            (
                "Platform failure: Crypto error: x",
                Trouble::Other("failed: Platform failure: Crypto error: x".into()),
            ),
        ] {
            assert_eq!(Trouble::of_platform(said), meant, "{said}");
        }
    }

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
