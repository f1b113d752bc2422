//! A shell command that prints the secret, such as the program of a password manager.

use std::io::Read as _;
use std::iter;
use std::process::{Command, Stdio};
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use anyhow::{Context as _, Result};
use rustix::process::{Pid, Signal, WaitId, WaitIdOptions, kill_process, waitid};
use zeroize::Zeroizing;

use super::Backend;
use crate::error::{Failure, Status};
use crate::pool::Name;
use crate::process;
use crate::secret::{PASSPHRASE, Secret};

/// The time limit of a command. It is long enough for a password manager that asks for a fingerprint.
const PATIENCE: Duration = Duration::from_secs(60);
/// The maximum number of bytes that are read. A secret is never longer.
const LONGEST: u64 = 64 * 1024;

/// A command such as `op read op://work/claude/token`.
pub(super) struct SecretCommand {
    pub(super) line: String,
    pub(super) patience: Duration,
}

impl SecretCommand {
    pub(super) fn new(line: &str) -> Self {
        Self { line: line.to_owned(), patience: PATIENCE }
    }

    fn failure(&self, what: impl std::fmt::Display) -> Failure {
        let line = &self.line;
        Failure::new(Status::Failed, format!("the credential command `{line}` {what}"))
            .hint(format!("to test it: {line}"))
    }
}

/// The result of a command.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Output {
    Bytes(Vec<u8>),
    /// Why there is no output, as the predicate of a sentence about the command.
    Failed(String),
}

/// Runs a command and returns its output. Its stdin is empty, because kage's own stdin belongs to the agent.
///
/// The command stays in kage's process group. In its own group it would be in the background: reading the
/// terminal would stop it, so it could not ask the user anything, and a ^C would end only kage. Therefore a
/// timeout ends the command and those of its descendants that the system lists, one by one.
pub(super) fn output_of(line: &str, patience: Duration) -> Result<Output> {
    let mut child = Command::new("/bin/sh")
        .args(["-c", line])
        .env_remove(PASSPHRASE)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()
        .context("could not start /bin/sh")?;
    let pid = Pid::from_child(&child);
    let stdout = child.stdout.take().expect("stdout is piped");
    let (done, wait) = mpsc::channel();
    thread::spawn(move || {
        let mut bytes = Zeroizing::new(Vec::with_capacity(256));
        let read = stdout.take(LONGEST).read_to_end(&mut bytes);
        // Also wait for the exit: the command may close its output and keep running. It is not reaped here,
        // so that its id cannot belong to another process when the timeout signals it.
        let ended =
            read.and_then(|_| Ok(waitid(WaitId::Pid(pid), WaitIdOptions::EXITED | WaitIdOptions::NOWAIT)?));
        let _ = done.send(ended.map(|_| bytes));
    });
    let Ok(ended) = wait.recv_timeout(patience) else {
        // A shell that is killed leaves its children running, and they can only be found while it lives.
        let children = process::descendants(child.id()).into_iter().filter_map(|pid| i32::try_from(pid).ok());
        for pid in iter::once(pid).chain(children.filter_map(Pid::from_raw)) {
            let _ = kill_process(pid, Signal::TERM);
        }
        return Ok(Output::Failed(format!("took longer than {} s", patience.as_secs())));
    };
    let mut bytes = ended.context("could not read from the credential command")?;
    let status = child.wait().context("could not wait for the credential command")?;
    if !status.success() {
        return Ok(Output::Failed(format!("failed ({status})")));
    }
    Ok(Output::Bytes(std::mem::take(&mut *bytes)))
}

impl Backend for SecretCommand {
    fn get(&self, _: &Name) -> Result<Secret> {
        let bytes = match output_of(&self.line, self.patience)? {
            Output::Bytes(bytes) => bytes,
            Output::Failed(why) => return Err(self.failure(why).into()),
        };
        Ok(Secret::parse(bytes).map_err(|why| self.failure(format!("printed an unusable secret: {why}")))?)
    }

    fn set(&self, _: &Name, _: &Secret) -> Result<()> {
        Err(self.failure("only prints a secret; change the secret at its source").into())
    }

    fn remove(&self, _: &Name) -> Result<bool> {
        Ok(false)
    }

    fn has(&self, name: &Name) -> Result<bool> {
        Ok(self.get(name).is_ok())
    }

    fn list(&self) -> Result<Vec<Name>> {
        Ok(Vec::new())
    }
}
