//! How the targets split raw bytes, and the directories and times that they use.

use std::path::PathBuf;

use jiff::{Timestamp, Zoned};
use tempfile::TempDir;

use kage::pool::{Lease, LeaseId, Level, Name};

/// The fixed time of all targets.
pub(crate) fn now() -> Zoned {
    "2026-11-22T11:10:00[Europe/Berlin]".parse().expect("it is a valid time")
}

/// A lease of a run in a namespace.
pub(crate) fn lease(on: &Name, since: Timestamp) -> Lease {
    Lease {
        id: LeaseId("fresh".into()),
        pid: 1,
        started: 1,
        subscription: on.clone(),
        agent: "claude".into(),
        namespace: "n".parse().ok(),
        level: Level::Normal,
        hooked_pid: None,
        visits: Vec::new(),
        refused: None,
        record: None,
        pane: None,
        cwd: "/".into(),
        since,
    }
}

/// The two parts of an input, separated by a line of four dashes.
pub(crate) fn parts(data: &[u8]) -> (&[u8], &[u8]) {
    let mark = b"\n----\n";
    let at = data.windows(mark.len()).position(|part| part == mark);
    at.map_or((data, &[]), |at| (&data[..at], &data[at + mark.len()..]))
}

/// Whether a text has no control characters besides newlines.
pub(crate) fn is_plain(text: &str) -> bool {
    !text.contains(|letter: char| letter.is_control() && letter != '\n')
}

/// A temporary directory for each thread, in memory if possible.
pub(crate) fn dir() -> PathBuf {
    thread_local! {
        static DIR: TempDir = tempfile::tempdir_in("/dev/shm")
            .or_else(|_| tempfile::tempdir())
            .expect("a directory can be created");
    }
    DIR.with(|dir| dir.path().to_owned())
}
