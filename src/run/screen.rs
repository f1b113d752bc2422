//! The screen that kage itself draws, for `kage status --watch`. It uses the alternate screen, so the normal
//! screen is unchanged afterwards.
//!
//! The policy, before the code:
//! - Only changed lines are written, in one update that the terminal shows as a whole, and nothing is cleared
//!   in between. So nothing flickers, and without changes nothing is written.
//! - Between two frames kage sleeps. A key, a signal or a new size of the window wakes it.
//! - Before kage ends or stops, it always restores the screen, the cursor and the modes.

use std::env;
use std::io::{self, IsTerminal as _};
use std::os::fd::BorrowedFd;
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, poll};
use rustix::io::{Errno, retry_on_intr};
use rustix::process::{Signal, getpid, kill_process};
use rustix::stdio::{stdin, stdout};
use rustix::termios::{
    InputModes, LocalModes, OptionalActions, SpecialCodeIndex, Termios, tcgetattr, tcgetpgrp, tcsetattr,
};
use signal_hook::consts::signal::{SIGCONT, SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGTSTP, SIGWINCH};
use signal_hook::iterator::backend::SignalDelivery;
use signal_hook::iterator::exfiltrator::SignalOnly;
use unicode_width::UnicodeWidthStr as _;

use super::jobs;
use super::signals::time_left;
use super::signals::{Unblocked, is_ignored};
use crate::process::group_of;
use crate::terminal::{Size, size_or_default};

const SECOND: Duration = Duration::from_secs(1);
const WATCHED: [i32; 7] = [SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGTSTP, SIGCONT, SIGWINCH];

/// Enters the alternate screen and hides the cursor.
const ENTER: &str = "\x1b[?1049h\x1b[?25l";
const LEAVE: &str = "\x1b[?25h\x1b[?1049l";
const HIDE_CURSOR: &str = "\x1b[?25l";
/// A terminal shows the output between these two as one update. A terminal that does not know them ignores
/// them. Source: <https://gist.github.com/christianparpart/d8a62cc1ab659194337d73e399004036>.
const BEGIN: &str = "\x1b[?2026h";
const END: &str = "\x1b[?2026l";

/// Whether standard output is a terminal that can move its cursor.
pub fn can_draw() -> bool {
    io::stdout().is_terminal() && env::var_os("TERM").is_none_or(|term| term != "dumb")
}

/// Draws the lines that `lines` returns for a size, every second and on each event, until the user or a
/// signal ends it. Returns the number of that signal; `None` if the user ended it.
pub fn draw_each_second(mut lines: impl FnMut(Size) -> Vec<String>) -> io::Result<Option<i32>> {
    let mut signals = catch()?;
    let _unblocked = Unblocked::all();
    let mut screen = Screen::enter()?;
    loop {
        let next = Instant::now() + SECOND;
        let size = size_or_default(stdout());
        // If the write fails, the terminal is gone, and its SIGHUP has not arrived yet.
        if screen.draw(size, lines(size)).is_err() {
            return Ok(Some(SIGHUP));
        }
        match sleep(&mut signals, screen.keys, next) {
            Action::Draw => {}
            Action::DrawAll => screen.reclaim()?,
            Action::Stop => {
                drop(screen);
                let _ = kill_process(getpid(), Signal::STOP);
                screen = Screen::enter()?;
            }
            Action::End(signal) => return Ok(signal),
        }
    }
}

type Signals = SignalDelivery<UnixStream, SignalOnly>;

/// Installs the handlers. As in a run, a signal that was ignored on entry remains ignored.
fn catch() -> io::Result<Signals> {
    let (read, write) = UnixStream::pair()?;
    let watched = WATCHED.into_iter().filter(|&signal| !is_ignored(signal));
    SignalDelivery::with_pipe(read, write, SignalOnly, watched)
}

/// What happens next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Action {
    Draw,
    /// Draws all lines: the content of the screen is no longer known.
    DrawAll,
    Stop,
    End(Option<i32>),
}

/// Sleeps until a time, a signal or a key.
fn sleep(signals: &mut Signals, keys: Option<BorrowedFd<'static>>, until: Instant) -> Action {
    let mut watched = vec![PollFd::new(signals.get_read(), PollFlags::IN)];
    watched.extend(keys.iter().map(|keys| PollFd::new(keys, PollFlags::IN)));
    let _ = poll(&mut watched, Some(&time_left(until)));
    let typed = watched.get(1).is_some_and(|keys| !keys.revents().is_empty());
    drop(watched);
    let actions: Vec<_> = signals.pending().map(action_for).collect();
    // If several signals have arrived, ending comes before stopping, and stopping before drawing.
    let first = |is: fn(&Action) -> bool| actions.iter().copied().find(is);
    first(|action| matches!(action, Action::End(_)))
        .or_else(|| first(|action| *action == Action::Stop))
        .or_else(|| first(|action| *action == Action::DrawAll))
        .or_else(|| keys.filter(|_| typed).map(read))
        .unwrap_or(Action::Draw)
}

fn action_for(signal: i32) -> Action {
    match signal {
        // If no shell could continue kage, the system would not stop it either.
        SIGTSTP if jobs::has_shell() => Action::Stop,
        SIGTSTP => Action::Draw,
        SIGCONT | SIGWINCH => Action::DrawAll,
        fatal => Action::End(Some(fatal)),
    }
}

/// Reads what was typed: `q` or ^D ends the display.
fn read(keys: BorrowedFd<'static>) -> Action {
    let mut typed = [0; 64];
    match rustix::io::read(keys, &mut typed) {
        Ok(length) if typed[..length].iter().any(|key| b"qQ\x04".contains(key)) => Action::End(None),
        // The terminal is gone.
        Ok(0) | Err(Errno::IO) => Action::End(Some(SIGHUP)),
        _ => Action::Draw,
    }
}

