//! A shell command that prints the secret: a password manager's own program.

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

/// A password manager may ask for a fingerprint; longer than this nobody waits.
const PATIENCE: Duration = Duration::from_secs(60);
/// More than this is no secret.
const LONGEST: u64 = 64 * 1024;

/// A command such as `op read op://work/claude/token`.
pub(super) struct Printed {
    pub(super) line: String,
    pub(super) patience: Duration,
}

impl Printed {
    pub(super) fn by(line: &str) -> Self {
        Self { line: line.to_owned(), patience: PATIENCE }
    }

    fn failure(&self, what: impl std::fmt::Display) -> Failure {
        let line = &self.line;
        Failure::new(Status::Failed, format!("the credential command `{line}` {what}"))
            .hint(format!("try it: {line}"))
    }
}

/// What came of a command.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Output {
    Bytes(Vec<u8>),
    /// Why there is none, as the rest of a sentence about the command.
    None(String),
}

/// Runs a command for the line it prints. Its standard input is closed: kage's own belongs to the agent.
///
/// It stays in kage's process group. In one of its own it would be in the background, where reading the
/// terminal stops it, so that it could ask for nothing; and a ^C would end kage alone. So when it takes too
/// long it is ended together with what it has started, as far as the system tells that.
pub(super) fn output_of(line: &str, patience: Duration) -> Result<Output> {
    let mut child = Command::new("/bin/sh")
        .args(["-c", line])
        .env_remove(PASSPHRASE)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()
        .context("could not start /bin/sh")?;
    let pid = Pid::from_child(&child);
    let stdout = child.stdout.take().expect("it was piped");
    let (done, wait) = mpsc::channel();
    thread::spawn(move || {
        let mut bytes = Zeroizing::new(Vec::with_capacity(256));
        let read = stdout.take(LONGEST).read_to_end(&mut bytes);
        // Its end is waited for here too: it may close its output and stay. It is left to be reaped below,
        // so that its id is not another's by the time it is ended.
        let ended =
            read.and_then(|_| Ok(waitid(WaitId::Pid(pid), WaitIdOptions::EXITED | WaitIdOptions::NOWAIT)?));
        let _ = done.send(ended.map(|_| bytes));
    });
    let Ok(ended) = wait.recv_timeout(patience) else {
        // A shell that is ended leaves what it waits for behind; and its children are told by it alone.
        let children = process::descendants(child.id()).into_iter().filter_map(|pid| i32::try_from(pid).ok());
        for pid in iter::once(pid).chain(children.filter_map(Pid::from_raw)) {
            let _ = kill_process(pid, Signal::TERM);
        }
        return Ok(Output::None(format!("took longer than {} s", patience.as_secs())));
    };
    let mut bytes = ended.context("could not read from the credential command")?;
    let status = child.wait().context("could not wait for the credential command")?;
    if !status.success() {
        return Ok(Output::None(format!("failed ({status})")));
    }
    Ok(Output::Bytes(std::mem::take(&mut *bytes)))
}

impl Backend for Printed {
    fn get(&self, _: &Name) -> Result<Secret> {
        let bytes = match output_of(&self.line, self.patience)? {
            Output::Bytes(bytes) => bytes,
            Output::None(why) => return Err(self.failure(why).into()),
        };
        Ok(Secret::parse(bytes).map_err(|why| self.failure(format!("printed no secret: {why}")))?)
    }

    fn set(&self, _: &Name, _: &Secret) -> Result<()> {
        Err(self.failure("only prints a secret; change it where it is kept").into())
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
