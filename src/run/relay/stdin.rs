//! What the agent reads. A pipe can be read only once, so kage reads it, keeps what it read and gives it to
//! each attempt; anything else the agent reads itself.
//!
//! No attempt waits for another's thread. All that the threads share is behind one lock, which a thread holds
//! until its agent has ended: one that is stuck in a read gives what it gets to the spool, where the next
//! attempt finds it.

use std::fs::File;
use std::io::{self, PipeWriter, Seek as _, SeekFrom};
use std::os::fd::AsFd as _;
use std::os::unix::fs::FileTypeExt as _;
use std::process::Stdio;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;

use rustix::event::{PollFd, PollFlags, poll};
use rustix::fs::{OFlags, fcntl_getfl};
use rustix::io::{Errno, ioctl_fionbio, read, write};

use super::Stream;
use super::pump::End;
use super::spool::Spool;

/// How much is read ahead of the agent, in bytes, beside what its pipe holds.
const BLOCK: usize = 64 << 10;

/// kage's own standard input.
pub(super) struct Source {
    stream: Stream,
    kind: Kind,
}

enum Kind {
    /// A terminal, a device, or nothing that can be read: the agent's as it is kage's.
    Own,
    /// A file, with where it stood when the run began.
    File(u64),
    /// A pipe or a socket.
    Copied(Arc<Copied>),
}

impl Source {
    pub(super) fn new(stream: Stream) -> Self {
        let kind = Kind::of(&stream).unwrap_or(Kind::Own);
        Self { stream, kind }
    }

    /// What the next attempt gets. With `keep` another one may follow.
    pub(super) fn connect(&self, end: &Arc<End>, keep: bool) -> io::Result<Stdio> {
        match &self.kind {
            // With nothing to come after, nothing stands between; and what the agent leaves is the next one's.
            Kind::Copied(copied) if !keep && copied.is_untouched() => Ok(file_of(&self.stream)?.into()),
            Kind::Copied(copied) => feed(copied, end, keep),
            Kind::File(start) => {
                let mut file = file_of(&self.stream)?;
                file.seek(SeekFrom::Start(*start))?;
                Ok(file.into())
            }
            Kind::Own => Ok(file_of(&self.stream)?.into()),
        }
    }

    /// Whether another attempt would get all that the first got.
    pub(super) fn can_replay(&self) -> bool {
        match &self.kind {
            Kind::Copied(copied) => copied.is_whole.load(Ordering::SeqCst),
            Kind::File(_) | Kind::Own => true,
        }
    }
}

impl Kind {
    fn of(stream: &Stream) -> io::Result<Self> {
        let mut file = file_of(stream)?;
        let kind = file.metadata()?.file_type();
        // Under `nohup` standard input is open for writing only.
        let is_readable = fcntl_getfl(&file)? & OFlags::RWMODE != OFlags::WRONLY;
        Ok(if kind.is_file() {
            Self::File(file.stream_position()?)
        } else if is_readable && (kind.is_fifo() || kind.is_socket()) {
            Self::Copied(Arc::new(Copied {
                stream: Arc::clone(stream),
                is_whole: AtomicBool::new(true),
                was_given: AtomicBool::new(false),
                tape: Mutex::new(Tape { spool: Spool::new(), is_at_end: false }),
            }))
        } else {
            Self::Own
        })
    }
}

/// The stream under a number of its own; where it stands is shared.
fn file_of(stream: &Stream) -> io::Result<File> {
    stream.as_fd().try_clone_to_owned().map(File::from)
}

/// What the threads of a run share.
struct Copied {
    stream: Stream,
    /// Whether the spool has all that was read.
    is_whole: AtomicBool,
    /// Whether an attempt reads it, or has.
    was_given: AtomicBool,
    tape: Mutex<Tape>,
}

impl Copied {
    /// Whether no attempt has had any of it. If so, the one that is to have it will be the only one.
    fn is_untouched(&self) -> bool {
        !self.was_given.load(Ordering::SeqCst) && self.is_whole.swap(false, Ordering::SeqCst)
    }
}

struct Tape {
    spool: Spool,
    /// Nothing more will come. A FIFO could find another writer, who did not mean this run.
    is_at_end: bool,
}

