//! Colours, as terminal escapes; `anstream` takes them out where they do not belong.

use std::io;

use anstream::{AutoStream, ColorChoice};

use crate::text;

#[derive(Clone, Copy)]
pub(super) enum Colour {
    Red,
    Green,
    Yellow,
    Dim,
}

pub(super) fn painted(text: &str, colour: Colour) -> String {
    let code = match colour {
        Colour::Red => 31,
        Colour::Green => 32,
        Colour::Yellow => 33,
        Colour::Dim => 2,
    };
    format!("\u{1b}[{code}m{text}\u{1b}[0m")
}

/// The word of a status.
pub(super) fn status(word: &str) -> String {
    let colour = match word {
        "active" => Colour::Green,
        "rate_limited" => Colour::Yellow,
        "exhausted" | "unhealthy" => Colour::Red,
        _ => Colour::Dim,
    };
    painted(word, colour)
}

/// What has gone wrong, in one line.
pub fn trouble(text: &str) -> String {
    painted(&crate::text::one_line(text), Colour::Red)
}

/// The lines as the terminal at standard output is to show them, for who writes to it past `print`.
pub fn for_terminal(lines: Vec<String>) -> Vec<String> {
    let lines: Vec<_> = lines.iter().map(|line| text::terminal(line).into_owned()).collect();
    if AutoStream::choice(&io::stdout()) != ColorChoice::Never {
        return lines;
    }
    lines.iter().map(|line| anstream::adapter::strip_str(line).to_string()).collect()
}
