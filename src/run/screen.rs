//! The terminal as kage itself draws on it, for `kage status --watch`: on the alternate screen, which leaves the
//! one before as it was.
//!
//! The policy, before the code:
//! - Only lines that have changed are written, in one piece that the terminal shows at once, and nothing is
//!   cleared in between: nothing flickers, and a quiet pool costs nothing.
//! - Between two frames kage sleeps; a key, a signal or another size of the window wakes it.
//! - However it ends or stops, the screen, the cursor and the modes are put back before it does.

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

/// The alternate screen, without a cursor.
const ENTER: &str = "\x1b[?1049h\x1b[?25l";
const LEAVE: &str = "\x1b[?25h\x1b[?1049l";
const HIDE_CURSOR: &str = "\x1b[?25l";
/// What is between these a terminal shows at once; one that does not know them passes over them.
/// Source: <https://gist.github.com/christianparpart/d8a62cc1ab659194337d73e399004036>.
const BEGIN: &str = "\x1b[?2026h";
const END: &str = "\x1b[?2026l";

/// Whether standard output is a terminal that can move its cursor.
pub fn can_draw() -> bool {
    io::stdout().is_terminal() && env::var_os("TERM").is_none_or(|term| term != "dumb")
}

/// Draws the lines that it is given for a size, each second and whenever something happens, until the user
/// ends it, or a signal, which is the answer.
pub fn draw_each_second(mut lines: impl FnMut(Size) -> Vec<String>) -> io::Result<Option<i32>> {
    let mut signals = catch()?;
    let _unblocked = Unblocked::all();
    let mut screen = Screen::enter()?;
    loop {
        let next = Instant::now() + SECOND;
        let size = size_or_default(stdout());
        // A terminal that takes nothing any more has gone away, and the signal is only late.
        if screen.draw(size, lines(size)).is_err() {
            return Ok(Some(SIGHUP));
        }
        match rest(&mut signals, screen.keys, next) {
            Wish::Draw => {}
            Wish::DrawAll => screen.reclaim()?,
            Wish::Stop => {
                drop(screen);
                let _ = kill_process(getpid(), Signal::STOP);
                screen = Screen::enter()?;
            }
            Wish::End(signal) => return Ok(signal),
        }
    }
}

type Signals = SignalDelivery<UnixStream, SignalOnly>;

/// As beside an agent, what was ignored on entry stays ignored.
fn catch() -> io::Result<Signals> {
    let (read, write) = UnixStream::pair()?;
    let watched = WATCHED.into_iter().filter(|&signal| !is_ignored(signal));
    SignalDelivery::with_pipe(read, write, SignalOnly, watched)
}

/// What is to happen next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Wish {
    Draw,
    /// What is on the screen is not known any more.
    DrawAll,
    Stop,
    End(Option<i32>),
}

/// Sleeps until a moment, a signal or a key.
fn rest(signals: &mut Signals, keys: Option<BorrowedFd<'static>>, until: Instant) -> Wish {
    let mut watched = vec![PollFd::new(signals.get_read(), PollFlags::IN)];
    watched.extend(keys.iter().map(|keys| PollFd::new(keys, PollFlags::IN)));
    let _ = poll(&mut watched, Some(&time_left(until)));
    let typed = watched.get(1).is_some_and(|keys| !keys.revents().is_empty());
    drop(watched);
    let wishes: Vec<_> = signals.pending().map(wish).collect();
    // Of several, ending goes first, and stopping before drawing.
    let wish = |is: fn(&Wish) -> bool| wishes.iter().copied().find(is);
    wish(|wish| matches!(wish, Wish::End(_)))
        .or_else(|| wish(|wish| *wish == Wish::Stop))
        .or_else(|| wish(|wish| *wish == Wish::DrawAll))
        .or_else(|| keys.filter(|_| typed).map(read))
        .unwrap_or(Wish::Draw)
}

fn wish(signal: i32) -> Wish {
    match signal {
        // Where no shell could wake it, the system would not stop it either.
        SIGTSTP if jobs::has_shell() => Wish::Stop,
        SIGTSTP => Wish::Draw,
        SIGCONT | SIGWINCH => Wish::DrawAll,
        fatal => Wish::End(Some(fatal)),
    }
}

