//! The agent's standard input. A pipe can be read only once, so kage reads it, keeps what it has read and
//! passes it to each attempt. Any other input is read by the agent itself.
//!
//! No attempt waits for another attempt's thread to end. The recording that the threads share is protected by
//! one lock, which a thread holds until its agent has ended. When a blocked read of an earlier attempt
//! returns, its thread adds the input to the spool, where the next attempt finds it.

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
use super::pump::AgentEnd;
use super::spool::Spool;

/// How much is read ahead of the agent, in bytes, in addition to what its pipe holds.
const BLOCK: usize = 64 << 10;

/// kage's own standard input.
pub(super) struct Source {
    stream: Stream,
    kind: Kind,
}

enum Kind {
    /// A terminal, a device, or a stream that cannot be read: the agent inherits it.
    Inherited,
    /// A file, with its position when the run began.
    File(u64),
    /// A pipe or a socket.
    Copied(Arc<CopiedInput>),
}

impl Source {
    pub(super) fn new(stream: Stream) -> Self {
        let kind = Kind::of(&stream).unwrap_or(Kind::Inherited);
        Self { stream, kind }
    }

    /// Returns the standard input of the next attempt. `keep`: whether another attempt may follow it.
    pub(super) fn connect(&self, end: &Arc<AgentEnd>, keep: bool) -> io::Result<Stdio> {
        match &self.kind {
            // No attempt can follow, so the agent reads the pipe directly. What it does not read is left for
            // the next program that reads the pipe.
            Kind::Copied(copied) if !keep && copied.claim_untouched() => Ok(file_of(&self.stream)?.into()),
            Kind::Copied(copied) => feed(copied, end, keep),
            Kind::File(start) => {
                let mut file = file_of(&self.stream)?;
                file.seek(SeekFrom::Start(*start))?;
                Ok(file.into())
            }
            Kind::Inherited => Ok(file_of(&self.stream)?.into()),
        }
    }

    /// Whether another attempt would get all the input that the first one got.
    pub(super) fn can_replay(&self) -> bool {
        match &self.kind {
            Kind::Copied(copied) => copied.is_whole.load(Ordering::SeqCst),
            Kind::File(_) | Kind::Inherited => true,
        }
    }
}

impl Kind {
    fn of(stream: &Stream) -> io::Result<Self> {
        let mut file = file_of(stream)?;
        let kind = file.metadata()?.file_type();
        // `nohup` opens standard input for writing only.
        let is_readable = fcntl_getfl(&file)? & OFlags::RWMODE != OFlags::WRONLY;
        Ok(if kind.is_file() {
            Self::File(file.stream_position()?)
        } else if is_readable && (kind.is_fifo() || kind.is_socket()) {
            Self::Copied(Arc::new(CopiedInput {
                stream: Arc::clone(stream),
                is_whole: AtomicBool::new(true),
                was_given: AtomicBool::new(false),
                recording: Mutex::new(Recording { spool: Spool::new(), is_at_end: false }),
            }))
        } else {
            Self::Inherited
        })
    }
}

/// Duplicates the stream under its own descriptor. The position in the file is shared.
fn file_of(stream: &Stream) -> io::Result<File> {
    stream.as_fd().try_clone_to_owned().map(File::from)
}

/// The input that the threads of a run share.
struct CopiedInput {
    stream: Stream,
    /// Whether the spool has all the input that was read.
    is_whole: AtomicBool,
    /// Whether an attempt reads the input or has read it.
    was_given: AtomicBool,
    recording: Mutex<Recording>,
}

impl CopiedInput {
    /// Whether no attempt has read any of the input. If so, it is marked as not replayable: the attempt that
    /// gets it next will be the only one.
    fn claim_untouched(&self) -> bool {
        !self.was_given.load(Ordering::SeqCst) && self.is_whole.swap(false, Ordering::SeqCst)
    }
}

struct Recording {
    spool: Spool,
    /// Whether the end was read. Nothing is read after it: a FIFO could get another writer, whose data is not
    /// for this run.
    is_at_end: bool,
}

