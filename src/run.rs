//! Running an agent: start it with what the plan says, wait, and tell how it ended.
//!
//! The policy, before the code:
//! - The agent shares kage's streams and its process group; no pty, nothing locked, nothing polled.
//! - A signal that a process sends to kage is passed on; a ^C typed at the terminal has reached the agent
//!   already. kage itself dies of none while the agent lives, so that it can keep the books.
//! - When the agent stops under a shell, kage stops with it, and wakes it again.
//! - The agent's end is kage's: the same status, or the same signal.

mod child;
mod jobs;
mod signals;

use std::ffi::{OsStr, OsString};
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};

use crate::agent::{Exit, LaunchPlan, SecretKind};
use crate::error::{Failure, Status};
use crate::pool::Delivery;
use crate::secret::Secret;

pub(crate) use signals::{die_of, expect_children};

/// A program with the path it was found at.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Program {
    /// As the user wrote it: what the program sees as its name.
    pub name: OsString,
    pub path: PathBuf,
}

impl Program {
    /// Looks a program up on `PATH`, or takes a path as it is. kage itself and the shims by which it is
    /// called under an agent's name are never the answer: that would be kage running kage.
    pub(crate) fn find(name: &OsStr, shims: &Path) -> Result<Self, Failure> {
        let shown = Path::new(name).display();
        let myself = std::env::current_exe().and_then(|exe| exe.canonicalize()).ok();
        let is_kage = |path: &Path| {
            let shim = path.parent().is_some_and(|dir| dir == shims);
            shim || (myself.is_some() && path.canonicalize().ok() == myself)
        };
        let found = which::which_all(name).map(Iterator::collect::<Vec<_>>).unwrap_or_default();
        if let Some(path) = found.iter().find(|path| !is_kage(path)) {
            return Ok(Self { name: name.to_owned(), path: path.clone() });
        }
        if !found.is_empty() {
            let message = format!("`{shown}` is kage itself; there is no other on PATH");
            return Err(
                Failure::new(Status::NotFound, message).hint("install the agent, or give its full path")
            );
        }
        if Path::new(name).components().count() > 1 && Path::new(name).exists() {
            let message = format!("cannot execute `{shown}`: it is not an executable file");
            return Err(Failure::new(Status::CannotExecute, message).hint(format!("chmod +x {shown}")));
        }
        let message = format!("`{shown}` was not found");
        Err(Failure::new(Status::NotFound, message)
            .hint("check the spelling and PATH, or give its full path"))
    }
}

/// The secret of the run, and how it goes over.
pub(crate) struct Handover {
    pub(crate) secret: Secret,
    pub(crate) kind: &'static SecretKind,
    pub(crate) deliver: Delivery,
}

/// Runs a program as planned, with kage's own streams, and waits for its end.
/// The error is why it did not start.
pub(crate) fn run(
    program: &Program,
    plan: &LaunchPlan,
    handover: Option<Handover>,
    marks: &[(&str, OsString)],
) -> Result<Exit, Failure> {
    let cannot =
        |what: &str, why: &io::Error| Failure::new(Status::BeforeStart, format!("could not {what}: {why}"));
    let mut signals = signals::Signals::catch().map_err(|why| cannot("watch for signals", &why))?;
    let child = child::spawn(program, plan, handover, marks).map_err(|why| not_started(program, &why))?;
    let _unblocked = signals::Unblocked::all();
    Ok(child.wait(&mut signals))
}

fn not_started(program: &Program, why: &io::Error) -> Failure {
    let path = program.path.display();
    match why.kind() {
        // The file is there, since it was found: its interpreter is not.
        ErrorKind::NotFound => {
            Failure::new(Status::NotFound, format!("could not start {path}: its interpreter is missing"))
        }
        ErrorKind::ArgumentListTooLong => Failure::new(
            Status::BeforeStart,
            format!("could not start {path}: too many or too long arguments"),
        ),
        _ => Failure::new(Status::CannotExecute, format!("cannot execute {path}: {why}")),
    }
}
