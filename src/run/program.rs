//! Finding a program behind kage itself, whatever name kage goes by on `PATH`; and becoming it.
//!
//! Called by `exec`, the shims and the status line. Knows nothing of subscriptions.

use std::convert::Infallible;
use std::env;
use std::ffi::{OsStr, OsString};
use std::fs::{self, File, Metadata};
use std::io::{self, ErrorKind, Read as _};
use std::os::unix::fs::MetadataExt as _;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus};

use crate::error::{Failure, Status};
use crate::shell::shim;
use crate::text::quoted_path;

/// A shim is never as long as this, and most programs are longer: those need not be read.
const LONGEST_SHIM: u64 = 4096;

/// A program with the path it was found at.
#[derive(Debug, PartialEq, Eq)]
pub struct Program {
    /// As the user wrote it: what the program sees as its name.
    pub name: OsString,
    /// Absolute, also where an entry of `PATH` is not: nothing is looked up a second time.
    pub path: PathBuf,
}

impl Program {
    /// Looks a program up on `PATH`, or takes a path as it is. kage itself and the shims by which it is
    /// called under an agent's name are never the answer: that would be kage running kage. Where a path leads
    /// to one of them, the name is looked up on `PATH` instead.
    pub fn find(name: &OsStr, shims: &Path) -> Result<Self, Failure> {
        let shown = Path::new(name).display();
        let myself = Myself::here(shims);
        let mut passed = false;
        for path in which::which_all(name).into_iter().flatten() {
            if !myself.is(&path) {
                return Ok(Self { name: name.to_owned(), path });
            }
            passed = true;
        }
        let is_path = Path::new(name).components().count() > 1;
        if passed
            && is_path
            && let Some(name) = Path::new(name).file_name()
        {
            return Self::find(name, shims);
        }
        if passed {
            let message = format!("`{shown}` is kage itself; there is no other on PATH");
            return Err(Failure::new(Status::NotFound, message)
                .hint("install the agent, put its directory on PATH, or give its full path"));
        }
        if is_path && Path::new(name).exists() {
            let message = format!("cannot execute `{shown}`: it is not an executable file");
            return Err(Failure::new(Status::CannotExecute, message)
                .hint(format!("chmod +x {}", quoted_path(Path::new(name)))));
        }
        let message = format!("`{shown}` was not found");
        Err(Failure::new(Status::NotFound, message)
            .hint("check the spelling and PATH, or give its full path"))
    }

    /// The same as whoever stands on `PATH` itself looks: behind kage's own place there, or behind the wrapper of
    /// another tool, which kage has started and which, looking for the next of its name, has found kage again.
    pub fn find_behind(name: &OsStr, shims: &Path, wrapper: Option<&Path>) -> Result<Self, Failure> {
        let myself = Myself::here(shims);
        let known = |path: PathBuf| (myself.is(&path), path);
        let all: Vec<_> = which::which_all(name).into_iter().flatten().map(known).collect();
        let behind = |at: usize| all[at + 1..].iter().find(|(is_kage, _)| !is_kage);
        let is_wrapper = |(_, path): &(bool, PathBuf)| Some(path.as_path()) == wrapper;
        let behind_wrapper = all.iter().position(is_wrapper).and_then(behind);
        let found = behind_wrapper.or_else(|| all.iter().position(|(is_kage, _)| *is_kage).and_then(behind));
        match found {
            Some((_, path)) => Ok(Self { name: name.to_owned(), path: path.clone() }),
            None => Self::find(name, shims),
        }
    }

    /// Becomes the program, so that nothing stands between it and whoever called kage. It returns only where
    /// that cannot be.
    pub fn replace(
        &self,
        args: &[OsString],
        environment: impl FnOnce(&mut Command),
    ) -> Result<Infallible, Failure> {
        Err(not_started(self, &self.command(args, environment).exec()))
    }

    /// Starts the program, and waits for its end.
    pub fn wait(
        &self,
        args: &[OsString],
        environment: impl FnOnce(&mut Command),
    ) -> Result<ExitStatus, Failure> {
        self.command(args, environment).status().map_err(|why| not_started(self, &why))
    }

    fn command(&self, args: &[OsString], environment: impl FnOnce(&mut Command)) -> Command {
        let mut command = Command::new(&self.path);
        command.arg0(&self.name).args(args);
        environment(&mut command);
        command
    }
}

/// kage, by whatever path.
struct Myself<'a> {
    shims: &'a Path,
    file: Option<(u64, u64)>,
}

impl<'a> Myself<'a> {
    fn here(shims: &'a Path) -> Self {
        let file = env::current_exe().and_then(fs::metadata).ok();
        Self { shims, file: file.as_ref().map(identity) }
    }

    /// Links and hard links are the same file. A shim may lie anywhere: in the directory of another home, or
    /// where somebody has copied it.
    fn is(&self, path: &Path) -> bool {
        if path.parent().is_some_and(|dir| dir == self.shims) {
            return true;
        }
        let Ok(metadata) = fs::metadata(path) else { return false };
        self.file == Some(identity(&metadata)) || (metadata.len() <= LONGEST_SHIM && is_shim(path))
    }
}

fn identity(file: &Metadata) -> (u64, u64) {
    (file.dev(), file.ino())
}

/// Whether a path leads to this kage.
pub fn is_kage(path: &Path) -> bool {
    let file = |path: PathBuf| fs::metadata(path).ok().map(|file| identity(&file));
    let myself = env::current_exe().ok().and_then(file);
    myself.is_some() && file(path.to_owned()) == myself
}

/// Whether a file is a shim of kage's; one that cannot be read is none, for no shell could run it.
pub fn is_shim(path: &Path) -> bool {
    let mut beginning = [0; shim::ENOUGH];
    let read = File::open(path).and_then(|mut file| file.read_exact(&mut beginning));
    read.is_ok() && shim::is_shim(&beginning)
}

pub(super) fn not_started(program: &Program, why: &io::Error) -> Failure {
    let path = program.path.display();
    let word = quoted_path(&program.path);
    match why.kind() {
        // The file is there, since it was found: its interpreter is not.
        ErrorKind::NotFound => {
            Failure::new(Status::NotFound, format!("could not start {path}: its interpreter is missing"))
                .hint(format!("head -n 1 {word}"))
        }
        ErrorKind::ArgumentListTooLong => Failure::new(
            Status::BeforeStart,
            format!("could not start {path}: too many or too long arguments"),
        )
        .hint("give a long prompt on standard input"),
        _ => Failure::new(Status::CannotExecute, format!("cannot execute {path}: {why}"))
            .hint(format!("file {word}; ls -l {word}")),
    }
}
