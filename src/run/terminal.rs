//! The terminal as it was before the agent: put back where a signal kept the agent from doing so.

use std::env;
use std::io::{self, IsTerminal as _, Write as _};
use std::os::fd::BorrowedFd;

use rustix::fs::{FileType, fstat};
use rustix::stdio::{stderr, stdin, stdout};
use rustix::termios::{LocalModes, OptionalActions, Termios, tcgetattr, tcgetpgrp, tcsetattr};

use crate::agent::Exit;
use crate::process::group_of;

/// What a program that draws may have switched on and, killed, left on: a hidden cursor, bracketed paste,
/// reports of focus and mouse, a keyboard protocol, colours.
///
/// The alternate screen is not left. Whether it is on cannot be asked; where it is off, the usual way to
/// leave it moves the cursor up into the text, and where it is on, the agent's last words are there.
const RESET: &[u8] =
    b"\x1b[?25h\x1b[?2004l\x1b[?1004l\x1b[?1000l\x1b[?1002l\x1b[?1003l\x1b[?1006l\x1b[<u\x1b[0m";

/// A terminal and the modes it had before the agent started.
pub(super) struct Before(Option<(BorrowedFd<'static>, Termios)>);

impl Before {
    /// Only a terminal that the agent has among its streams, for nobody else's is its to change: `/dev/tty`
    /// may belong to the program that started kage with pipes. And not in front of a pager, which waits for
    /// the end of the pipe with modes of its own.
    pub(super) fn save() -> Self {
        if is_pipe(stdout()) {
            return Self(None);
        }
        // The first that can be written to is what a program draws on.
        let mut streams = [stdout(), stderr(), stdin()].into_iter();
        Self(streams.find_map(|stream| Some((stream, tcgetattr(stream).ok()?))))
    }

    /// A shell puts the modes right for what a signal has ended, but it sees only how kage ends. An agent
    /// that ended by itself may have changed them on purpose, as `stty` does.
    pub(super) fn restore_after(self, exit: Exit, interrupted: bool) {
        let by_signal = matches!(exit, Exit::Signal(_));
        if let Some((terminal, before)) = self.0.filter(|_| by_signal || interrupted) {
            // From the background it would stop kage (SIGTTOU), and the modes are another job's by now.
            let foreground = tcgetpgrp(terminal).ok().map(|group| group.as_raw_nonzero().get());
            if foreground.is_none() || foreground != group_of(0) {
                return;
            }
            let drew = tcgetattr(terminal).is_ok_and(|left| reads_keys(&left) && !reads_keys(&before));
            // At once: waiting for the output to drain would wait for whoever has typed ^S.
            let _ = tcsetattr(terminal, OptionalActions::Now, &before);
            if by_signal && drew {
                reset();
            }
        }
    }
}

/// Whether a program has asked for single keys, as one does that draws a screen. One that only hides what is
/// typed, such as a password, reads whole lines.
fn reads_keys(modes: &Termios) -> bool {
    !modes.local_modes.contains(LocalModes::ICANON)
}

fn reset() {
    if io::stdout().is_terminal() && env::var_os("TERM").is_some_and(|term| term != "dumb") {
        let mut stdout = io::stdout().lock();
        let _ = stdout.write_all(RESET).and_then(|()| stdout.flush());
    }
}

fn is_pipe(stream: BorrowedFd<'_>) -> bool {
    fstat(stream).is_ok_and(|stat| FileType::from_raw_mode(stat.st_mode) == FileType::Fifo)
}
