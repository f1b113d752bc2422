//! The threads that copy an attempt's output while the main thread waits for the agent. They block in reads
//! and writes without a time limit. A read ends only after the agent has ended and the grace period is over.

use std::io::{self, PipeReader, PipeWriter};
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, poll};
use rustix::io::{Errno, ioctl_fionbio, ioctl_fionread, read, write};
use rustix::process::{getpid, kill_process};

use super::hold::{Hold, MAX_HELD};
use crate::run::signals::{WAKE, time_left};

/// One of kage's own streams, or its replacement in a test.
pub(in crate::run) type Stream = Arc<dyn AsFd + Send + Sync>;

/// How long kage keeps reading after the agent has ended, as its children may still write. They may keep the
/// pipes open for days.
const GRACE: Duration = Duration::from_secs(2);

/// The maximum length of one read, in bytes.
const BLOCK: usize = 256 << 10;

/// How much of the end of standard error is kept, in bytes.
const TAIL: usize = 64 << 10;

/// Signals the end of the agent to threads that sleep in `poll`.
pub(super) struct AgentEnd {
    /// When the grace period is over; set at the agent's end.
    grace_until: OnceLock<Instant>,
    /// Hangs up at the agent's end, which wakes the threads that poll it.
    hangup: PipeReader,
}

/// The other side of `AgentEnd`, which the main thread holds.
pub(super) struct EndNotifier {
    end: Arc<AgentEnd>,
    /// When it is closed, `AgentEnd::hangup` hangs up.
    _writer: PipeWriter,
}

impl AgentEnd {
    pub(super) fn new() -> io::Result<(Arc<Self>, EndNotifier)> {
        let (hangup, writer) = io::pipe()?;
        let end = Arc::new(Self { grace_until: OnceLock::new(), hangup });
        Ok((Arc::clone(&end), EndNotifier { end, _writer: writer }))
    }

    pub(super) fn hangup(&self) -> BorrowedFd<'_> {
        self.hangup.as_fd()
    }

    fn is_grace_over(&self) -> bool {
        self.grace_until.get().is_some_and(|&until| until <= Instant::now())
    }

    /// Sleeps until the pipe is readable, the agent has ended, or the grace period is over.
    fn wait_for(&self, pipe: &PipeReader) {
        let pipe = PollFd::new(pipe, PollFlags::IN);
        let _ = match self.grace_until.get() {
            None => poll(&mut [pipe, PollFd::new(&self.hangup, PollFlags::IN)], None),
            // After the hangup, polling it would return immediately each time.
            Some(&until) => poll(&mut [pipe], Some(&time_left(until))),
        };
    }
}

impl EndNotifier {
    /// Notifies the threads that the agent has ended.
    pub(super) fn notify(self) {
        // Set before the writer is closed, so that the threads find it when they wake.
        let _ = self.end.grace_until.set(Instant::now() + GRACE);
    }
}

/// The reading end of a pipe to which the agent writes.
pub(super) struct OutputPipe {
    pipe: PipeReader,
    end: Arc<AgentEnd>,
    /// How much must still be read, in bytes; `None` until the grace period is over.
    left: Option<usize>,
}

impl OutputPipe {
    /// Makes only this end of the pipe non-blocking: the agent's end is a separate file description.
    pub(super) fn new(pipe: PipeReader, end: &Arc<AgentEnd>) -> io::Result<Self> {
        ioctl_fionbio(&pipe, true)?;
        Ok(Self { pipe, end: Arc::clone(end), left: None })
    }

