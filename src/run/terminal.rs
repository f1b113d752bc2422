//! Saves the terminal's modes before the agent starts, and restores them if a signal kept the agent from
//! doing so.

use std::env;
use std::io::{self, IsTerminal as _, Write as _};
use std::os::fd::BorrowedFd;

use rustix::fs::{FileType, fstat};
use rustix::stdio::{stderr, stdin, stdout};
use rustix::termios::{LocalModes, OptionalActions, Termios, tcgetattr, tcgetpgrp, tcsetattr};

use crate::agent::Exit;
use crate::process::group_of;

/// Resets what a full-screen program that was killed may have left on: a hidden cursor, bracketed paste,
/// focus and mouse reports, a keyboard protocol, colors.
///
/// The alternate screen is not left. kage cannot find out whether it is on. If it is off, the usual sequence
/// to leave it moves the cursor up into the text. If it is on, it shows the agent's last output.
const RESET: &[u8] =
    b"\x1b[?25h\x1b[?2004l\x1b[?1004l\x1b[?1000l\x1b[?1002l\x1b[?1003l\x1b[?1006l\x1b[<u\x1b[0m";

/// A terminal and the modes it had before the agent started.
pub(super) struct SavedModes(Option<(BorrowedFd<'static>, Termios)>);

impl SavedModes {
    /// Saves the modes of the terminal. Only a terminal among the agent's streams counts, because the agent
    /// may change no other: `/dev/tty` may belong to the program that started kage with pipes. Nothing is
    /// saved if stdout is a pipe: a pager that reads it may have set its own modes.
    pub(super) fn save() -> Self {
        if is_pipe(stdout()) {
            return Self(None);
        }
        // A program draws on the first of these that is a terminal.
        let mut streams = [stdout(), stderr(), stdin()].into_iter();
        Self(streams.find_map(|stream| Some((stream, tcgetattr(stream).ok()?))))
    }

    /// Restores the modes if a signal ended the agent. A shell does this for its own jobs, but it sees only
    /// how kage ends. An agent that ended on its own may have changed the modes on purpose, as `stty` does.
    pub(super) fn restore_after(self, exit: Exit, interrupted: bool) {
        let by_signal = matches!(exit, Exit::Signal(_));
        if let Some((terminal, before)) = self.0.filter(|_| by_signal || interrupted) {
            // From the background this would stop kage (SIGTTOU), and the modes now belong to another job.
            let foreground = tcgetpgrp(terminal).ok().map(|group| group.as_raw_nonzero().get());
            if foreground.is_none() || foreground != group_of(0) {
                return;
            }
            let drew = tcgetattr(terminal).is_ok_and(|left| reads_keys(&left) && !reads_keys(&before));
            // `Now`: waiting until the output is drained would block after a ^S.
            let _ = tcsetattr(terminal, OptionalActions::Now, &before);
            if by_signal && drew {
                reset();
            }
        }
    }
}

/// Whether the terminal delivers single keys, as for a program that draws a screen. A program that only hides
/// what is typed, such as a password, reads whole lines.
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
