//! Reads a secret from the keychain in a separate process: kage starts itself with a hidden verb and reads
//! the secret from its output. Called if `plain` could not read the secret.

use std::env;
use std::io::{self};
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::time::Duration;

use anyhow::{Context as _, Result};
use zeroize::Zeroizing;

use crate::error::{Failure, Status};
use crate::pool::Name;
use crate::secret::{PASSPHRASE, Secret};

pub(super) fn unusable(name: &Name, why: impl std::fmt::Display) -> Failure {
    let message = format!("the keychain's secret for `{name}` is unusable: {why}");
    Failure::new(Status::Failed, message).hint(format!("kage subscription credential {name}"))
}

/// The time limit of the lock and the call together.
pub(super) const PATIENCE: Duration = Duration::from_secs(10);

/// The hidden verb that reads a secret.
const VERB: &str = "fetch-from-keychain";

/// Returns the secret that a separate process reads within `patience`.
pub(super) fn by_process(name: &Name, patience: Duration) -> Result<Secret> {
    let mut process = Command::new(own_binary()?);
    let patience = patience.as_millis().to_string();
    process.args([VERB, name.as_str(), &patience]).env_remove(PASSPHRASE).stdin(Stdio::null());
    let Output { status, stdout, stderr } = process.output().context("could not query the keychain")?;
    let stdout = Zeroizing::new(stdout);
    if status.success() {
        let secret = Secret::parse(stdout.to_vec());
        return secret.map_err(|why| unusable(name, why).into());
    }
    let text = String::from_utf8_lossy(&stderr);
    let (message, hint) = text.split_once('\n').unwrap_or((&text, ""));
    let message =
        if message.is_empty() { format!("could not query the keychain: {status}") } else { message.into() };
    let failure = Failure::new(Status::Failed, message);
    Err(if hint.is_empty() { failure } else { failure.hint(hint) }.into())
}

/// The running binary, even if an update replaced the file at its path.
fn own_binary() -> io::Result<PathBuf> {
    let running = Path::new("/proc/self/exe");
    if running.exists() { Ok(running.to_owned()) } else { env::current_exe()?.canonicalize() }
}
