//! The changes since the state was last written whole: one line per change, after a header that names the
//! base state.
//!
//! A line is appended in one write. A line without a line break was cut off by a full disk or a killed kage,
//! and is ignored. A log that belongs to another state is also ignored.

use std::fs::{self, OpenOptions};
use std::io::{self, ErrorKind, Write as _};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::files::{self, Durability};
use crate::pool::{Patch, State};

/// The maximum size of a log in bytes, or half the size of the state if that is larger. A log that has
/// reached it accepts no more changes, and the whole state is written again, because each start reads both
/// files.
const MAX_SIZE: u64 = 2 << 10;

/// The first line of a log. `of` is the id of the base state.
#[derive(Serialize, Deserialize)]
struct Head {
    of: String,
}

/// The log file of a state.
#[derive(Debug, Clone)]
pub(super) struct Log {
    path: PathBuf,
}

/// The result of applying a log to its base state.
#[derive(Debug, Default)]
pub(super) struct Replayed {
    /// The offset of the next change; `None` if the log accepts no more.
    pub(super) end: Option<u64>,
    /// What is wrong with a complete line. The lines after it were not applied.
    pub(super) damage: Option<String>,
}

impl Log {
    pub(super) fn new(path: PathBuf) -> Self {
        Self { path }
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Reads the file; empty if it does not exist.
    pub(super) fn read(&self) -> io::Result<Vec<u8>> {
        match fs::read(&self.path) {
            Err(missing) if missing.kind() == ErrorKind::NotFound => Ok(Vec::new()),
            read => read,
        }
    }

    /// Replaces the log with an empty one for the state with that id.
    pub(super) fn begin(&self, of: &str) -> io::Result<()> {
        let mut head = serde_json::to_vec(&Head { of: of.to_owned() })?;
        head.push(b'\n');
        files::replace(&self.path, &head, Durability::Process)
    }

    /// Appends a change after the last complete one. If the disk is full, removes the part that was written.
    pub(super) fn append(&self, end: u64, patch: &Patch, durability: Durability) -> io::Result<()> {
        let mut line = serde_json::to_vec(patch)?;
        line.push(b'\n');
        let mut file = OpenOptions::new().append(true).open(&self.path)?;
        if file.metadata()?.len() != end {
            file.set_len(end)?;
        }
        file.write_all(&line).inspect_err(|_| drop(file.set_len(end)))?;
        if durability == Durability::Machine { file.sync_data() } else { Ok(()) }
    }
}

/// Applies the changes of a log to the state with that id, whose file has `whole` bytes.
pub(super) fn replay(log: &[u8], of: &str, whole: u64, state: &mut State) -> Replayed {
    let mut lines = log.split_inclusive(|&byte| byte == b'\n').take_while(|line| line.ends_with(b"\n"));
    let belongs = |head: &[u8]| serde_json::from_slice::<Head>(head).is_ok_and(|head| head.of == of);
    let Some(head) = lines.next().filter(|head| !of.is_empty() && belongs(head)) else {
        return Replayed::default();
    };
    let mut end = head.len();
    for (at, line) in lines.enumerate() {
        let applied = match serde_json::from_slice::<Patch>(line) {
            Ok(patch) => patch.apply(state).ok_or_else(|| "it belongs to another state".to_owned()),
            Err(why) => Err(why.to_string()),
        };
        if let Err(why) = applied {
            return Replayed { end: None, damage: Some(format!("line {}: {why}", at + 2)) };
        }
        end += line.len();
    }
    let end = end as u64;
    Replayed { end: (end < MAX_SIZE.max(whole / 2)).then_some(end), damage: None }
}