/// Starts the thread of one attempt. No thread joins it: it may be in a read that never returns.
fn feed(copied: &Arc<CopiedInput>, end: &Arc<AgentEnd>, keep: bool) -> io::Result<Stdio> {
    copied.was_given.store(true, Ordering::SeqCst);
    let (reader, agent) = io::pipe()?;
    // Non-blocking, so that the thread does not stay in a write once its agent has ended without reading,
    // even if the agent's children keep the pipe open. The agent's end of the pipe remains blocking.
    ioctl_fionbio(&agent, true)?;
    let feeder = Feeder { copied: Arc::clone(copied), end: Arc::clone(end), agent, keep };
    thread::Builder::new().spawn(move || feeder.run())?;
    Ok(reader.into())
}

struct Feeder {
    copied: Arc<CopiedInput>,
    end: Arc<AgentEnd>,
    /// Closed when the thread ends: then the agent reads the end of the input.
    agent: PipeWriter,
    keep: bool,
}

/// The agent has ended or no longer reads.
struct Stopped;

impl Feeder {
    fn run(self) {
        let mut recording = self.copied.recording.lock().unwrap_or_else(PoisonError::into_inner);
        let mut buffer = vec![0; BLOCK];
        // If the spool is not complete, the agent gets no input: half a prompt may have another meaning than
        // the whole prompt.
        if self.copied.is_whole.load(Ordering::SeqCst) && self.replay(&mut recording, &mut buffer).is_ok() {
            let _ = self.copy_new(&mut recording, &mut buffer);
        }
    }

    /// Passes on the input that earlier attempts got.
    fn replay(&self, recording: &mut Recording, buffer: &mut [u8]) -> Result<(), Stopped> {
        let mut offset = 0;
        loop {
            let length = recording.spool.read_at(offset, buffer).map_err(|_| Stopped)?;
            if length == 0 {
                return Ok(());
            }
            self.write(&buffer[..length])?;
            offset += length as u64;
        }
    }

    /// Passes on new input until its end.
    fn copy_new(&self, recording: &mut Recording, buffer: &mut [u8]) -> Result<(), Stopped> {
        while !recording.is_at_end {
            self.wait_for_more()?;
            let length = match read(self.copied.stream.as_fd(), &mut *buffer) {
                Err(Errno::INTR | Errno::AGAIN) => continue,
                // After an error no input can follow, so it is treated as the end of the input.
                read => read.unwrap_or(0),
            };
            recording.is_at_end = length == 0;
            self.record(recording, &buffer[..length]);
            self.write(&buffer[..length])?;
        }
        Ok(())
    }

    /// Adds input to the spool. If there is no room, this attempt continues unchanged, but the input cannot
    /// be replayed.
    fn record(&self, recording: &mut Recording, bytes: &[u8]) {
        let whole = &self.copied.is_whole;
        if bytes.is_empty() || !whole.load(Ordering::SeqCst) {
            return;
        }
        if !self.keep || recording.spool.append(bytes).is_err() {
            whole.store(false, Ordering::SeqCst);
            recording.spool = Spool::new();
        }
    }

    /// Sleeps until there is something to read. Nothing is read if no agent is left to use it.
    fn wait_for_more(&self) -> Result<(), Stopped> {
        let stream = self.copied.stream.as_fd();
        self.wait(&mut [PollFd::new(&stream, PollFlags::IN)])
    }

    /// Writes bytes to the agent.
    fn write(&self, mut bytes: &[u8]) -> Result<(), Stopped> {
        while !bytes.is_empty() {
            match write(&self.agent, bytes) {
                Ok(length) => bytes = &bytes[length..],
                Err(Errno::INTR) => {}
                Err(Errno::AGAIN) => self.wait_for_room()?,
                // The agent has closed its input, which is not an error.
                Err(_) => return Err(Stopped),
            }
        }
        Ok(())
    }

    fn wait_for_room(&self) -> Result<(), Stopped> {
        self.wait(&mut [PollFd::new(&self.agent, PollFlags::OUT)])
    }

    fn wait<'a>(&'a self, awaited: &mut [PollFd<'a>; 1]) -> Result<(), Stopped> {
        let hangup = self.end.hangup();
        let [awaited] = awaited;
        loop {
            // The agent's pipe is polled only for the loss of its reader, which `poll` always reports.
            let agent = PollFd::new(&self.agent, PollFlags::empty());
            let mut watched = [awaited.clone(), PollFd::new(&hangup, PollFlags::IN), agent];
            match poll(&mut watched, None) {
                Ok(_) if watched[1..].iter().any(|other| !other.revents().is_empty()) => return Err(Stopped),
                Ok(_) => return Ok(()),
                Err(Errno::INTR) => {}
                Err(_) => return Err(Stopped),
            }
        }
    }
}
