//! The banner that kage shows while a session fills the screen: at the top of the screen, and in tmux also as
//! a message.
//!
//! Nothing is read from the terminal and nothing scrolls. The cursor returns to where the agent left it, and
//! only the lines that the banner covers change.

use std::io::{self, IsTerminal as _, Write as _};
use std::{iter, mem};

use crate::engine::pane::Pane;
use crate::terminal;
use crate::text::one_line;

/// The maximum height of the banner, in lines. The rest of the screen belongs to the agent.
const MAX_ROWS: usize = 3;

/// Shows one text at a time.
pub(in crate::engine) struct Banner {
    /// Whether anything is shown at all.
    shown: bool,
    on_screen: bool,
    /// The number of lines that the banner now covers.
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
        // The text contains the provider's name for a limit, copied from the agent's transcript.
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

    /// Clears the banner's lines. The text that they covered reappears when the agent redraws it.
    pub(in crate::engine) fn clear(&mut self) {
        if self.rows > 0 {
            write(iter::repeat_n(String::new(), mem::take(&mut self.rows)));
        }
    }
}

/// Writes the rows over the first lines of the screen, in one write so that they are not mixed with output of
/// the agent.
fn write(rows: impl Iterator<Item = String>) {
    let rows = (1..).zip(rows).map(|(at, row)| format!("\u{1b}[{at};1H\u{1b}[0m\u{1b}[2K{row}"));
    let _ = io::stderr().write_all(format!("\u{1b}7{}\u{1b}8", rows.collect::<String>()).as_bytes());
}

/// Shortens a text for a tmux message, which is one line cut off at the width of the terminal. If the text is
/// too long, only the part after the first `; ` is kept: what happens next matters more than what happened.
fn in_one_line(text: &str, columns: usize) -> String {
    match text.split_once("; ") {
        Some((_, next)) if text.chars().count() > columns => format!("kage: {next}"),
        _ => text.to_owned(),
    }
}

/// Wraps a text into lines of at most `columns` columns, between words if possible.
fn wrapped(text: &str, columns: usize) -> Vec<String> {
    let mut rows = vec![String::new()];
    for word in text.split(' ') {
        let letters: Vec<_> = word.chars().collect();
        for piece in letters.chunks(columns) {
            let row = rows.last_mut().expect("`rows` starts with one row");
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
    rows.truncate(MAX_ROWS);
    rows
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "kage: work hit its 5-hour limit (resets 13:00); continuing on personal in 3s (enter a prompt to stay)";

    #[test]
    fn a_narrow_terminal_still_shows_the_whole_text() {
        for columns in 38..120 {
            let rows = wrapped(TEXT, columns);
            assert_eq!(rows.join(" "), TEXT);
            assert!(rows.iter().all(|row| row.chars().count() <= columns), "{columns}: {rows:?}");
        }
        assert_eq!(wrapped("kage: a_long_name went", 6), ["kage:", "a_long", "_name"]);
    }

    #[test]
    fn a_message_that_is_too_long_keeps_what_happens_next() {
        assert_eq!(in_one_line(TEXT, 120), TEXT);
        assert_eq!(in_one_line(TEXT, 80), "kage: continuing on personal in 3s (enter a prompt to stay)");
        assert_eq!(in_one_line("kage: staying on work", 10), "kage: staying on work");
    }
}
