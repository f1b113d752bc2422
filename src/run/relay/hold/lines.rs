//! JSON lines as they happen: the reader sees one opening, the conversation without delay, and no failure
//! that another attempt made good.

use std::collections::VecDeque;
use std::{io, mem};

use memchr::memchr_iter;

use super::{Hold, MOST, Out};
use crate::agent::{Captured, Line};

/// The most lines of an attempt that are remembered for who judges it.
const REMEMBERED: usize = 256;

/// Bounds in bytes, small in tests.
#[derive(Debug, Clone, Copy)]
struct Limits {
    /// A longer line is progress, whatever it says: the lines that say otherwise are short, and no line is
    /// held that a program may write without end.
    line: usize,
    /// What waits in the queue. Beyond it the attempt has said too much to be taken back.
    queue: usize,
}

pub struct Lines {
    classify: fn(&[u8]) -> Line,
    limits: Limits,
    hold: bool,
    /// Whether the reader has seen an opening, of whichever attempt.
    opened: bool,
    /// Whether the last line written has no end. Another attempt's first line would become a part of it.
    cut: bool,
    /// What is withheld, in order.
    queue: Vec<(Line, Vec<u8>)>,
    /// The sum of the lengths in the queue.
    queued: usize,
    attempt: Attempt,
}

/// What ends with the attempt.
// Each is a fact of its own.
#[allow(clippy::struct_excessive_bools)]
#[derive(Default)]
struct Attempt {
    /// Whether the reader has seen an opening of an earlier attempt.
    is_continuation: bool,
    progressed: bool,
    /// Nothing is withheld any more.
    passing: bool,
    in_long_line: bool,
    /// How much of what will be given again has no end of a line in it.
    searched: usize,
    seen: Seen,
}

impl Attempt {
    fn moved_on(&mut self) {
        self.progressed = true;
        self.seen.forget_failures();
    }
}

/// What becomes of a line.
enum Fate {
    Pass,
    Queue(Line),
    Drop,
}

impl Lines {
    pub fn new(classify: fn(&[u8]) -> Line) -> Self {
        Self {
            classify,
            limits: Limits { line: MOST, queue: MOST },
            hold: true,
            opened: false,
            cut: false,
            queue: Vec::new(),
            queued: 0,
            attempt: Attempt::default(),
        }
    }

    /// Decides on a line without its end.
    fn fate(&mut self, line: &[u8]) -> Fate {
        let is_long = line.len() > self.limits.line;
        let kind = if is_long { Line::Progress } else { (self.classify)(line) };
        if matches!(kind, Line::Progress | Line::Sum) {
            self.attempt.moved_on();
        }
        if kind == Line::Progress {
            return Fate::Pass;
        }
        self.attempt.seen.push(kind, line);
        if kind == Line::Sum {
            return Fate::Pass;
        }
        if kind == Line::Opening && self.attempt.is_continuation {
            return Fate::Drop;
        }
        self.attempt.passing |= !self.hold;
        let passes = match kind {
            _ if self.attempt.passing => true,
            Line::Opening => self.attempt.progressed && self.queue.is_empty(),
            Line::Neutral => self.queue.is_empty(),
            Line::Failure | Line::Sum | Line::Progress => false,
        };
        self.opened |= passes && kind == Line::Opening;
        if passes { Fate::Pass } else { Fate::Queue(kind) }
    }

    fn withhold(&mut self, kind: Line, line: &[u8], out: Out<'_>) -> io::Result<()> {
        self.queue.push((kind, line.to_vec()));
        self.queued += line.len();
        if self.queued > self.limits.queue {
            self.attempt.passing = true;
            self.flush(out)?;
        }
        Ok(())
    }

    /// Writes what was withheld.
    fn flush(&mut self, out: Out<'_>) -> io::Result<()> {
        self.queued = 0;
        for (kind, line) in mem::take(&mut self.queue) {
            self.opened |= kind == Line::Opening;
            self.write(&line, out)?;
        }
        Ok(())
    }

    fn write(&mut self, bytes: &[u8], out: Out<'_>) -> io::Result<()> {
        let Some(last) = bytes.last() else { return Ok(()) };
        if mem::replace(&mut self.cut, *last != b'\n') {
            out(b"\n")?;
        }
        out(bytes)
    }

