//! JSON lines on their way through the relay: which of them flow and which are withheld.

use crate::input::parts;
use kage::agent::{Agents, Captured, Line};
use kage::run::relay::hold::{Hold, Lines};

type Classify = fn(&[u8]) -> Line;

/// The first byte is the agent, the second how the bytes come in pieces; then two attempts.
pub(crate) fn check(data: &[u8]) {
    let Some((&[agent, size], streams)) = data.split_first_chunk() else { return };
    let agents = Agents::default();
    let classify = agents.all().nth(usize::from(agent) % 3).expect("there are three").classifier();
    let size = usize::from(size) + 1;
    let (first, second) = parts(streams);
    for stream in [first, second] {
        lines(stream).for_each(|line| only_objects_tell(line, classify));
        pieces_do_not_matter(stream, size, classify);
    }
    the_second_attempt_follows_the_first(first, second, size, classify);
}

/// Whole lines, and a last one without its end.
fn lines(stream: &[u8]) -> impl Iterator<Item = &[u8]> {
    stream.split_inclusive(|&byte| byte == b'\n').map(|line| line.strip_suffix(b"\n").unwrap_or(line))
}

/// Nothing but a JSON object is ever more than progress, whatever ends its line.
fn only_objects_tell(line: &[u8], classify: Classify) {
    let kind = classify(line);
    // Bytes that are no text may stand in a field that nobody reads.
    let text = String::from_utf8_lossy(line);
    let object = serde_json::from_str::<serde_json::Value>(&text).is_ok_and(|value| value.is_object());
    assert!(object || kind == Line::Progress, "{kind:?} for what is no object");
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
        let dealt = lines.feed(&waiting, &mut write(out)).expect("writing works");
        waiting.drain(..dealt);
    }
    lines.finish(&waiting, &mut write(out)).expect("writing works");
}

/// What one attempt comes to: written, withheld, captured, and whether it can be taken back.
fn attempt(stream: &[u8], size: usize, classify: Classify) -> (Vec<u8>, Vec<u8>, Captured, bool) {
    let (mut held, mut out) = (Lines::new(classify), Vec::new());
    held.begin(true);
    feed(&mut held, stream, size, &mut out);
    let (withheld, captured, committed) = (held.withheld(), held.captured(), held.is_committed());
    let before = out.len();
    held.release(&mut write(&mut out)).expect("writing works");
    assert_eq!(out, stream, "an attempt that stands is not as it came");
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

/// One opening, no failure that was made good, every line whole and in order.
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
    let behind = lines(second).filter(|line| !opened || classify(line) != Line::Opening);
    expected.extend(behind.map(<[u8]>::to_vec));
    held.begin(true);
    feed(&mut held, second, size, &mut out);
    held.release(&mut write(&mut out)).expect("writing works");
    assert_eq!(lines(&out).map(<[u8]>::to_vec).collect::<Vec<_>>(), expected);
}
