//! The changes since the state was last written whole: a line each, behind a line that names that state.
//!
//! A line is appended by one write. One without its end was not finished, by a full disk or a killed kage, and
//! is as if it had never been; so is a log that belongs to another state.

use std::fs::{self, OpenOptions};
use std::io::{self, ErrorKind, Write as _};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::files::{self, Durability};
use crate::pool::{Patch, State};

/// Up to this a log grows, or to half the size of the state where that is more: then the state is written whole.
/// Both are read at each start.
const ROOM: u64 = 2 << 10;

/// The first line.
#[derive(Serialize, Deserialize)]
struct Head {
    of: String,
}

/// The log beside a state.
#[derive(Debug, Clone)]
pub(super) struct Log {
    path: PathBuf,
}

/// What a log made of the state that it belongs to.
#[derive(Debug, Default)]
pub(super) struct Replayed {
    /// Where the next change goes; `None` where the log takes no more.
    pub(super) end: Option<u64>,
    /// What is wrong with a line that was written to its end. Nothing from there on has been done.
    pub(super) damage: Option<String>,
}

impl Log {
    pub(super) fn new(path: PathBuf) -> Self {
        Self { path }
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// What is in the file, which need not be there.
    pub(super) fn read(&self) -> io::Result<Vec<u8>> {
        match fs::read(&self.path) {
            Err(missing) if missing.kind() == ErrorKind::NotFound => Ok(Vec::new()),
            read => read,
        }
    }

    /// Begins anew, for the state of that id.
    pub(super) fn begin(&self, of: &str) -> io::Result<()> {
        let mut head = serde_json::to_vec(&Head { of: of.to_owned() })?;
        head.push(b'\n');
        files::replace(&self.path, &head, Durability::Process)
    }

    /// Appends a change where the last one ended. Of one that does not fit on the disk nothing stays.
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

/// Makes the changes of a log to the state of that id, which was so many bytes.
pub(super) fn replay(log: &[u8], of: &str, whole: u64, state: &mut State) -> Replayed {
    let mut lines = log.split_inclusive(|&byte| byte == b'\n').take_while(|line| line.ends_with(b"\n"));
    let is_of_it = |head: &[u8]| serde_json::from_slice::<Head>(head).is_ok_and(|head| head.of == of);
    let Some(head) = lines.next().filter(|head| !of.is_empty() && is_of_it(head)) else {
        return Replayed::default();
    };
    let mut end = head.len();
    for (at, line) in lines.enumerate() {
        let made = match serde_json::from_slice::<Patch>(line) {
            Ok(patch) => patch.apply(state).ok_or_else(|| "it belongs to another state".to_owned()),
            Err(why) => Err(why.to_string()),
        };
        if let Err(why) = made {
            return Replayed { end: None, damage: Some(format!("line {}: {why}", at + 2)) };
        }
        end += line.len();
    }
    let end = end as u64;
    Replayed { end: (end < ROOM.max(whole / 2)).then_some(end), damage: None }
}
