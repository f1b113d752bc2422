//! File operations of kage: private files, locks on a sibling file, and atomic replacement.

mod exposure;
mod lock;

use std::fs::{self, File, OpenOptions};
use std::hash::{DefaultHasher, Hasher as _};
use std::io::{self, ErrorKind, Write as _};
use std::iter;
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, Result};
use rustix::fs::OFlags;

use crate::error::Notice;

pub use exposure::{Exposed, exposed};
pub use lock::{LOCK_PATIENCE, Lock};

/// Whether a replaced file must survive a power cut.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Durability {
    /// The file survives the end of any process. A power cut soon after may lose it, unless the file system
    /// writes the data before the rename over another file (as ext4 and btrfs do).
    Process,
    /// The file survives a crash of the machine.
    Machine,
}

/// Replaces the content of `path` with `bytes`: writes a temporary file next to it, then renames that. Never
/// writes to an existing file with the temporary name.
pub fn replace(path: &Path, bytes: &[u8], durability: Durability) -> io::Result<()> {
    let mode = fs::metadata(path).map_or(0o600, |known| known.permissions().mode() & 0o777);
    let (temporary, mut file) = temporary(path, mode)?;
    let mut write = || {
        file.write_all(bytes)?;
        if durability == Durability::Machine {
            file.sync_data()?;
        }
        fs::rename(&temporary, path)
    };
    write().inspect_err(|_| {
        // A half-written temporary file would occupy space on a disk that may be full.
        let _ = fs::remove_file(&temporary);
    })
}

/// Creates the temporary file next to a file, and returns its path. Replaces an old temporary file: a killed
/// kage left it, or an attacker planted it. A fresh one is probably being written by another kage that has no
/// lock, or a lock that does not work, as on some network file systems. Two writers would damage it, so this
/// kage uses the next name.
pub fn temporary(path: &Path, mode: u32) -> io::Result<(PathBuf, File)> {
    let usual = iter::once(sibling(path, ".new"));
    let names = usual.chain((2..=MAX_WRITERS).map(|at| sibling(path, &format!(".new{at}"))));
    let mut taken = io::Error::from(ErrorKind::AlreadyExists);
    for name in names {
        let make = || OpenOptions::new().mode(mode).create_new(true).write(true).open(&name);
        let made = make().or_else(|why| match why.kind() {
            ErrorKind::AlreadyExists if !is_fresh(&name) => fs::remove_file(&name).and_then(|()| make()),
            _ => Err(why),
        });
        match made {
            Err(why) if why.kind() == ErrorKind::AlreadyExists => taken = why,
            made => return made.map(|file| (name, file)),
        }
    }
    Err(taken)
}

/// The maximum number of kage processes that may write one file at the same time without a lock.
const MAX_WRITERS: u32 = 16;

/// Whether another kage is probably writing a temporary file. kage never creates a link, so a link is not
/// fresh.
fn is_fresh(temporary: &Path) -> bool {
    let known = fs::symlink_metadata(temporary).ok().filter(fs::Metadata::is_file);
    let changed = known.and_then(|known| known.modified().ok());
    changed.is_some_and(|changed| changed.elapsed().is_ok_and(|age| age < STALE))
}

/// A temporary file of at least this age was left over by a killed kage.
const STALE: Duration = Duration::from_secs(10);

/// Replaces a file that the user names. kage knows nothing about its directory, so the temporary file has a
/// random name that no other process can predict. The result survives a crash of the machine.
pub fn replace_named(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let dir = path.parent().filter(|dir| !dir.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let mut file = tempfile::Builder::new().prefix(".kage-").tempfile_in(dir)?;
    if let Ok(known) = fs::metadata(path) {
        file.as_file().set_permissions(known.permissions())?;
    }
    file.write_all(bytes)?;
    file.as_file().sync_data()?;
    file.persist(path).map(drop).map_err(|failed| failed.error)
}

/// Replaces a program that all users may run. A link at `path` is replaced, not its target.
pub fn replace_program(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let dir = path.parent().unwrap_or(Path::new("."));
    let mut file = tempfile::Builder::new().prefix(".kage-").tempfile_in(dir)?;
    file.as_file().set_permissions(fs::Permissions::from_mode(0o755))?;
    file.write_all(bytes)?;
    file.as_file().sync_data()?;
    // The file is closed before the rename: the system does not start a program that is open for writing.
    file.into_temp_path().persist(path).map_err(|failed| failed.error)
}

/// Returns a checksum that detects accidental changes in a cache, which kage can rebuild.
pub fn sum(bytes: &[u8]) -> [u8; 8] {
    let mut hasher = DefaultHasher::new();
    hasher.write(bytes);
    hasher.finish().to_le_bytes()
}

/// Returns the path with a suffix appended to its name.
pub fn sibling(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    name.into()
}

/// Creates a directory and its missing parents, accessible only by the user.
pub fn make_private_dir(path: &Path) -> Result<()> {
    if !path.is_dir() {
        let made = fs::DirBuilder::new().recursive(true).mode(0o700).create(path);
        made.with_context(|| format!("could not create {}", path.display()))?;
    }
    Ok(())
}

/// Returns a notice if other users can change kage's files in a directory, with the command that fixes it.
pub fn exposure_notice(dir: &Path) -> Option<Notice> {
    let one = exposed(dir).into_iter().next()?;
    let notice = Notice::new(one.problem(|path| path.display().to_string()));
    Some(if one.is_own { notice.hint(one.fix_command()) } else { notice.hint("kage doctor") })
}

/// Returns options that create a file only the user may read, and do not follow a link.
pub fn private() -> OpenOptions {
    let mut options = OpenOptions::new();
    options.mode(0o600).custom_flags(i32::from_ne_bytes(OFlags::NOFOLLOW.bits().to_ne_bytes()));
    options
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_replaced_file_keeps_its_mode_and_a_new_one_is_private() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("file");
        let mode = || fs::metadata(&path).unwrap().permissions().mode() & 0o777;
        replace(&path, b"1", Durability::Process).unwrap();
        assert_eq!(mode(), 0o600);
        fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).unwrap();
        replace(&path, b"2", Durability::Machine).unwrap();
        assert_eq!((mode(), fs::read(&path).unwrap()), (0o640, b"2".to_vec()));
    }
}
