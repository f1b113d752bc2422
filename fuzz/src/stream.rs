//! JSON lines in the relay: which are passed on and which are withheld.

use crate::input::parts;
use kage::agent::{Agents, Captured, Line};
use kage::run::relay::hold::{Hold, Lines};

type Classify = fn(&[u8]) -> Line;

/// The input: a byte for the agent, a byte for the size of the pieces, then the output of two attempts.
pub(crate) fn check(data: &[u8]) {
    let Some((&[agent, size], streams)) = data.split_first_chunk() else { return };
    let agents = Agents::default();
    let classify = agents.all().nth(usize::from(agent) % 3).expect("there are three agents").classifier();
    let size = usize::from(size) + 1;
    let (first, second) = parts(streams);
    for stream in [first, second] {
        lines(stream).for_each(|line| only_objects_count(line, classify));
        pieces_do_not_matter(stream, size, classify);
    }
    the_second_attempt_follows_the_first(first, second, size, classify);
}

/// The lines of a stream, including an incomplete last one.
fn lines(stream: &[u8]) -> impl Iterator<Item = &[u8]> {
    stream.split_inclusive(|&byte| byte == b'\n').map(|line| line.strip_suffix(b"\n").unwrap_or(line))
}

/// Lines that are not JSON objects are only progress, or nothing if they are blank; the line ending does not
/// matter.
fn only_objects_count(line: &[u8], classify: Classify) {
    let kind = classify(line);
    // Invalid UTF-8 may be in a field that kage does not read.
    let text = String::from_utf8_lossy(line);
    let object = serde_json::from_str::<serde_json::Value>(&text).is_ok_and(|value| value.is_object());
    let expected = if line.trim_ascii().is_empty() { Line::Neutral } else { Line::Progress };
    assert!(object || kind == expected, "{kind:?} for a line that is no object");
    assert_eq!(classify(&[line, b"\r"].concat()), kind);
}

fn write(out: &mut Vec<u8>) -> impl FnMut(&[u8]) -> std::io::Result<()> {
    |bytes| {
        out.extend_from_slice(bytes);
        Ok(())
    }
}

fn feed(lines: &mut Lines, stream: &[u8], size: usize, out: &mut Vec<u8>) {
    let mut waiting = Vec::new();
    for piece in stream.chunks(size) {
        waiting.extend_from_slice(piece);
        let consumed = lines.feed(&waiting, &mut write(out)).expect("writing works");
        waiting.drain(..consumed);
    }
    lines.finish(&waiting, &mut write(out)).expect("writing works");
}

/// The result of one attempt: written and withheld bytes, captured lines, and whether it is committed.
fn attempt(stream: &[u8], size: usize, classify: Classify) -> (Vec<u8>, Vec<u8>, Captured, bool) {
    let (mut held, mut out) = (Lines::new(classify), Vec::new());
    held.begin(true);
    feed(&mut held, stream, size, &mut out);
    let (withheld, captured, committed) = (held.withheld(), held.captured(), held.is_committed());
    let before = out.len();
    held.release(&mut write(&mut out)).expect("writing works");
    assert_eq!(out, stream, "released output differs from the input");
    assert_eq!(out[before..], withheld);
    out.truncate(before);
    (out, withheld, captured, committed)
}

fn pieces_do_not_matter(stream: &[u8], size: usize, classify: Classify) {
    let whole = attempt(stream, stream.len().max(1), classify);
    assert_eq!(attempt(stream, size, classify), whole);
    let Captured { lines: captured, progressed, .. } = whole.2;
    assert!(captured.iter().all(|known| lines(stream).any(|line| line == known)));
    let progress = lines(stream).any(|line| matches!(classify(line), Line::Progress | Line::Sum));
    assert_eq!(progressed, progress);
}

/// The output has one opening, no discarded failure, and all lines are complete and in order.
fn the_second_attempt_follows_the_first(first: &[u8], second: &[u8], size: usize, classify: Classify) {
    let (mut held, mut out) = (Lines::new(classify), Vec::new());
    held.begin(true);
    feed(&mut held, first, size, &mut out);
    let withheld = held.withheld();
    held.discard();
    let opened = lines(&out).any(|line| classify(line) == Line::Opening);
    let mut expected: Vec<_> = lines(&out).map(<[u8]>::to_vec).collect();
    let notices = lines(&withheld).filter(|line| opened && classify(line) == Line::Neutral);
    expected.extend(notices.map(<[u8]>::to_vec));
    let after = lines(second).filter(|line| !opened || classify(line) != Line::Opening);
    expected.extend(after.map(<[u8]>::to_vec));
    held.begin(true);
    feed(&mut held, second, size, &mut out);
    held.release(&mut write(&mut out)).expect("writing works");
    assert_eq!(lines(&out).map(<[u8]>::to_vec).collect::<Vec<_>>(), expected);
}
