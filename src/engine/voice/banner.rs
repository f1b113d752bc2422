//! What kage shows while a session of the agent fills the screen: at the top of it, and in tmux as a message.
//!
//! Nothing is read from the terminal, and nothing scrolls: the cursor goes back to where the agent has it, so
//! that its screen is whole but for those lines.

use std::io::{self, IsTerminal as _, Write as _};
use std::{iter, mem};

use crate::engine::pane::Pane;
use crate::terminal;
use crate::text::one_line;

/// At most this many lines: below them the screen is the agent's.
const MOST_ROWS: usize = 3;

/// The place for one text at a time.
pub(in crate::engine) struct Banner {
    /// Whether anything is shown at all.
    shown: bool,
    on_screen: bool,
    /// How many lines are the banner's just now.
    rows: usize,
}

impl Banner {
    pub(in crate::engine) fn new(shown: bool) -> Self {
        Self { shown, on_screen: io::stderr().is_terminal(), rows: 0 }
    }

    pub(in crate::engine) fn show(&mut self, text: &str, pane: Option<&mut Pane>) {
        if !self.shown {
            return;
        }
        let columns = terminal::size_or_default(io::stderr()).columns.max(20);
        // What the provider calls a limit is in it, as the agent's record has that.
        let text = format!("kage: {}", one_line(text));
        if let Some(pane) = pane {
            pane.message(&in_one_line(&text, columns));
        }
        if self.on_screen {
            let rows = wrapped(&text, columns - 2);
            let shown = rows.iter().map(|row| format!("\u{1b}[7m {row} \u{1b}[27m"));
            write(shown.chain(iter::repeat_n(String::new(), self.rows.saturating_sub(rows.len()))));
            self.rows = rows.len();
        }
    }

    /// The lines go; what they hid comes back when the agent draws it anew.
    pub(in crate::engine) fn clear(&mut self) {
        if self.rows > 0 {
            write(iter::repeat_n(String::new(), mem::take(&mut self.rows)));
        }
    }
}

/// Puts these into the first lines. One write, so that nothing of the agent's comes between.
fn write(rows: impl Iterator<Item = String>) {
    let rows = (1..).zip(rows).map(|(at, row)| format!("\u{1b}[{at};1H\u{1b}[0m\u{1b}[2K{row}"));
    let _ = io::stderr().write_all(format!("\u{1b}7{}\u{1b}8", rows.collect::<String>()).as_bytes());
}

/// A message has one line, which ends where the terminal does: then what comes next says more than what was.
fn in_one_line(text: &str, columns: usize) -> String {
    match text.split_once("; ") {
        Some((_, next)) if text.chars().count() > columns => format!("kage: {next}"),
        _ => text.to_owned(),
    }
}

/// A text in lines of at most so many columns, broken between its words where that can be.
fn wrapped(text: &str, columns: usize) -> Vec<String> {
    let mut rows = vec![String::new()];
    for word in text.split(' ') {
        let letters: Vec<_> = word.chars().collect();
        for piece in letters.chunks(columns) {
            let row = rows.last_mut().expect("it begins with one");
            let piece: String = piece.iter().collect();
            if row.is_empty() {
                *row = piece;
            } else if row.chars().count() + 1 + piece.chars().count() <= columns {
                *row = format!("{row} {piece}");
            } else {
                rows.push(piece);
            }
        }
    }
    rows.truncate(MOST_ROWS);
    rows
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "kage: work hit its 5-hour limit (until 13:00); continuing on personal in 3 s, a prompt keeps you here";

    #[test]
    fn nothing_of_it_is_lost_in_a_narrow_terminal() {
        for columns in 38..120 {
            let rows = wrapped(TEXT, columns);
            assert_eq!(rows.join(" "), TEXT);
            assert!(rows.iter().all(|row| row.chars().count() <= columns), "{columns}: {rows:?}");
        }
        assert_eq!(wrapped("kage: a_long_name went", 6), ["kage:", "a_long", "_name"]);
    }

    #[test]
    fn a_message_that_is_too_long_says_what_comes_next() {
        assert_eq!(in_one_line(TEXT, 120), TEXT);
        assert_eq!(in_one_line(TEXT, 80), "kage: continuing on personal in 3 s, a prompt keeps you here");
        assert_eq!(in_one_line("kage: staying on work", 10), "kage: staying on work");
    }
}
