//! A connection to a message bus on a socket of this machine. It is closed when dropped, and what came over it
//! is wiped. No wait goes over the deadline. Source: D-Bus Specification, "Authentication Protocol".

use std::os::fd::OwnedFd;
use std::time::Instant;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::{Errno, read};
use rustix::net::{self, AddressFamily, SendFlags, SocketFlags, SocketType, sockopt};
use rustix::process::geteuid;
use zeroize::Zeroizing;

use super::address::Address;
use super::answer::{self, Answer, HEAD};

/// Why a secret did not come this way.
#[derive(Debug, PartialEq, Eq)]
pub(in crate::credentials) enum Miss {
    /// Another way may have it, or can say why not.
    Elsewhere,
    /// The time is over; another way would get no answer either.
    Late,
    /// What is stored is no secret: why, as a clause about it.
    Unusable(&'static str),
}

impl From<Errno> for Miss {
    fn from(_: Errno) -> Self {
        Self::Elsewhere
    }
}

/// Enough for all answers but those with a secret of many kilobytes.
const ROOM: usize = 2048;
/// The line that accepts kage is shorter.
const LONGEST_LINE: usize = 256;

/// The connection, and what came over it.
pub(super) struct Bus {
    socket: OwnedFd,
    until: Instant,
    guid: Option<String>,
    received: Zeroizing<Vec<u8>>,
    /// What is before this was read, what is behind `end` has not come yet.
    begin: usize,
    end: usize,
}

/// What a client begins with; it may say more in the same breath.
pub(super) fn greeting() -> Vec<u8> {
    // The number's digits in hexadecimal: `0` is 30, `9` is 39.
    let user: String = geteuid().as_raw().to_string().chars().flat_map(|digit| ['3', digit]).collect();
    format!("\0AUTH EXTERNAL {user}\r\nBEGIN\r\n").into_bytes()
}

impl Bus {
    /// Connects to the first one that is there.
    pub(super) fn connect(addresses: Vec<Address>, until: Instant) -> Result<Self, Miss> {
        for Address { socket: place, guid } in addresses {
            // A blocking socket would wait for ever for a bus that takes no connections any more.
            let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
            let socket = net::socket_with(AddressFamily::UNIX, SocketType::STREAM, flags, None)?;
            match net::connect(&socket, &place) {
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

    /// Reads the line that answers the greeting.
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
        // Another bus may have taken the place of the one that was meant.
        if self.guid.as_ref().is_some_and(|guid| !guid.eq_ignore_ascii_case(id)) {
            return Err(Miss::Elsewhere);
        }
        self.begin = length;
        Ok(())
    }

    /// The next message. A call that was refused ends it all.
    pub(super) fn answer(&mut self) -> Result<Answer<'_>, Miss> {
        self.fill(HEAD)?;
        let size = answer::size_of(&self.received[self.begin..]).ok_or(Miss::Elsewhere)?;
        self.fill(size)?;
        let message = &self.received[self.begin..self.begin + size];
        self.begin += size;
        Answer::read(message).ok_or(Miss::Elsewhere)
    }

    /// Reads until so many bytes are there.
    fn fill(&mut self, length: usize) -> Result<(), Miss> {
        if self.begin + length > self.received.len() {
            // In a new place, since a vector that grows leaves its old bytes unwiped.
            let mut wider = room(length.max(ROOM));
            wider[..self.end - self.begin].copy_from_slice(&self.received[self.begin..self.end]);
            (self.received, self.end, self.begin) = (wider, self.end - self.begin, 0);
        }
        while self.end < self.begin + length {
            // A bus that never stops talking leaves nothing to wait for.
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
