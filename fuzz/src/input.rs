//! What the targets make of raw bytes, and the places and times that they use.

use std::path::PathBuf;

use jiff::{Timestamp, Zoned};
use tempfile::TempDir;

use kage::pool::{Lease, LeaseId, Level, Name};

/// When everything happens.
pub(crate) fn now() -> Zoned {
    "2026-11-22T11:10:00[Europe/Berlin]".parse().expect("it is a time")
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

/// The parts of an input, which lines of four dashes keep apart.
pub(crate) fn parts(data: &[u8]) -> (&[u8], &[u8]) {
    let mark = b"\n----\n";
    let at = data.windows(mark.len()).position(|part| part == mark);
    at.map_or((data, &[]), |at| (&data[..at], &data[at + mark.len()..]))
}

/// Whether a terminal would do nothing with it but show it.
pub(crate) fn is_plain(text: &str) -> bool {
    !text.contains(|letter: char| letter.is_control() && letter != '\n')
}

/// A directory of the thread's own, in memory where there is such a place.
pub(crate) fn dir() -> PathBuf {
    thread_local! {
        static DIR: TempDir = tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir()).expect("a directory");
    }
    DIR.with(|dir| dir.path().to_owned())
}
