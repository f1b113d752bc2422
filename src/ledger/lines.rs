//! Reads the lines of a file forward or backward, without loading the whole file.

use std::fs::File;
use std::io::{self, BufRead as _, BufReader, Seek as _, SeekFrom};
use std::os::unix::fs::FileExt as _;
use std::path::Path;

use memchr::memrchr;

/// The number of bytes in one read.
const BLOCK: u64 = 256 * 1024;

/// Calls `visit` with each complete line after the offset `from`, without its newline. Returns the offset at
/// which the last one ends, and whether an incomplete line follows.
pub(super) fn forward(path: &Path, from: u64, mut visit: impl FnMut(&[u8])) -> io::Result<(u64, bool)> {
    let mut file = File::open(path)?;
    file.seek(SeekFrom::Start(from))?;
    let mut reader = BufReader::with_capacity(usize::try_from(BLOCK).unwrap_or(1), file);
    let mut line = Vec::new();
    let mut end = from;
    loop {
        line.clear();
        let length = reader.read_until(b'\n', &mut line)?;
        match line.split_last() {
            None => return Ok((end, false)),
            Some((b'\n', line)) => visit(line),
            Some(_) => return Ok((end, true)),
        }
        end += length as u64;
    }
}

/// Calls `find` with each line from the end of the file backward until it returns a value. The last line may
/// lack its newline. Reads at most `limit` bytes.
pub(super) fn backward<T>(
    path: &Path,
    limit: u64,
    mut find: impl FnMut(&[u8]) -> Option<T>,
) -> io::Result<Option<T>> {
    let file = File::open(path)?;
    let mut at = file.metadata()?.len();
    let stop = at.saturating_sub(limit);
    // The bytes read so far that do not yet form a whole line.
    let mut rest = Vec::new();
    while at > stop {
        let begin = at.saturating_sub(BLOCK).max(stop);
        let mut block = vec![0; usize::try_from(at - begin).unwrap_or(0)];
        file.read_exact_at(&mut block, begin)?;
        block.append(&mut rest);
        at = begin;
        let mut end = block.len();
        while let Some(newline) = memrchr(b'\n', &block[..end]) {
            if let Some(found) = find(&block[newline + 1..end]) {
                return Ok(Some(found));
            }
            end = newline;
        }
        block.truncate(end);
        rest = block;
    }
    Ok(if at == 0 { find(&rest) } else { None })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(text: &[u8]) -> tempfile::NamedTempFile {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(&file, text).unwrap();
        file
    }

    #[test]
    fn complete_lines_are_visited_and_a_torn_one_is_reported() {
        let file = file(b"one\n\ntwo\nthr");
        let mut seen = Vec::new();
        let (end, torn) = forward(file.path(), 4, |line| seen.push(line.to_vec())).unwrap();
        assert_eq!((seen, end, torn), (vec![b"".to_vec(), b"two".to_vec()], 9, true));
        assert_eq!(forward(file.path(), 12, |_| panic!("nothing is there")).unwrap(), (12, false));
    }

    #[test]
    fn lines_are_read_from_the_end_across_blocks() {
        let long = "x".repeat(usize::try_from(BLOCK).unwrap() - 3);
        let text = format!("first\n{long}\nlast\ntor");
        let file = file(text.as_bytes());
        let mut seen = Vec::new();
        let all = |line: &[u8]| -> Option<()> {
            seen.push(line.to_vec());
            None
        };
        backward(file.path(), u64::MAX, all).unwrap();
        assert_eq!(seen, [b"tor".as_slice(), b"last", long.as_bytes(), b"first"]);
        let first = |line: &[u8]| (line == b"first").then_some(());
        assert_eq!(backward(file.path(), u64::MAX, first).unwrap(), Some(()));
        assert_eq!(backward(file.path(), BLOCK, first).unwrap(), None);
    }
}
