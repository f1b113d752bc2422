//! Splits the output of an agent into lines.

/// Returns the lines that are not blank. They are bytes, because an output may be long and most of it is not
/// needed.
pub(super) fn non_blank(output: &[u8]) -> impl DoubleEndedIterator<Item = &[u8]> {
    output.split(|&byte| byte == b'\n').filter(|line| !line.trim_ascii().is_empty())
}

/// Returns the lines that are not blank, as text.
pub(super) fn lines(output: &[u8]) -> Vec<String> {
    non_blank(output).map(text).collect()
}

/// Returns up to `count` lines from the end, without the blank ones.
pub(super) fn last_lines(output: &[u8], count: usize) -> Vec<String> {
    let mut lines: Vec<_> = non_blank(output).rev().take(count).map(text).collect();
    lines.reverse();
    lines
}

/// Returns the line of an output that has only one; several lines are an answer, not an error.
pub(super) fn sole_line(output: &[u8]) -> Option<String> {
    let mut lines = non_blank(output);
    lines.next().filter(|_| lines.next().is_none()).map(text)
}

fn text(line: &[u8]) -> String {
    String::from_utf8_lossy(line.strip_suffix(b"\r").unwrap_or(line)).into_owned()
}
