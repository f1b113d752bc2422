//! What an agent printed, as lines.

/// The lines that hold anything, as bytes: an output may be long, and most of it is of no interest.
pub(super) fn filled(output: &[u8]) -> impl DoubleEndedIterator<Item = &[u8]> {
    output.split(|&byte| byte == b'\n').filter(|line| !line.trim_ascii().is_empty())
}

/// The lines that hold anything.
pub(super) fn lines(output: &[u8]) -> Vec<String> {
    filled(output).map(text).collect()
}

/// The last `most` of them.
pub(super) fn last_lines(output: &[u8], most: usize) -> Vec<String> {
    let mut lines: Vec<_> = filled(output).rev().take(most).map(text).collect();
    lines.reverse();
    lines
}

/// The one line there is; several are an answer, not an error.
pub(super) fn sole_line(output: &[u8]) -> Option<String> {
    let mut lines = filled(output);
    lines.next().filter(|_| lines.next().is_none()).map(text)
}

fn text(line: &[u8]) -> String {
    String::from_utf8_lossy(line.strip_suffix(b"\r").unwrap_or(line)).into_owned()
}
