//! The beginning of the process, where the C library calls kage itself.
//!
//! Before a Rust `main` the standard library finds out where the stack ends, from `/proc/self/maps`, so that an
//! overflow is told in words. That takes as long as loading a library, at each start; kage does without the words.
//! What else it does there is done here. Only with glibc, by which the arguments are known without it.

use std::ffi::{c_char, c_int};
use std::io;
use std::os::fd::IntoRawFd as _;
use std::process;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::{Mode, OFlags, open};
use rustix::stdio::{stderr, stdin, stdout};

#[allow(unsafe_code)]
// SAFETY: no other function has the name, and this is how the C library calls it.
#[unsafe(no_mangle)]
extern "C" fn main(_count: c_int, _words: *const *const c_char) -> c_int {
    if open_streams().is_err() {
        process::abort();
    }
    ignore_broken_pipes();
    process::exit(crate::kage().into())
}

/// A stream that is closed would be the next file that is opened: what is said would be written into it.
fn open_streams() -> io::Result<()> {
    let streams = [stdin(), stdout(), stderr()];
    let mut known = streams.map(|stream| PollFd::from_borrowed_fd(stream, PollFlags::empty()));
    poll(&mut known, Some(&Timespec { tv_sec: 0, tv_nsec: 0 }))?;
    for _ in known.iter().filter(|stream| stream.revents().contains(PollFlags::NVAL)) {
        // The lowest number that is free, and also for what kage becomes.
        let _ = open("/dev/null", OFlags::RDWR, Mode::empty())?.into_raw_fd();
    }
    Ok(())
}

/// What nobody reads is an error of the write, for which kage does not die.
#[allow(unsafe_code)]
fn ignore_broken_pipes() {
    // SAFETY: no handler is set, and nothing else runs yet.
    unsafe { libc::signal(libc::SIGPIPE, libc::SIG_IGN) };
}