    /// Reads and returns how much was read; 0 at the end. Even if kage's reader is slow, everything that is
    /// in the pipe at the end of the grace period is still read, which includes all that the agent itself
    /// wrote. Later output is not read, so that a child of the agent that writes endlessly does not block
    /// kage.
    fn read(&mut self, buffer: &mut [u8]) -> usize {
        loop {
            if self.left.is_none() && self.end.is_grace_over() {
                let held = ioctl_fionread(&self.pipe).unwrap_or(0);
                self.left = Some(usize::try_from(held).unwrap_or(usize::MAX));
            }
            let most = self.left.map_or(buffer.len(), |left| left.min(buffer.len()));
            match read(&self.pipe, &mut buffer[..most]) {
                Ok(length) => {
                    self.left = self.left.map(|left| left - length);
                    return length;
                }
                Err(Errno::INTR) => {}
                Err(Errno::AGAIN) => self.end.wait_for(&self.pipe),
                Err(_) => return 0,
            }
        }
    }
}

/// Copies standard output by the rules of `hold`. If a write fails, the agent's pipe is closed immediately,
/// so that the agent's next write fails as it would without kage.
pub(super) fn output(mut pipe: OutputPipe, hold: &mut dyn Hold, to: &Stream) -> io::Result<()> {
    let out = &mut |bytes: &[u8]| write_all(to.as_fd(), bytes);
    let mut buffer = vec![0; MAX_HELD + BLOCK];
    let mut filled = 0;
    loop {
        let length = pipe.read(&mut buffer[filled..filled + BLOCK]);
        if length == 0 {
            return hold.finish(&buffer[..filled], out);
        }
        filled += length;
        let done = hold.feed(&buffer[..filled], out)?;
        buffer.copy_within(done..filled, 0);
        filled -= done;
    }
}

/// Looks for a line of standard error after which the agent is ended.
pub(super) struct LineFinder {
    ends: fn(&[u8]) -> bool,
    must_end: Arc<AtomicBool>,
    /// The beginning of a line whose end has not been read.
    begun: Vec<u8>,
}

impl LineFinder {
    pub(super) fn new(ends: fn(&[u8]) -> bool, must_end: &Arc<AtomicBool>) -> Self {
        Self { ends, must_end: Arc::clone(must_end), begun: Vec::new() }
    }

    /// Reads more output. Wakes the main thread after the line.
    fn feed(&mut self, mut bytes: &[u8]) {
        while let Some(at) = bytes.iter().position(|&byte| byte == b'\n') {
            self.begun.extend_from_slice(&bytes[..at]);
            if (self.ends)(&self.begun) {
                self.must_end.store(true, Ordering::SeqCst);
                let _ = kill_process(getpid(), WAKE);
            }
            self.begun.clear();
            bytes = &bytes[at + 1..];
        }
        // Of a longer line, a part is dropped: it is not the agent's notice.
        if self.begun.len() + bytes.len() <= TAIL {
            self.begun.extend_from_slice(bytes);
        }
    }
}

/// Copies standard error as it arrives and returns its last bytes.
pub(super) fn errors(mut pipe: OutputPipe, to: &Stream, mut finder: Option<LineFinder>) -> Vec<u8> {
    let mut buffer = vec![0; TAIL];
    let mut tail = Vec::new();
    loop {
        let length = pipe.read(&mut buffer);
        tail.extend_from_slice(&buffer[..length]);
        if let Some(finder) = &mut finder {
            finder.feed(&buffer[..length]);
        }
        // Not after each read, because `drain` moves the rest.
        if tail.len() > 8 * TAIL {
            tail.drain(..tail.len() - TAIL);
        }
        if length == 0 || write_all(to.as_fd(), &buffer[..length]).is_err() {
            return tail.split_off(tail.len().saturating_sub(TAIL));
        }
    }
}

/// Writes all bytes, even if another process that shares the stream has made it non-blocking.
pub(super) fn write_all(to: BorrowedFd<'_>, mut bytes: &[u8]) -> io::Result<()> {
    while !bytes.is_empty() {
        match write(to, bytes) {
            Ok(length) => bytes = &bytes[length..],
            Err(Errno::INTR) => {}
            Err(Errno::AGAIN) => {
                let _ = poll(&mut [PollFd::new(&to, PollFlags::OUT)], None);
            }
            Err(why) => return Err(why.into()),
        }
    }
    Ok(())
}
