//! A secret out of the keychain by a process of its own: kage starts itself with a hidden verb, and reads the
//! secret from its output. Called where the short way has no secret.

use std::env;
use std::io::{self, IsTerminal as _, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::time::Duration;

use anyhow::{Context as _, Result, anyhow};
use zeroize::Zeroizing;

use super::{Keychain, PATIENCE, unusable};
use crate::error::{Failure, Status};
use crate::pool::Name;
use crate::secret::{PASSPHRASE, Secret, close_process};

/// The words behind kage's name by which it is called for a secret.
const VERB: &str = "fetch-from-keychain";

/// The secret, from a process that has so long for it.
pub(super) fn by_process(name: &Name, patience: Duration) -> Result<Secret> {
    let mut process = Command::new(myself()?);
    let patience = patience.as_millis().to_string();
    process.args([VERB, name.as_str(), &patience]).env_remove(PASSPHRASE).stdin(Stdio::null());
    let Output { status, stdout, stderr } = process.output().context("could not ask the keychain")?;
    let stdout = Zeroizing::new(stdout);
    if status.success() {
        let secret = Secret::parse(stdout.to_vec());
        return secret.map_err(|why| unusable(name, why).into());
    }
    let told = String::from_utf8_lossy(&stderr);
    let (message, hint) = told.split_once('\n').unwrap_or((&told, ""));
    let message =
        if message.is_empty() { format!("could not ask the keychain: {status}") } else { message.into() };
    let failure = Failure::new(Status::Failed, message);
    Err(if hint.is_empty() { failure } else { failure.hint(hint) }.into())
}

/// The binary that runs, also when another version has taken its path.
fn myself() -> io::Result<PathBuf> {
    let running = Path::new("/proc/self/exe");
    if running.exists() { Ok(running.to_owned()) } else { env::current_exe()?.canonicalize() }
}

/// What the process does that was started for a secret: prints it into the pipe, or why there is none, with
/// the hint in a line of its own. It has so many milliseconds. The answer is its exit status.
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
