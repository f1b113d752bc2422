//! Files as kage treats them: private, locked on a sibling, replaced whole or not at all.

mod lock;
mod others;

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

pub use lock::{LOCK_PATIENCE, Lock};
pub use others::{Exposed, exposed};

/// Whether a replaced file must survive a power cut.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Durability {
    /// It survives the end of any process. A power cut soon after may lose it where the file system does not
    /// write a file out before it renames it over another (ext4 and btrfs do).
    Process,
    /// It survives the end of the machine.
    Machine,
}

/// Puts `bytes` in the place of `path`: a temporary file beside it, then a rename. What has the temporary name
/// already is never written to.
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
        // A half-written temporary on a full disk would only take more of it.
        let _ = fs::remove_file(&temporary);
    })
}

/// The temporary file beside a file, and its name. One that is there already was left over by a kage that was killed, or was planted; but a
/// fresh one is being written by another kage, which has no lock or one that does not lock, as on some network file
/// systems. Two that write one file would make a damaged one of two whole ones, so this kage takes the next name.
pub fn temporary(path: &Path, mode: u32) -> io::Result<(PathBuf, File)> {
    let usual = iter::once(sibling(path, ".new"));
    let names = usual.chain((2..=AT_ONE_TIME).map(|at| sibling(path, &format!(".new{at}"))));
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

/// How many kages without a lock may write one file at one time.
const AT_ONE_TIME: u32 = 16;

/// A link is nobody's temporary file.
fn is_fresh(temporary: &Path) -> bool {
    let known = fs::symlink_metadata(temporary).ok().filter(fs::Metadata::is_file);
    let changed = known.and_then(|known| known.modified().ok());
    changed.is_some_and(|changed| changed.elapsed().is_ok_and(|age| age < LEFT_OVER))
}

/// From this age on.
const LEFT_OVER: Duration = Duration::from_secs(10);

/// Replaces a file that the user names: beside it nothing is known, so the temporary file is a new one that
/// nobody can have guessed. It survives the end of the machine.
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

/// The same for a program that everyone may run. A link in its place is replaced, not what it leads to.
pub fn replace_program(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let dir = path.parent().unwrap_or(Path::new("."));
    let mut file = tempfile::Builder::new().prefix(".kage-").tempfile_in(dir)?;
    file.as_file().set_permissions(fs::Permissions::from_mode(0o755))?;
    file.write_all(bytes)?;
    file.as_file().sync_data()?;
    // Closed before it has its name: the system starts no program that is open for writing.
    file.into_temp_path().persist(path).map_err(|failed| failed.error)
}

/// By which a changed byte is seen in what kage keeps to be faster, and could make anew.
pub fn sum(bytes: &[u8]) -> [u8; 8] {
    let mut hasher = DefaultHasher::new();
    hasher.write(bytes);
    hasher.finish().to_le_bytes()
}

/// The path with something behind its name.
pub fn sibling(path: &Path, behind: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(behind);
    name.into()
}

/// Makes a directory and its missing parents, readable by the user alone.
pub fn make_private_dir(path: &Path) -> Result<()> {
    if !path.is_dir() {
        let made = fs::DirBuilder::new().recursive(true).mode(0o700).create(path);
        made.with_context(|| format!("could not make {}", path.display()))?;
    }
    Ok(())
}

/// That others can change what kage keeps in a directory, and what to type where this user can close it.
pub fn notice_of_others(dir: &Path) -> Option<Notice> {
    let one = exposed(dir).into_iter().next()?;
    let notice = Notice::new(one.problem(|path| path.display().to_string()));
    Some(if one.is_own { notice.hint(one.close()) } else { notice.hint("kage doctor") })
}

/// How to open a file that only the user may read. A link in its place is not followed.
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