    /// How much belongs to a line of which the beginning has been written.
    fn skip_long_line(&mut self, bytes: &[u8]) -> usize {
        if !self.attempt.in_long_line || bytes.is_empty() {
            return 0;
        }
        self.cut = false;
        let end = memchr::memchr(b'\n', bytes);
        self.attempt.in_long_line = end.is_none();
        end.map_or(bytes.len(), |newline| newline + 1)
    }
}

impl Hold for Lines {
    fn begin(&mut self, hold: bool) {
        self.hold = hold;
        self.attempt = Attempt { is_continuation: self.opened, ..Attempt::default() };
    }

    /// Lines that pass and stand together are written together: `bytes[passed..at]` is what passes and is
    /// not written yet. With a queue it is empty.
    fn feed(&mut self, bytes: &[u8], out: Out<'_>) -> io::Result<usize> {
        let mut passed = 0;
        let mut at = self.skip_long_line(bytes);
        let search = at.max(self.attempt.searched);
        for newline in memchr_iter(b'\n', &bytes[search..]) {
            let end = search + newline + 1;
            let fate = self.fate(&bytes[at..end - 1]);
            if !matches!(fate, Fate::Pass) {
                self.write(&bytes[passed..at], out)?;
                passed = end;
            } else if !self.queue.is_empty() {
                self.flush(out)?;
            }
            if let Fate::Queue(kind) = fate {
                self.withhold(kind, &bytes[at..end], out)?;
            }
            at = end;
        }
        self.write(&bytes[passed..at], out)?;
        if bytes.len() - at > self.limits.line {
            self.attempt.moved_on();
            self.attempt.in_long_line = true;
            self.flush(out)?;
            self.write(&bytes[at..], out)?;
            at = bytes.len();
        }
        self.attempt.searched = bytes.len() - at;
        Ok(at)
    }

    fn finish(&mut self, rest: &[u8], out: Out<'_>) -> io::Result<()> {
        if rest.is_empty() {
            return Ok(());
        }
        match self.fate(rest) {
            Fate::Pass => {
                self.flush(out)?;
                self.write(rest, out)
            }
            Fate::Queue(kind) => self.withhold(kind, rest, out),
            Fate::Drop => Ok(()),
        }
    }

    fn release(&mut self, out: Out<'_>) -> io::Result<()> {
        self.attempt.passing = true;
        self.flush(out)
    }

    fn withheld(&self) -> Vec<u8> {
        let seam = if self.cut && !self.queue.is_empty() { &b"\n"[..] } else { b"" };
        [seam]
            .into_iter()
            .chain(self.queue.iter().map(|(_, line)| line.as_slice()))
            .flatten()
            .copied()
            .collect()
    }

    /// A notice is for the reader of a stream that has begun, and comes before what follows; one that has not
    /// will begin without it.
    fn discard(&mut self) {
        let opened = self.opened;
        self.attempt = Attempt::default();
        self.queue.retain(|(kind, _)| opened && *kind == Line::Neutral);
        self.queued = self.queue.iter().map(|(_, line)| line.len()).sum();
    }

    fn is_committed(&self) -> bool {
        self.attempt.passing
    }

    fn captured(&mut self) -> Captured {
        let lines = mem::take(&mut self.attempt.seen).lines.into_iter().map(|(_, line)| line).collect();
        Captured { lines, progressed: self.attempt.progressed, ..Captured::default() }
    }
}

/// The latest lines that were not mere progress.
#[derive(Default)]
struct Seen {
    lines: VecDeque<(Line, Vec<u8>)>,
    /// The sum of their lengths.
    length: usize,
    /// Whether a failure is among them.
    failed: bool,
}

impl Seen {
    fn push(&mut self, kind: Line, line: &[u8]) {
        self.failed |= kind == Line::Failure;
        self.length += line.len();
        let mut copy = Vec::new();
        while self.lines.len() >= REMEMBERED || self.length > MOST {
            let Some((_, oldest)) = self.lines.pop_front() else { break };
            self.length -= oldest.len();
            // Its memory serves again: a stream may be nothing but notices.
            copy = oldest;
        }
        copy.clear();
        copy.extend_from_slice(line);
        self.lines.push_back((kind, copy));
    }

    /// What the conversation has moved on from is no evidence of how it ended.
    fn forget_failures(&mut self) {
        if mem::take(&mut self.failed) {
            self.lines.retain(|(kind, _)| *kind != Line::Failure);
            self.length = self.lines.iter().map(|(_, line)| line.len()).sum();
        }
    }
}

#[cfg(test)]
mod tests;
