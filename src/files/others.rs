//! Who else can write where kage keeps its files. Asked whenever kage uses a directory, and by the doctor.
//!
//! Who can write to a directory can put a file of theirs in the place of one of kage's. Who can write to one above it
//! can put another directory in its place. Groups are not looked at.

use std::ffi::OsStr;
use std::fs::{self, Metadata};
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::MetadataExt as _;
use std::path::{self, Path, PathBuf};

use rustix::fs::FileType;
use rustix::process::geteuid;

use crate::text::quoted_path;

/// The names of the directories that kage makes.
const OWN_NAMES: [&str; 6] = ["kage", "usage", "sums", "hooks", "settings", "shims"];
/// The system follows no more links either. Source: `path_resolution(7)`.
const MOST_LINKS: u32 = 40;

/// A directory on the way to kage's files that is not the user's alone.
#[derive(Debug)]
pub struct Exposed {
    pub dir: PathBuf,
    /// The directory of kage's that is above its files; `None` where that is `dir` itself.
    pub below: Option<PathBuf>,
    /// Everybody can write to it.
    pub is_open: bool,
    /// It belongs to this user, who is neither the one that kage runs as nor root.
    pub owner: Option<u32>,
    /// Its mode can be changed without `sudo`.
    pub is_own: bool,
}

impl Exposed {
    /// What is wrong, with paths as a person is to read them.
    pub fn problem(&self, shown: impl Fn(&Path) -> String) -> String {
        let dir = shown(&self.dir);
        match (&self.below, self.owner) {
            (None, None) => format!("others can write to {dir}, where kage keeps what it goes by"),
            (None, Some(owner)) => {
                format!("{dir}, where kage keeps what it goes by, belongs to another user (uid {owner})")
            }
            (Some(below), None) => {
                format!("others can write to {dir}, and so replace {}", shown(below))
            }
            (Some(below), Some(owner)) => {
                format!("{dir} belongs to another user (uid {owner}), who can replace {}", shown(below))
            }
        }
    }

    /// The command after which nobody else can write to it, once it is the user's own.
    pub fn close(&self) -> String {
        let name = self.dir.file_name().and_then(OsStr::to_str).unwrap_or_default();
        // Others may have to read what kage did not make.
        let is_made_by_kage = self.below.is_none() && OWN_NAMES.contains(&name);
        let mode = if is_made_by_kage { "700" } else { "go-w" };
        format!("chmod {mode} {}", quoted_path(&self.dir))
    }
}

/// The directories through which others can change what kage keeps in `dir`, nearest first. It need not be there.
pub fn exposed(dir: &Path) -> Vec<Exposed> {
    let dir = if is_plainly_private(dir) { None } else { path::absolute(dir).ok() };
    let Some(dir) = dir else { return Vec::new() };
    let mut way = Vec::new();
    collect(&dir, &mut 0, &mut way);
    let itself = fs::metadata(&dir).ok().map(|known| identity(&known));
    let user = geteuid();
    let is_own = |known: &Metadata| known.uid() == user.as_raw();
    // Above the topmost directory of the user's, the administrator decides who owns what.
    let topmost = way.iter().rposition(|(_, known)| is_own(known)).unwrap_or(0);
    let judge = |(at, (place, known)): (usize, (PathBuf, Metadata))| {
        let is_itself = Some(identity(&known)) == itself;
        let is_sticky = known.mode() & 0o1000 != 0;
        // In a sticky directory others can only make what is not there: what kage looks for, in its own.
        let is_open = known.mode() & 0o002 != 0 && !(is_sticky && (is_own(&known) || !is_itself));
        // To root everything is foreign in a container.
        let is_foreign =
            !is_own(&known) && known.uid() != 0 && !user.is_root() && (is_itself || at < topmost);
        (is_open || is_foreign).then(|| Exposed {
            dir: place,
            below: (!is_itself).then(|| dir.clone()),
            is_open,
            owner: is_foreign.then(|| known.uid()),
            is_own: is_own(&known) || user.is_root(),
        })
    };
    way.into_iter().enumerate().filter_map(judge).collect()
}

/// Whether there is nothing to look into, as nearly always: every run asks this. No links, and nobody but the user and
/// root can write to a directory on the way; others may in a sticky one that it begins with, such as `/tmp`.
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

/// The directories on the way to a path, nearest first, and those on the way to what its links lead to.
fn collect(path: &Path, links: &mut u32, way: &mut Vec<(PathBuf, Metadata)>) {
    for place in path.ancestors() {
        let Ok(known) = fs::symlink_metadata(place) else { continue };
        if known.is_symlink() && *links < MOST_LINKS {
            *links += 1;
            if let Some(target) = target_of(place) {
                collect(&target, links, way);
            }
        } else if known.is_dir() && !way.iter().any(|(_, other)| identity(other) == identity(&known)) {
            way.push((place.to_owned(), known));
        }
    }
}

/// What a link leads to, without the `..` that it begins with.
fn target_of(link: &Path) -> Option<PathBuf> {
    let target = fs::read_link(link).ok()?;
    let (mut above, mut rest) = (link.parent()?.to_owned(), target.as_path());
    if rest.starts_with("..") {
        above = above.canonicalize().ok()?;
    }
    while let Ok(behind) = rest.strip_prefix("..") {
        above.pop();
        rest = behind;
    }
    Some(above.join(rest))
}

fn identity(known: &Metadata) -> (u64, u64) {
    (known.dev(), known.ino())
}
