//! Finds a program on `PATH`, skipping kage itself under any name, and becomes that program.
//!
//! Called by `exec`, `setup`, the doctor, the shims and the status line. It does not know subscriptions.

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

/// Every shim is shorter than this, in bytes. Most programs are longer and need not be read.
const MAX_SHIM_LENGTH: u64 = 4096;

/// A program and the path where it was found.
#[derive(Debug, PartialEq, Eq)]
pub struct Program {
    /// The name as the user wrote it. The program gets it as `argv[0]`.
    pub name: OsString,
    /// The absolute path, even if the entry of `PATH` is relative. It is not looked up again.
    pub path: PathBuf,
}

impl Program {
    /// Looks up a name on `PATH`; a path is used as it is. kage itself and its shims, which have the names of
    /// agents, are skipped: otherwise kage would run itself. If a path leads to one of them, its file name is
    /// looked up on `PATH` instead.
    pub fn find(name: &OsStr, shims: &Path) -> Result<Self, Failure> {
        let shown = Path::new(name).display();
        let kage = Kage::current(shims);
        let mut skipped = false;
        for path in which::which_all(name).into_iter().flatten() {
            if !kage.is(&path) {
                return Ok(Self { name: name.to_owned(), path });
            }
            skipped = true;
        }
        let is_path = Path::new(name).components().count() > 1;
        if skipped
            && is_path
            && let Some(name) = Path::new(name).file_name()
        {
            return Self::find(name, shims);
        }
        if skipped {
            let message = format!("`{shown}` is kage itself; no other `{shown}` is on PATH");
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

    /// Like `find`, for a kage that was itself called through `PATH`: searches only the entries after kage's
    /// own. If kage started another tool's wrapper, and the wrapper looked up the next program of its name
    /// and found kage again, only the entries after the wrapper are searched.
    pub fn find_after(name: &OsStr, shims: &Path, wrapper: Option<&Path>) -> Result<Self, Failure> {
        let kage = Kage::current(shims);
        let known = |path: PathBuf| (kage.is(&path), path);
        let all: Vec<_> = which::which_all(name).into_iter().flatten().map(known).collect();
        let after = |at: usize| all[at + 1..].iter().find(|(is_kage, _)| !is_kage);
        let is_wrapper = |(_, path): &(bool, PathBuf)| Some(path.as_path()) == wrapper;
        let after_wrapper = all.iter().position(is_wrapper).and_then(after);
        let found = after_wrapper.or_else(|| all.iter().position(|(is_kage, _)| *is_kage).and_then(after));
        match found {
            Some((_, path)) => Ok(Self { name: name.to_owned(), path: path.clone() }),
            None => Self::find(name, shims),
        }
    }

    /// Becomes the program, so that no kage process remains between it and kage's caller. Returns only if
    /// that fails.
    pub fn replace(
        &self,
        args: &[OsString],
        environment: impl FnOnce(&mut Command),
    ) -> Result<Infallible, Failure> {
        Err(not_started(self, &self.command(args, environment).exec()))
    }

    /// Starts the program and waits until it ends.
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

/// The running kage and its shims, under any path.
struct Kage<'a> {
    shims: &'a Path,
    file: Option<(u64, u64)>,
}

impl<'a> Kage<'a> {
    fn current(shims: &'a Path) -> Self {
        let file = env::current_exe().and_then(fs::metadata).ok();
        Self { shims, file: file.as_ref().map(identity) }
    }

    /// Whether a path leads to kage or a shim. Symlinks and hard links are the same file. A shim may be
    /// anywhere: in another user's home, or where a user has copied it.
    fn is(&self, path: &Path) -> bool {
        if path.parent().is_some_and(|dir| dir == self.shims) {
            return true;
        }
        let Ok(metadata) = fs::metadata(path) else { return false };
        self.file == Some(identity(&metadata)) || (metadata.len() <= MAX_SHIM_LENGTH && is_shim(path))
    }
}

fn identity(file: &Metadata) -> (u64, u64) {
    (file.dev(), file.ino())
}

/// Whether a path leads to the running kage.
pub fn is_kage(path: &Path) -> bool {
    let file = |path: PathBuf| fs::metadata(path).ok().map(|file| identity(&file));
    let own = env::current_exe().ok().and_then(file);
    own.is_some() && file(path.to_owned()) == own
}

/// Whether a file is one of kage's shims. An unreadable file is not one, because no shell could run it.
pub fn is_shim(path: &Path) -> bool {
    let mut beginning = [0; shim::ENOUGH];
    let read = File::open(path).and_then(|mut file| file.read_exact(&mut beginning));
    read.is_ok() && shim::is_shim(&beginning)
}

pub(super) fn not_started(program: &Program, why: &io::Error) -> Failure {
    let path = program.path.display();
    let word = quoted_path(&program.path);
    match why.kind() {
        // The program itself was found, so it is its interpreter that is missing.
        ErrorKind::NotFound => {
            Failure::new(Status::NotFound, format!("could not start {path}: its interpreter does not exist"))
                .hint(format!("head -n 1 {word}"))
        }
        ErrorKind::ArgumentListTooLong => {
            Failure::new(Status::BeforeStart, format!("could not start {path}: the arguments are too long"))
                .hint("pass a long prompt on standard input")
        }
        _ => Failure::new(Status::CannotExecute, format!("cannot execute {path}: {why}"))
            .hint(format!("file {word}; ls -l {word}")),
    }
}