/// The alternate screen. It is left when this value is dropped.
struct Screen {
    terminal: BorrowedFd<'static>,
    /// Standard input, for keys; `None` if it is not a terminal.
    keys: Option<BorrowedFd<'static>>,
    before: Termios,
    size: Option<Size>,
    shown: Vec<String>,
}

impl Screen {
    fn enter() -> io::Result<Self> {
        let keys = io::stdin().is_terminal().then(stdin);
        let terminal = keys.unwrap_or_else(stdout);
        let before = tcgetattr(terminal)?;
        let screen = Self { terminal, keys, before, size: None, shown: Vec::new() };
        screen.read_keys()?;
        write(ENTER)?;
        Ok(screen)
    }

    /// Sets the terminal to deliver keys one at a time and without echo. Keys that send a signal still do. ^S
    /// does not stop the output, because kage would then block in its write. In the background this call
    /// stops kage (SIGTTOU), as it should.
    fn read_keys(&self) -> io::Result<()> {
        let mut modes = self.before.clone();
        modes.local_modes.remove(LocalModes::ICANON | LocalModes::ECHO | LocalModes::IEXTEN);
        modes.input_modes.remove(InputModes::IXON);
        modes.special_codes[SpecialCodeIndex::VMIN] = 1;
        modes.special_codes[SpecialCodeIndex::VTIME] = 0;
        Ok(tcsetattr(self.terminal, OptionalActions::Now, &modes)?)
    }

    /// Restores the modes after another process may have written to the terminal or changed its modes. The
    /// alternate screen is not entered again: the terminal would then save the cursor's position on the
    /// alternate screen as the position on the normal one.
    fn reclaim(&mut self) -> io::Result<()> {
        self.read_keys()?;
        self.size = None;
        write(HIDE_CURSOR)
    }

    fn draw(&mut self, size: Size, mut lines: Vec<String>) -> io::Result<()> {
        lines.truncate(size.rows);
        let from = if self.size == Some(size) { Some(self.shown.as_slice()) } else { None };
        let changes = changes(from, &lines, size);
        self.size = Some(size);
        self.shown = lines;
        if changes.is_empty() { Ok(()) } else { write(&format!("{BEGIN}{changes}{END}")) }
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        let _ = write(LEAVE);
        // From the background this would stop kage (SIGTTOU), and the modes now belong to another job.
        let foreground = tcgetpgrp(self.terminal).ok().map(|group| group.as_raw_nonzero().get());
        if foreground.is_some() && foreground == group_of(0) {
            let _ = tcsetattr(self.terminal, OptionalActions::Now, &self.before);
        }
    }
}

/// Returns the output that changes the screen from the lines `from` to `lines`. `from` is `None` if the
/// content of the screen is not known.
fn changes(from: Option<&[String]>, lines: &[String], size: Size) -> String {
    let mut text = String::new();
    for (at, line) in lines.iter().enumerate() {
        if from.and_then(|from| from.get(at)) == Some(line) {
            continue;
        }
        text += &format!("\x1b[{};1H{line}", at + 1);
        // After a line as wide as the screen, the cursor is still on the last column, and `\x1b[K` would
        // erase it.
        if anstream::adapter::strip_str(line).to_string().width() < size.columns {
            text += "\x1b[K";
        }
    }
    if from.is_none_or(|from| from.len() > lines.len()) && lines.len() < size.rows {
        text += &format!("\x1b[{};1H\x1b[J", lines.len() + 1);
    }
    text
}

/// Writes a text in as few writes as the terminal accepts. The standard library's stdout would flush at each
/// newline.
fn write(text: &str) -> io::Result<()> {
    let mut left = text.as_bytes();
    while !left.is_empty() {
        left = &left[retry_on_intr(|| rustix::io::write(stdout(), left))?..];
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    const SIZE: Size = Size { columns: 4, rows: 3 };

    fn changed(from: Option<&[&str]>, to: &[&str]) -> String {
        let owned = |lines: &[&str]| lines.iter().map(|&line| line.to_owned()).collect::<Vec<_>>();
        changes(from.map(owned).as_deref(), &owned(to), SIZE)
    }

    #[test]
    fn only_changed_lines_are_written() {
        assert_eq!(changed(Some(&["a", "b"]), &["a", "b"]), "");
        assert_eq!(changed(Some(&["a", "b"]), &["a", "c"]), "\x1b[2;1Hc\x1b[K");
        assert_eq!(changed(Some(&["a"]), &["a", "b"]), "\x1b[2;1Hb\x1b[K");
        assert_eq!(changed(Some(&["a", "b"]), &["a"]), "\x1b[2;1H\x1b[J");
        assert_eq!(changed(None, &["a"]), "\x1b[1;1Ha\x1b[K\x1b[2;1H\x1b[J");
    }

    #[test]
    fn a_line_as_wide_as_the_screen_keeps_its_last_character() {
        assert_eq!(changed(Some(&[]), &["\x1b[31m一二\x1b[0m"]), "\x1b[1;1H\x1b[31m一二\x1b[0m");
        assert_eq!(changed(None, &["a", "b", "wide"]), "\x1b[1;1Ha\x1b[K\x1b[2;1Hb\x1b[K\x1b[3;1Hwide");
    }

    #[test]
    fn each_signal_has_its_action() {
        assert_eq!(action_for(SIGWINCH), Action::DrawAll);
        assert_eq!(action_for(SIGCONT), Action::DrawAll);
        assert_eq!(action_for(SIGTERM), Action::End(Some(SIGTERM)));
    }
}