/// What was typed: `q` or ^D ends it.
fn read(keys: BorrowedFd<'static>) -> Wish {
    let mut typed = [0; 64];
    match rustix::io::read(keys, &mut typed) {
        Ok(length) if typed[..length].iter().any(|key| b"qQ\x04".contains(key)) => Wish::End(None),
        // The terminal has gone away.
        Ok(0) | Err(Errno::IO) => Wish::End(Some(SIGHUP)),
        _ => Wish::Draw,
    }
}

/// The alternate screen, from when it was entered until it is dropped.
struct Screen {
    terminal: BorrowedFd<'static>,
    /// Where keys are typed; `None` where standard input is no terminal.
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

    /// Keys come one at a time and unseen. Those that mean a signal still do; ^S does not, for output that is
    /// held back would hold kage. In the background this stops kage, as it must.
    fn read_keys(&self) -> io::Result<()> {
        let mut modes = self.before.clone();
        modes.local_modes.remove(LocalModes::ICANON | LocalModes::ECHO | LocalModes::IEXTEN);
        modes.input_modes.remove(InputModes::IXON);
        modes.special_codes[SpecialCodeIndex::VMIN] = 1;
        modes.special_codes[SpecialCodeIndex::VTIME] = 0;
        Ok(tcsetattr(self.terminal, OptionalActions::Now, &modes)?)
    }

    /// After somebody else may have written or changed modes. The alternate screen is not entered again: it
    /// would take the cursor's place on this one for that on the one before.
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
        // From the background it would stop kage (SIGTTOU), and the modes are another job's by now.
        let foreground = tcgetpgrp(self.terminal).ok().map(|group| group.as_raw_nonzero().get());
        if foreground.is_some() && foreground == group_of(0) {
            let _ = tcsetattr(self.terminal, OptionalActions::Now, &self.before);
        }
    }
}

/// What makes a screen of one that shows other lines, or `None` of what it is not known.
fn changes(from: Option<&[String]>, lines: &[String], size: Size) -> String {
    let mut text = String::new();
    for (at, line) in lines.iter().enumerate() {
        if from.and_then(|from| from.get(at)) == Some(line) {
            continue;
        }
        text += &format!("\x1b[{};1H{line}", at + 1);
        // Behind the last column the cursor still stands on it, and it would be erased.
        if anstream::adapter::strip_str(line).to_string().width() < size.columns {
            text += "\x1b[K";
        }
    }
    if from.is_none_or(|from| from.len() > lines.len()) && lines.len() < size.rows {
        text += &format!("\x1b[{};1H\x1b[J", lines.len() + 1);
    }
    text
}

/// In one piece, where the terminal takes it so: what the library keeps of standard output is a line.
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
    fn only_what_has_changed_is_written() {
        assert_eq!(changed(Some(&["a", "b"]), &["a", "b"]), "");
        assert_eq!(changed(Some(&["a", "b"]), &["a", "c"]), "\x1b[2;1Hc\x1b[K");
        assert_eq!(changed(Some(&["a"]), &["a", "b"]), "\x1b[2;1Hb\x1b[K");
        assert_eq!(changed(Some(&["a", "b"]), &["a"]), "\x1b[2;1H\x1b[J");
        assert_eq!(changed(None, &["a"]), "\x1b[1;1Ha\x1b[K\x1b[2;1H\x1b[J");
    }

    #[test]
    fn a_line_as_wide_as_the_screen_keeps_its_last_letter() {
        assert_eq!(changed(Some(&[]), &["\x1b[31m一二\x1b[0m"]), "\x1b[1;1H\x1b[31m一二\x1b[0m");
        assert_eq!(changed(None, &["a", "b", "wide"]), "\x1b[1;1Ha\x1b[K\x1b[2;1Hb\x1b[K\x1b[3;1Hwide");
    }

    #[test]
    fn what_a_signal_asks_for() {
        assert_eq!(wish(SIGWINCH), Wish::DrawAll);
        assert_eq!(wish(SIGCONT), Wish::DrawAll);
        assert_eq!(wish(SIGTERM), Wish::End(Some(SIGTERM)));
    }
}
