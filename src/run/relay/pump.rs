//! The threads that copy an attempt's output while the main thread waits for the agent. They block in reads
//! and writes for as long as it takes; only the end of the agent, and then the grace, stop a read.

use std::io::{self, PipeReader, PipeWriter};
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, poll};
use rustix::io::{Errno, ioctl_fionbio, ioctl_fionread, read, write};

use super::hold::{Hold, MOST};
use crate::run::signals::time_left;

/// One of kage's own streams, or what stands for it in a test.
pub(in crate::run) type Stream = Arc<dyn AsFd + Send + Sync>;

/// How long after the agent's end kage waits for what the agent's own children still write. They may keep
/// the pipes open for days.
const GRACE: Duration = Duration::from_secs(2);

/// The most that is read at once, in bytes.
const BLOCK: usize = 256 << 10;

/// How much of standard error is kept, in bytes.
const TAIL: usize = 64 << 10;

/// The end of the agent, for threads that sleep in `poll`.
pub(super) struct End {
    grace_is_over: OnceLock<Instant>,
    /// Hangs up at the agent's end, and wakes whoever watches it.
    bell: PipeReader,
}

/// The other side of `End`, which the main thread holds.
pub(super) struct EndTeller {
    end: Arc<End>,
    /// Its closing rings the bell.
    _rope: PipeWriter,
}

impl End {
    pub(super) fn new() -> io::Result<(Arc<Self>, EndTeller)> {
        let (bell, rope) = io::pipe()?;
        let end = Arc::new(Self { grace_is_over: OnceLock::new(), bell });
        Ok((Arc::clone(&end), EndTeller { end, _rope: rope }))
    }

    pub(super) fn bell(&self) -> BorrowedFd<'_> {
        self.bell.as_fd()
    }

    fn grace_is_over(&self) -> bool {
        self.grace_is_over.get().is_some_and(|&moment| moment <= Instant::now())
    }

    /// Sleeps until the pipe may be read, the agent has ended, or the grace is over.
    fn wait_for(&self, pipe: &PipeReader) {
        let pipe = PollFd::new(pipe, PollFlags::IN);
        let _ = match self.grace_is_over.get() {
            None => poll(&mut [pipe, PollFd::new(&self.bell, PollFlags::IN)], None),
            // The bell would not stop ringing.
            Some(&moment) => poll(&mut [pipe], Some(&time_left(moment))),
        };
    }
}

impl EndTeller {
    /// The agent has ended.
    pub(super) fn tell(self) {
        // Before the rope goes, so that who wakes finds it.
        let _ = self.end.grace_is_over.set(Instant::now() + GRACE);
    }
}

/// The agent's output as a thread reads it.
pub(super) struct Tap {
    pipe: PipeReader,
    end: Arc<End>,
    /// After the grace: how much is still to be read, in bytes.
    owed: Option<usize>,
}

impl Tap {
    /// Only this end of the pipe is made non-blocking: the agent's end is a file description of its own.
    pub(super) fn new(pipe: PipeReader, end: &Arc<End>) -> io::Result<Self> {
        ioctl_fionbio(&pipe, true)?;
        Ok(Self { pipe, end: Arc::clone(end), owed: None })
    }

    /// How much was read; 0 at the end. However slow the reader behind kage is, what the pipe holds when the
    /// grace is over is still read: with it all that the agent itself wrote. It is no more than a pipe
    /// holds, so that a grandchild that writes without end is left behind.
    fn read(&mut self, buffer: &mut [u8]) -> usize {
        loop {
            if self.owed.is_none() && self.end.grace_is_over() {
                let held = ioctl_fionread(&self.pipe).unwrap_or(0);
                self.owed = Some(usize::try_from(held).unwrap_or(usize::MAX));
            }
            let most = self.owed.map_or(buffer.len(), |owed| owed.min(buffer.len()));
            match read(&self.pipe, &mut buffer[..most]) {
                Ok(length) => {
                    self.owed = self.owed.map(|owed| owed - length);
                    return length;
                }
                Err(Errno::INTR) => {}
                Err(Errno::AGAIN) => self.end.wait_for(&self.pipe),
                Err(_) => return 0,
            }
        }
    }
}

/// Copies standard output under the rules of `hold`. With a write that fails, the agent's pipe is closed at
/// once: the agent's next write fails as it would have failed without kage.
pub(super) fn output(mut tap: Tap, hold: &mut dyn Hold, to: &Stream) -> io::Result<()> {
    let out = &mut |bytes: &[u8]| write_all(to.as_fd(), bytes);
    let mut buffer = vec![0; MOST + BLOCK];
    let mut filled = 0;
    loop {
        let length = tap.read(&mut buffer[filled..filled + BLOCK]);
        if length == 0 {
            return hold.finish(&buffer[..filled], out);
        }
        filled += length;
        let dealt_with = hold.feed(&buffer[..filled], out)?;
        buffer.copy_within(dealt_with..filled, 0);
        filled -= dealt_with;
    }
}

/// Copies standard error as it comes; the answer is its end.
pub(super) fn errors(mut tap: Tap, to: &Stream) -> Vec<u8> {
    let mut buffer = vec![0; TAIL];
    let mut tail = Vec::new();
    loop {
        let length = tap.read(&mut buffer);
        tail.extend_from_slice(&buffer[..length]);
        // Seldom, since what is kept moves.
        if tail.len() > 8 * TAIL {
            tail.drain(..tail.len() - TAIL);
        }
        if length == 0 || write_all(to.as_fd(), &buffer[..length]).is_err() {
            return tail.split_off(tail.len().saturating_sub(TAIL));
        }
    }
}

/// Writes all, also where whoever shares the stream with kage has made it non-blocking.
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
