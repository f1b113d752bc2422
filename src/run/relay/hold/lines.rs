//! The rules for JSON lines: the reader sees one opening, the conversation without delay, and no failure that
//! another attempt recovered from.

use std::collections::VecDeque;
use std::{io, mem};

use memchr::memchr_iter;

use super::{Hold, MAX_HELD, Out};
use crate::agent::{Captured, Line};

/// The maximum number of lines of an attempt that are kept as evidence.
const MAX_REMEMBERED: usize = 256;

/// Bounds in bytes; small in tests.
#[derive(Debug, Clone, Copy)]
struct Limits {
    /// A longer line counts as progress without being classified. Lines of other kinds are short, and an
    /// endless line cannot be withheld.
    line: usize,
    /// The length of the queue. If it grows longer, the attempt has written too much to be discarded.
    queue: usize,
}

pub struct Lines {
    classify: fn(&[u8]) -> Line,
    limits: Limits,
    hold: bool,
    /// Whether the reader has seen an opening, of any attempt.
    opened: bool,
    /// Whether the last line written has no newline. The first line of the next attempt would be joined to
    /// it.
    unterminated: bool,
    /// The withheld lines, in order.
    queue: Vec<(Line, Vec<u8>)>,
    /// The sum of the lengths in the queue.
    queued: usize,
    attempt: Attempt,
}

/// The state that belongs to one attempt.
// The booleans are independent facts.
#[allow(clippy::struct_excessive_bools)]
#[derive(Default)]
struct Attempt {
    /// Whether the reader has seen an opening of an earlier attempt.
    is_continuation: bool,
    progressed: bool,
    /// Whether lines are no longer withheld.
    passing: bool,
    in_long_line: bool,
    /// How many of the bytes that will be passed again are known to contain no newline.
    searched: usize,
    seen: Seen,
}

impl Attempt {
    /// Records that the conversation has progressed.
    fn progress(&mut self) {
        self.progressed = true;
        self.seen.forget_failures();
    }
}

/// What to do with a line.
enum Action {
    Pass,
    Queue(Line),
    Drop,
}

impl Lines {
    pub fn new(classify: fn(&[u8]) -> Line) -> Self {
        Self {
            classify,
            limits: Limits { line: MAX_HELD, queue: MAX_HELD },
            hold: true,
            opened: false,
            unterminated: false,
            queue: Vec::new(),
            queued: 0,
            attempt: Attempt::default(),
        }
    }

    /// Decides what to do with a line, which is passed without its newline.
    fn decide(&mut self, line: &[u8]) -> Action {
        let is_long = line.len() > self.limits.line;
        let kind = if is_long { Line::Progress } else { (self.classify)(line) };
        if matches!(kind, Line::Progress | Line::Sum) {
            self.attempt.progress();
        }
        if kind == Line::Progress {
            return Action::Pass;
        }
        self.attempt.seen.push(kind, line);
        if kind == Line::Sum {
            return Action::Pass;
        }
        if kind == Line::Opening && self.attempt.is_continuation {
            return Action::Drop;
        }
        self.attempt.passing |= !self.hold;
        let passes = match kind {
            _ if self.attempt.passing => true,
            Line::Opening => self.attempt.progressed && self.queue.is_empty(),
            Line::Neutral => self.queue.is_empty(),
            Line::Failure | Line::Sum | Line::Progress => false,
        };
        self.opened |= passes && kind == Line::Opening;
        if passes { Action::Pass } else { Action::Queue(kind) }
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

    /// Writes the withheld lines.
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
        if mem::replace(&mut self.unterminated, *last != b'\n') {
            out(b"\n")?;
        }
        out(bytes)
    }

    /// Returns how many bytes belong to a long line whose beginning has already been written.
    fn skip_long_line(&mut self, bytes: &[u8]) -> usize {
        if !self.attempt.in_long_line || bytes.is_empty() {
            return 0;
        }
        self.unterminated = false;
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

    /// Adjacent lines that pass are written together: `bytes[passed..at]` passes and has not been written
    /// yet. While lines are queued it is empty.
    fn feed(&mut self, bytes: &[u8], out: Out<'_>) -> io::Result<usize> {
        let mut passed = 0;
        let mut at = self.skip_long_line(bytes);
        let search = at.max(self.attempt.searched);
        for newline in memchr_iter(b'\n', &bytes[search..]) {
            let end = search + newline + 1;
            let action = self.decide(&bytes[at..end - 1]);
            if !matches!(action, Action::Pass) {
                self.write(&bytes[passed..at], out)?;
                passed = end;
            } else if !self.queue.is_empty() {
                self.flush(out)?;
            }
            if let Action::Queue(kind) = action {
                self.withhold(kind, &bytes[at..end], out)?;
            }
            at = end;
        }
        self.write(&bytes[passed..at], out)?;
        if bytes.len() - at > self.limits.line {
            self.attempt.progress();
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
        match self.decide(rest) {
            Action::Pass => {
                self.flush(out)?;
                self.write(rest, out)
            }
            Action::Queue(kind) => self.withhold(kind, rest, out),
            Action::Drop => Ok(()),
        }
    }

    fn release(&mut self, out: Out<'_>) -> io::Result<()> {
        self.attempt.passing = true;
        self.flush(out)
    }

    fn withheld(&self) -> Vec<u8> {
        let separator = if self.unterminated && !self.queue.is_empty() { &b"\n"[..] } else { b"" };
        [separator]
            .into_iter()
            .chain(self.queue.iter().map(|(_, line)| line.as_slice()))
            .flatten()
            .copied()
            .collect()
    }

    /// Keeps withheld notices if the reader's stream has begun: they come before the output of the next
    /// attempt. A stream that has not begun starts without them.
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

/// The latest lines other than progress, as evidence.
#[derive(Default)]
struct Seen {
    lines: VecDeque<(Line, Vec<u8>)>,
    /// The sum of the lengths of the lines.
    length: usize,
    /// Whether a failure is among them.
    failed: bool,
}

impl Seen {
    fn push(&mut self, kind: Line, line: &[u8]) {
        self.failed |= kind == Line::Failure;
        self.length += line.len();
        let mut copy = Vec::new();
        while self.lines.len() >= MAX_REMEMBERED || self.length > MAX_HELD {
            let Some((_, oldest)) = self.lines.pop_front() else { break };
            self.length -= oldest.len();
            // Its memory is reused, because a stream may consist only of notices.
            copy = oldest;
        }
        copy.clear();
        copy.extend_from_slice(line);
        self.lines.push_back((kind, copy));
    }

    /// Drops the failures: an error that the conversation has recovered from is no evidence of how it ended.
    fn forget_failures(&mut self) {
        if mem::take(&mut self.failed) {
            self.lines.retain(|(kind, _)| *kind != Line::Failure);
            self.length = self.lines.iter().map(|(_, line)| line.len()).sum();
        }
    }
}

#[cfg(test)]
mod tests;
