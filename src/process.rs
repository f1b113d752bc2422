//! What the system tells of a process. Source: proc(5), `/proc/pid/stat`; elsewhere it tells nothing.

use std::ffi::{OsStr, OsString};
use std::fs::{self, File};
use std::io::Read as _;
use std::iter;
use std::os::unix::ffi::{OsStrExt as _, OsStringExt as _};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

/// The process group of a process (0 for kage itself), if it exists. A group that began outside of this
/// process-id namespace, as around the first process of a container, is 0.
#[allow(unsafe_code)]
pub(crate) fn group_of(pid: i32) -> Option<i32> {
    // SAFETY: it takes and gives a number.
    let group = unsafe { libc::getpgid(pid) };
    (group >= 0).then_some(group)
}

/// The session of a process (0 for kage itself), if it exists; 0 as with the group.
#[allow(unsafe_code)]
pub(crate) fn session_of(pid: i32) -> Option<i32> {
    // SAFETY: it takes and gives a number.
    let session = unsafe { libc::getsid(pid) };
    (session >= 0).then_some(session)
}

/// A process at the moment of asking.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Stat {
    /// `R` runs, `T` is stopped, `Z` has ended and only its parent does not know yet.
    pub(crate) state: char,
    pub(crate) parent: i32,
    /// When it started, in clock ticks since boot.
    pub(crate) started: u64,
}

impl Stat {
    pub(crate) fn of(pid: u32) -> Option<Self> {
        // Its numbers and a name of 64 bytes at most: it comes by one read, and says nothing of its size.
        let mut bytes = [0; 1024];
        let length = File::open(format!("/proc/{pid}/stat")).ok()?.read(&mut bytes).ok()?;
        let text = String::from_utf8_lossy(&bytes[..length]);
        // The name in field 2 may hold anything, so reading starts behind its parenthesis.
        let mut fields = text.get(text.rfind(')')? + 1..)?.split_ascii_whitespace();
        let state = fields.next()?.chars().next()?;
        let parent = fields.next()?.parse().ok()?;
        Some(Self { state, parent, started: fields.nth(17)?.parse().ok()? })
    }
}

/// The processes that started this one, over however many others, beginning with its parent.
pub(crate) fn ancestors() -> impl Iterator<Item = u32> {
    let parent =
        |pid: u32| Stat::of(pid).and_then(|stat| u32::try_from(stat.parent).ok()).filter(|&pid| pid > 0);
    iter::successors(parent(std::process::id()), move |&pid| parent(pid)).take(HIGHEST)
}

/// What a process has started, and what that has, as far as it lives and their starters do.
pub(crate) fn descendants(pid: u32) -> Vec<u32> {
    let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
    let pids = entries.filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok());
    let parent = |pid: u32| Some((pid, u32::try_from(Stat::of(pid)?.parent).ok()?));
    let known: Vec<_> = pids.filter_map(parent).collect();
    let mut found = vec![pid];
    let mut at = 0;
    while let Some(&starter) = found.get(at) {
        found.extend(known.iter().filter(|(_, parent)| *parent == starter).map(|(pid, _)| *pid));
        at += 1;
    }
    found.split_off(1)
}

/// No tree of processes is as high; one that changes while it is looked at may seem to have no end.
const HIGHEST: usize = 256;

/// The name of a process, at most 15 bytes of its program's: also where nothing else of it is told.
pub(crate) fn name_of(pid: u32) -> Option<OsString> {
    let name = fs::read(format!("/proc/{pid}/comm")).ok()?;
    Some(OsString::from_vec(name.strip_suffix(b"\n").unwrap_or(&name).to_vec()))
        .filter(|name| !name.is_empty())
}

/// A process of the user's that was started with a variable in its environment.
pub(crate) struct Marked {
    value: Vec<u8>,
    /// The first words of its command line: its own name, and the script of an interpreter.
    words: Vec<Vec<u8>>,
}

impl Marked {
    /// Whether the variable had this value, and the program has this name.
    pub(crate) fn is(&self, value: &str, program: &str) -> bool {
        let is_named =
            |word: &Vec<u8>| Path::new(OsStr::from_bytes(word)).file_name() == Some(OsStr::new(program));
        self.value == value.as_bytes() && self.words.iter().any(is_named)
    }
}

/// The processes of the user that were started with a variable.
pub(crate) fn marked_with(variable: &str) -> Vec<Marked> {
    let mark = format!("{variable}=").into_bytes();
    let words = |path: PathBuf| fs::read(path).unwrap_or_default();
    let of = |process: PathBuf| {
        let environment = words(process.join("environ"));
        let value = environment.split(|&byte| byte == 0).find_map(|word| word.strip_prefix(&mark[..]))?;
        let line = words(process.join("cmdline"));
        let words = line.split(|&byte| byte == 0).take(2).map(<[u8]>::to_vec).collect();
        Some(Marked { value: value.to_vec(), words })
    };
    let entries = fs::read_dir("/proc").into_iter().flatten().flatten().map(|entry| entry.path());
    entries
        .filter(|process| process.file_name().is_some_and(|name| name.as_bytes()[0].is_ascii_digit()))
        .filter_map(of)
        .collect()
}

/// The process that has locked a file as a whole, where it lives. Source: proc(5), `/proc/locks`, which tells of
/// those in other process-id namespaces no more than that they are there.
pub(crate) fn lock_holder(file: &Path) -> Option<u32> {
    let inode = fs::metadata(file).ok()?.ino().to_string();
    let locks = fs::read_to_string("/proc/locks").ok()?;
    let holder = |line: &str| {
        let fields: Vec<_> = line.split_whitespace().collect();
        let [_, "FLOCK", _, "WRITE", pid, place, ..] = fields[..] else { return None };
        place.rsplit(':').next().filter(|known| *known == inode)?;
        pid.parse().ok().filter(|&pid| Stat::of(pid).is_some())
    };
    locks.lines().find_map(holder)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_knows_its_own_start_and_parent() {
        if cfg!(target_os = "linux") {
            let own = Stat::of(std::process::id()).unwrap();
            assert!(own.started > 0);
            assert_eq!(u32::try_from(own.parent).ok(), Some(std::os::unix::process::parent_id()));
            assert_eq!(Stat::of(u32::MAX), None);
        }
    }
}
