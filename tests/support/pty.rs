//! Starts a program on its own terminal; the test holds the other end.

// A failed unwrap is a failed test.
#![allow(dead_code, unreachable_pub, clippy::unwrap_used)]

use std::fs::{File, OpenOptions};
use std::os::fd::OwnedFd;
use std::os::unix::process::CommandExt as _;
use std::process::{Child, Command};

use rustix::process::{ioctl_tiocsctty, setsid};
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use rustix::stdio::stdin;

/// Starts a program as the session leader of a new terminal and returns the terminal's other end. No other
/// process has a copy of that end, so dropping it hangs up.
#[allow(unsafe_code)]
pub fn on_a_terminal(command: &mut Command) -> (OwnedFd, Child) {
    let terminal = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC).unwrap();
    grantpt(&terminal).unwrap();
    unlockpt(&terminal).unwrap();
    let name = ptsname(&terminal, Vec::new()).unwrap().into_string().unwrap();
    let stream = OpenOptions::new().read(true).write(true).open(name).unwrap();
    let copy = |stream: &File| stream.try_clone().unwrap();
    command.stdin(copy(&stream)).stdout(copy(&stream)).stderr(stream);
    let lead = || {
        setsid()?;
        Ok(ioctl_tiocsctty(stdin())?)
    };
    // SAFETY: two system calls, which may be made between fork and exec.
    unsafe { command.pre_exec(lead) };
    (terminal, command.spawn().unwrap())
}
