//! Finds directories through which other users can change kage's files. Checked when kage uses a directory,
//! and by `kage doctor`.
//!
//! A user who can write to a directory can replace a file of kage in it. A user who can write to a parent
//! directory can replace the directory itself. Group permissions are not checked.

use std::ffi::OsStr;
use std::fs::{self, Metadata};
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::MetadataExt as _;
use std::path::{self, Path, PathBuf};

use rustix::fs::FileType;
use rustix::process::geteuid;

use crate::text::quoted_path;

/// The names of the directories that kage creates.
const OWN_NAMES: [&str; 6] = ["kage", "usage", "sums", "hooks", "settings", "shims"];
/// The maximum number of links in a path, the same as the system's own limit. Source: `path_resolution(7)`.
const MAX_LINKS: u32 = 40;

/// A directory on the path to kage's files that other users can change.
#[derive(Debug)]
pub struct Exposed {
    pub dir: PathBuf,
    /// kage's directory below `dir`; `None` if it is `dir` itself.
    pub below: Option<PathBuf>,
    /// Whether all users can write to it.
    pub is_open: bool,
    /// The uid of its owner, if that is neither the user that kage runs as nor root.
    pub owner: Option<u32>,
    /// Whether its mode can be changed without `sudo`.
    pub is_own: bool,
}

impl Exposed {
    /// Returns a sentence about what is wrong. `shown` formats the paths.
    pub fn problem(&self, shown: impl Fn(&Path) -> String) -> String {
        let dir = shown(&self.dir);
        match (&self.below, self.owner) {
            (None, None) => format!("other users can write to {dir}, which holds kage's files"),
            (None, Some(owner)) => {
                format!("{dir}, which holds kage's files, belongs to another user (uid {owner})")
            }
            (Some(below), None) => {
                format!("other users can write to {dir} and so replace {}", shown(below))
            }
            (Some(below), Some(owner)) => {
                format!("{dir} belongs to another user (uid {owner}), who can replace {}", shown(below))
            }
        }
    }

    /// Returns the command that removes write access for other users. It works once the user owns the
    /// directory.
    pub fn fix_command(&self) -> String {
        let name = self.dir.file_name().and_then(OsStr::to_str).unwrap_or_default();
        // Other users may need to read a directory that kage did not create.
        let is_made_by_kage = self.below.is_none() && OWN_NAMES.contains(&name);
        let mode = if is_made_by_kage { "700" } else { "go-w" };
        format!("chmod {mode} {}", quoted_path(&self.dir))
    }
}

/// Returns the directories through which other users can change kage's files in `dir`, nearest first. `dir`
/// may be missing.
pub fn exposed(dir: &Path) -> Vec<Exposed> {
    let dir = if is_plainly_private(dir) { None } else { path::absolute(dir).ok() };
    let Some(dir) = dir else { return Vec::new() };
    let mut dirs = Vec::new();
    collect(&dir, &mut 0, &mut dirs);
    let itself = fs::metadata(&dir).ok().map(|known| identity(&known));
    let user = geteuid();
    let is_own = |known: &Metadata| known.uid() == user.as_raw();
    // Above the topmost directory that the user owns, the administrator decides about ownership.
    let topmost = dirs.iter().rposition(|(_, known)| is_own(known)).unwrap_or(0);
    let judge = |(at, (path, known)): (usize, (PathBuf, Metadata))| {
        let is_itself = Some(identity(&known)) == itself;
        let is_sticky = known.mode() & 0o1000 != 0;
        // In a sticky directory others can create files, but not replace existing ones. It is open only if it
        // is kage's own directory and belongs to another user: there, others can create a file that kage
        // looks for.
        let is_open = known.mode() & 0o002 != 0 && !(is_sticky && (is_own(&known) || !is_itself));
        // In a container, files of other users are normal for root.
        let is_foreign =
            !is_own(&known) && known.uid() != 0 && !user.is_root() && (is_itself || at < topmost);
        (is_open || is_foreign).then(|| Exposed {
            dir: path,
            below: (!is_itself).then(|| dir.clone()),
            is_open,
            owner: is_foreign.then(|| known.uid()),
            is_own: is_own(&known) || user.is_root(),
        })
    };
    dirs.into_iter().enumerate().filter_map(judge).collect()
}

/// Whether a path needs no closer check: it has no links, and only the user and root can write to its
/// directories. Sticky directories above it, such as `/tmp`, may be writable by others. Each run checks this,
/// and it is nearly always true.
fn is_plainly_private(dir: &Path) -> bool {
    let path = dir.as_os_str().as_bytes();
    let user = geteuid().as_raw();
    let is_private = |end: usize| {
        let Ok(known) = rustix::fs::lstat(&path[..end]) else { return false };
        let is_closed = known.st_mode & 0o002 == 0 || (known.st_mode & 0o1000 != 0 && end < path.len());
        FileType::from_raw_mode(known.st_mode).is_dir()
            && is_closed
            && (known.st_uid == user || known.st_uid == 0)
    };
    let inside = (1..path.len()).filter(|&at| path[at] == b'/');
    dir.is_absolute() && [1].into_iter().chain(inside).chain([path.len()]).all(is_private)
}

/// Collects the directories on a path, nearest first, and those on the paths to the targets of its links.
fn collect(path: &Path, links: &mut u32, dirs: &mut Vec<(PathBuf, Metadata)>) {
    for dir in path.ancestors() {
        let Ok(known) = fs::symlink_metadata(dir) else { continue };
        if known.is_symlink() && *links < MAX_LINKS {
            *links += 1;
            if let Some(target) = target_of(dir) {
                collect(&target, links, dirs);
            }
        } else if known.is_dir() && !dirs.iter().any(|(_, other)| identity(other) == identity(&known)) {
            dirs.push((dir.to_owned(), known));
        }
    }
}

/// Returns the target of a link, with a leading `..` resolved.
fn target_of(link: &Path) -> Option<PathBuf> {
    let target = fs::read_link(link).ok()?;
    let (mut above, mut rest) = (link.parent()?.to_owned(), target.as_path());
    if rest.starts_with("..") {
        above = above.canonicalize().ok()?;
    }
    while let Ok(below) = rest.strip_prefix("..") {
        above.pop();
        rest = below;
    }
    Some(above.join(rest))
}

fn identity(known: &Metadata) -> (u64, u64) {
    (known.dev(), known.ino())
}