/// Starts the thread of one attempt. Nobody waits for it: it may be in a read that never returns.
fn feed(copied: &Arc<Copied>, end: &Arc<End>, keep: bool) -> io::Result<Stdio> {
    copied.was_given.store(true, Ordering::SeqCst);
    let (reader, agent) = io::pipe()?;
    // So that an agent that does not read cannot hold the thread when it has ended, though its own children
    // keep the pipe. Its end of the pipe stays as it is.
    ioctl_fionbio(&agent, true)?;
    let feeder = Feeder { copied: Arc::clone(copied), end: Arc::clone(end), agent, keep };
    thread::Builder::new().spawn(move || feeder.run())?;
    Ok(reader.into())
}

struct Feeder {
    copied: Arc<Copied>,
    end: Arc<End>,
    /// Closed with the thread, which is how the agent sees the end.
    agent: PipeWriter,
    keep: bool,
}

/// The agent has ended, or reads no more.
struct Stopped;

impl Feeder {
    fn run(self) {
        let mut tape = self.copied.tape.lock().unwrap_or_else(PoisonError::into_inner);
        let mut buffer = vec![0; BLOCK];
        // Half a prompt may ask for something else than the whole: then rather none.
        if self.copied.is_whole.load(Ordering::SeqCst) && self.replay(&mut tape, &mut buffer).is_ok() {
            let _ = self.go_on(&mut tape, &mut buffer);
        }
    }

    /// What earlier attempts were given.
    fn replay(&self, tape: &mut Tape, buffer: &mut [u8]) -> Result<(), Stopped> {
        let mut place = 0;
        loop {
            let length = tape.spool.read_at(place, buffer).map_err(|_| Stopped)?;
            if length == 0 {
                return Ok(());
            }
            self.give(&buffer[..length])?;
            place += length as u64;
        }
    }

    fn go_on(&self, tape: &mut Tape, buffer: &mut [u8]) -> Result<(), Stopped> {
        while !tape.is_at_end {
            self.wait_for_more()?;
            let length = match read(self.copied.stream.as_fd(), &mut *buffer) {
                Err(Errno::INTR | Errno::AGAIN) => continue,
                // An error is no end that another attempt should take for one; but nothing follows it.
                read => read.unwrap_or(0),
            };
            tape.is_at_end = length == 0;
            self.remember(tape, &buffer[..length]);
            self.give(&buffer[..length])?;
        }
        Ok(())
    }

    /// Without room for it, this attempt goes on as if nothing were; another cannot have it.
    fn remember(&self, tape: &mut Tape, bytes: &[u8]) {
        let whole = &self.copied.is_whole;
        if bytes.is_empty() || !whole.load(Ordering::SeqCst) {
            return;
        }
        if !self.keep || tape.spool.append(bytes).is_err() {
            whole.store(false, Ordering::SeqCst);
            tape.spool = Spool::new();
        }
    }

    /// Sleeps until there is something to read. Not read at all is what nobody is there to take.
    fn wait_for_more(&self) -> Result<(), Stopped> {
        let stream = self.copied.stream.as_fd();
        self.wait(&mut [PollFd::new(&stream, PollFlags::IN)])
    }

    fn give(&self, mut bytes: &[u8]) -> Result<(), Stopped> {
        while !bytes.is_empty() {
            match write(&self.agent, bytes) {
                Ok(length) => bytes = &bytes[length..],
                Err(Errno::INTR) => {}
                Err(Errno::AGAIN) => self.wait_for_room()?,
                // The agent has closed its input, which is its right.
                Err(_) => return Err(Stopped),
            }
        }
        Ok(())
    }

    fn wait_for_room(&self) -> Result<(), Stopped> {
        self.wait(&mut [PollFd::new(&self.agent, PollFlags::OUT)])
    }

    fn wait<'a>(&'a self, awaited: &mut [PollFd<'a>; 1]) -> Result<(), Stopped> {
        let bell = self.end.bell();
        let [awaited] = awaited;
        loop {
            // Of the agent's pipe only the loss of its reader is asked for, which `poll` always tells.
            let agent = PollFd::new(&self.agent, PollFlags::empty());
            let mut watched = [awaited.clone(), PollFd::new(&bell, PollFlags::IN), agent];
            match poll(&mut watched, None) {
                Ok(_) if watched[1..].iter().any(|other| !other.revents().is_empty()) => return Err(Stopped),
                Ok(_) => return Ok(()),
                Err(Errno::INTR) => {}
                Err(_) => return Err(Stopped),
            }
        }
    }
}
