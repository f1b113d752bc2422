//! A connection to a message bus on a socket of this machine. When it is dropped, it is closed and the
//! received bytes are wiped. Every wait ends at the deadline. Source: D-Bus Specification, "Authentication
//! Protocol".

use std::os::fd::OwnedFd;
use std::time::Instant;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::{Errno, read};
use rustix::net::{self, AddressFamily, SendFlags, SocketFlags, SocketType, sockopt};
use rustix::process::geteuid;
use zeroize::Zeroizing;

use super::address::Address;
use super::message::{self, Answer, HEAD};

/// Why the plain session returned no secret.
#[derive(Debug, PartialEq, Eq)]
pub(in crate::credentials) enum Miss {
    /// The separate process may find it, or can report why not.
    Elsewhere,
    /// The deadline has passed; the separate process would get no answer either.
    Late,
    /// The stored value is not a secret; the reason, as a clause about it.
    Unusable(&'static str),
}

impl From<Errno> for Miss {
    fn from(_: Errno) -> Self {
        Self::Elsewhere
    }
}

/// The initial buffer, in bytes. Only a secret of several kilobytes needs more.
const ROOM: usize = 2048;
/// The longest line of the authentication, in bytes.
const LONGEST_LINE: usize = 256;

/// The connection and the received bytes.
pub(super) struct Bus {
    socket: OwnedFd,
    until: Instant,
    guid: Option<String>,
    received: Zeroizing<Vec<u8>>,
    /// Bytes before `begin` have been read; bytes from `end` on have not been received.
    begin: usize,
    end: usize,
}

/// The first bytes of a client. Messages may follow in the same write.
pub(super) fn greeting() -> Vec<u8> {
    // The ASCII digits in hexadecimal: `0` is 30, `9` is 39.
    let user: String = geteuid().as_raw().to_string().chars().flat_map(|digit| ['3', digit]).collect();
    format!("\0AUTH EXTERNAL {user}\r\nBEGIN\r\n").into_bytes()
}

impl Bus {
    /// Connects to the first address that accepts a connection.
    pub(super) fn connect(addresses: Vec<Address>, until: Instant) -> Result<Self, Miss> {
        for Address { socket: address, guid } in addresses {
            // A blocking socket would wait forever for a bus that no longer accepts connections.
            let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
            let socket = net::socket_with(AddressFamily::UNIX, SocketType::STREAM, flags, None)?;
            match net::connect(&socket, &address) {
                Ok(()) => {}
                Err(Errno::AGAIN) => return Err(Miss::Elsewhere),
                Err(_) => continue,
            }
            // Another user's bus would see the secret.
            let peer = sockopt::socket_peercred(&socket)?.uid;
            if peer != geteuid() && !peer.is_root() {
                return Err(Miss::Elsewhere);
            }
            return Ok(Self { socket, until, guid, received: room(ROOM), begin: 0, end: 0 });
        }
        Err(Miss::Elsewhere)
    }

    pub(super) fn send(&mut self, mut bytes: &[u8]) -> Result<(), Miss> {
        while !bytes.is_empty() {
            match net::send(&self.socket, bytes, SendFlags::NOSIGNAL) {
                Ok(sent) => bytes = &bytes[sent..],
                Err(Errno::AGAIN) => self.wait(PollFlags::OUT)?,
                Err(Errno::INTR) => {}
                Err(_) => return Err(Miss::Elsewhere),
            }
        }
        Ok(())
    }

    /// Reads the reply to the greeting.
    pub(super) fn accepted(&mut self) -> Result<(), Miss> {
        let mut length = 0;
        while !self.received[..length].ends_with(b"\r\n") {
            length += 1;
            if length > LONGEST_LINE {
                return Err(Miss::Elsewhere);
            }
            self.fill(length)?;
        }
        let line = str::from_utf8(&self.received[..length]).ok();
        let id = line.and_then(|line| line.strip_prefix("OK ")).map(str::trim_end).ok_or(Miss::Elsewhere)?;
        // Another bus may have replaced the intended one.
        if self.guid.as_ref().is_some_and(|guid| !guid.eq_ignore_ascii_case(id)) {
            return Err(Miss::Elsewhere);
        }
        self.begin = length;
        Ok(())
    }

    /// Returns the next message. A failed call is an error.
    pub(super) fn answer(&mut self) -> Result<Answer<'_>, Miss> {
        self.fill(HEAD)?;
        let size = message::size_of(&self.received[self.begin..]).ok_or(Miss::Elsewhere)?;
        self.fill(size)?;
        let message = &self.received[self.begin..self.begin + size];
        self.begin += size;
        Answer::read(message).ok_or(Miss::Elsewhere)
    }

    /// Reads until this many bytes are available.
    fn fill(&mut self, length: usize) -> Result<(), Miss> {
        if self.begin + length > self.received.len() {
            // A new vector, because one that grows leaves its old bytes unwiped.
            let mut wider = room(length.max(ROOM));
            wider[..self.end - self.begin].copy_from_slice(&self.received[self.begin..self.end]);
            (self.received, self.end, self.begin) = (wider, self.end - self.begin, 0);
        }
        while self.end < self.begin + length {
            // A bus that never stops sending must not block kage either.
            if Instant::now() >= self.until {
                return Err(Miss::Late);
            }
            match read(&self.socket, &mut self.received[self.end..]) {
                Ok(0) => return Err(Miss::Elsewhere),
                Ok(count) => self.end += count,
                Err(Errno::AGAIN) => self.wait(PollFlags::IN)?,
                Err(Errno::INTR) => {}
                Err(_) => return Err(Miss::Elsewhere),
            }
        }
        Ok(())
    }

    fn wait(&self, what: PollFlags) -> Result<(), Miss> {
        let left = self.until.saturating_duration_since(Instant::now());
        let left = Timespec::try_from(left).map_err(|_| Miss::Elsewhere)?;
        match poll(&mut [PollFd::new(&self.socket, what)], Some(&left)) {
            Ok(0) => Err(Miss::Late),
            Ok(_) | Err(Errno::INTR) => Ok(()),
            Err(_) => Err(Miss::Elsewhere),
        }
    }
}

fn room(length: usize) -> Zeroizing<Vec<u8>> {
    Zeroizing::new(vec![0; length])
}
