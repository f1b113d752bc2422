//! Colors as terminal escapes. `anstream` removes them if stdout is not a terminal or the user disabled them.

use std::io;

use anstream::{AutoStream, ColorChoice};

use crate::text;

#[derive(Clone, Copy)]
pub(super) enum Color {
    Red,
    Green,
    Yellow,
    Dim,
}

pub(super) fn painted(text: &str, color: Color) -> String {
    let code = match color {
        Color::Red => 31,
        Color::Green => 32,
        Color::Yellow => 33,
        Color::Dim => 2,
    };
    format!("\u{1b}[{code}m{text}\u{1b}[0m")
}

/// The word of a status in its color.
pub(super) fn status(word: &str) -> String {
    let color = match word {
        "active" => Color::Green,
        "rate_limited" => Color::Yellow,
        "exhausted" | "unhealthy" => Color::Red,
        _ => Color::Dim,
    };
    painted(word, color)
}

/// An error on one line, in red.
pub fn error_line(text: &str) -> String {
    painted(&crate::text::one_line(text), Color::Red)
}

/// The lines as the terminal on stdout shows them, for callers that do not write through `print`.
pub fn for_terminal(lines: Vec<String>) -> Vec<String> {
    let lines: Vec<_> = lines.iter().map(|line| text::terminal(line).into_owned()).collect();
    if AutoStream::choice(&io::stdout()) != ColorChoice::Never {
        return lines;
    }
    lines.iter().map(|line| anstream::adapter::strip_str(line).to_string()).collect()
}
