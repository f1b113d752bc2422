//! What the system reports about processes. Source: proc(5). Without `/proc`, most functions return nothing.

use std::ffi::{OsStr, OsString};
use std::fs::{self, File};
use std::io::Read as _;
use std::iter;
use std::os::unix::ffi::{OsStrExt as _, OsStringExt as _};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

/// Returns the process group of a process (0 for kage itself), if it exists. A group from outside this pid
/// namespace, such as that of the first process of a container, is 0.
#[allow(unsafe_code)]
pub(crate) fn group_of(pid: i32) -> Option<i32> {
    // SAFETY: `getpgid` takes and returns a number.
    let group = unsafe { libc::getpgid(pid) };
    (group >= 0).then_some(group)
}

/// Returns the session of a process (0 for kage itself), if it exists. A session from outside this pid
/// namespace is 0.
#[allow(unsafe_code)]
pub(crate) fn session_of(pid: i32) -> Option<i32> {
    // SAFETY: `getsid` takes and returns a number.
    let session = unsafe { libc::getsid(pid) };
    (session >= 0).then_some(session)
}

/// A process at the time of reading.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Stat {
    /// `R` is running, `T` is stopped, `Z` has ended but its parent has not waited for it yet.
    pub(crate) state: char,
    pub(crate) parent: i32,
    /// When it started, in clock ticks since boot.
    pub(crate) started: u64,
}

impl Stat {
    pub(crate) fn of(pid: u32) -> Option<Self> {
        // The file has numbers and a name of at most 64 bytes, so one read is enough. The system reports no
        // size.
        let mut bytes = [0; 1024];
        let length = File::open(format!("/proc/{pid}/stat")).ok()?.read(&mut bytes).ok()?;
        let text = String::from_utf8_lossy(&bytes[..length]);
        // The name in field 2 may contain any byte, so parsing starts after its closing parenthesis.
        let mut fields = text.get(text.rfind(')')? + 1..)?.split_ascii_whitespace();
        let state = fields.next()?.chars().next()?;
        let parent = fields.next()?.parse().ok()?;
        Some(Self { state, parent, started: fields.nth(17)?.parse().ok()? })
    }
}

/// Returns the ancestors of this process, beginning with its parent.
pub(crate) fn ancestors() -> impl Iterator<Item = u32> {
    let parent =
        |pid: u32| Stat::of(pid).and_then(|stat| u32::try_from(stat.parent).ok()).filter(|&pid| pid > 0);
    iter::successors(parent(std::process::id()), move |&pid| parent(pid)).take(MAX_DEPTH)
}

/// Returns the live descendants of a process. A process whose parent has ended is not found.
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

/// More ancestors than any process has. A tree that changes while it is read may seem endless.
const MAX_DEPTH: usize = 256;

/// Returns the name of a process: at most 15 bytes of its program's name. Readable even if nothing else is.
pub(crate) fn name_of(pid: u32) -> Option<OsString> {
    let name = fs::read(format!("/proc/{pid}/comm")).ok()?;
    Some(OsString::from_vec(name.strip_suffix(b"\n").unwrap_or(&name).to_vec()))
        .filter(|name| !name.is_empty())
}

/// A process of the user that was started with a certain variable in its environment.
pub(crate) struct ProcessWithVariable {
    value: Vec<u8>,
    /// The first two words of its command line: its name, and the script of an interpreter.
    words: Vec<Vec<u8>>,
}

impl ProcessWithVariable {
    /// Whether the variable had this value, and the program has this name.
    pub(crate) fn is(&self, value: &str, program: &str) -> bool {
        let is_named =
            |word: &Vec<u8>| Path::new(OsStr::from_bytes(word)).file_name() == Some(OsStr::new(program));
        self.value == value.as_bytes() && self.words.iter().any(is_named)
    }
}

/// Returns the processes of the user that were started with a variable.
pub(crate) fn processes_with_variable(variable: &str) -> Vec<ProcessWithVariable> {
    let mark = format!("{variable}=").into_bytes();
    let words = |path: PathBuf| fs::read(path).unwrap_or_default();
    let of = |process: PathBuf| {
        let environment = words(process.join("environ"));
        let value = environment.split(|&byte| byte == 0).find_map(|word| word.strip_prefix(&mark[..]))?;
        let line = words(process.join("cmdline"));
        let words = line.split(|&byte| byte == 0).take(2).map(<[u8]>::to_vec).collect();
        Some(ProcessWithVariable { value: value.to_vec(), words })
    };
    let entries = fs::read_dir("/proc").into_iter().flatten().flatten().map(|entry| entry.path());
    entries
        .filter(|process| process.file_name().is_some_and(|name| name.as_bytes()[0].is_ascii_digit()))
        .filter_map(of)
        .collect()
}

/// Returns the live process that has an exclusive lock on a whole file. Source: proc(5), `/proc/locks`. For
/// processes in other pid namespaces, the file shows only that a lock exists.
pub(crate) fn lock_holder(file: &Path) -> Option<u32> {
    let inode = fs::metadata(file).ok()?.ino().to_string();
    let locks = fs::read_to_string("/proc/locks").ok()?;
    let holder = |line: &str| {
        let fields: Vec<_> = line.split_whitespace().collect();
        let [_, "FLOCK", _, "WRITE", pid, file, ..] = fields[..] else { return None };
        file.rsplit(':').next().filter(|known| *known == inode)?;
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
