//! Reads the lines that an attempt appended to a file of records.

use std::fs::File;
use std::io::{BufRead as _, BufReader, Seek as _, SeekFrom};
use std::path::Path;

/// Calls `visit` with each line after the first `from` bytes. A file that cannot be read has no lines.
pub(super) fn each_line(path: &Path, from: u64, mut visit: impl FnMut(&[u8])) {
    let Ok(mut file) = File::open(path) else { return };
    // A file shorter than `from` has been replaced: read all of it.
    let from = if file.metadata().is_ok_and(|known| known.len() >= from) { from } else { 0 };
    if file.seek(SeekFrom::Start(from)).is_err() {
        return;
    }
    let mut reader = BufReader::new(file);
    let mut line = Vec::new();
    while reader.read_until(b'\n', &mut line).is_ok_and(|length| length > 0) {
        visit(&line);
        line.clear();
    }
}
