//! The help, in lines that fit the terminal. Called where clap has a help to show.
//!
//! clap breaks lines that are too long and joins none. The definitions break lines where the source does, so each
//! paragraph is joined into one line first. That takes time; only help pays for it.

use std::env;
use std::ffi::OsString;
use std::io::{self, Write as _};
use std::os::fd::AsFd;

use clap::{Command, CommandFactory as _};

use crate::cli::Cli;
use crate::terminal;

/// Longer lines are hard to read.
const WIDEST: usize = 100;
/// A blank at which no line is broken. It is shown as any other.
const FIRM_BLANK: char = '\u{a0}';
const USAGE: &str = "Usage: ";

/// Shows the help that clap has given instead of what these words ask for.
pub(crate) fn show(given: &clap::Error, words: impl Iterator<Item = OsString>) {
    let width = width(given.use_stderr());
    // Where it should be no help this time, the one that is there will do.
    let again = in_paragraphs(Cli::command()).term_width(width).try_get_matches_from(words).err();
    let text = again.as_ref().unwrap_or(given).render().to_string();
    let lines = text.lines().map(|line| match line.strip_prefix(USAGE) {
        Some(usage) => broken_usage(usage, width),
        None => line.replace(FIRM_BLANK, " ").trim_end().to_owned(),
    });
    let text: String = lines.map(|line| line + "\n").collect();
    // A closed pipe is no failure.
    let _ = if given.use_stderr() {
        io::stderr().write_all(text.as_bytes())
    } else {
        io::stdout().write_all(text.as_bytes())
    };
}

/// The columns of the terminal that shows it; where it goes into a pipe, of the one at which kage was started.
fn width(on_stderr: bool) -> usize {
    let (stdin, stdout, stderr) = (io::stdin(), io::stdout(), io::stderr());
    let streams: [&dyn AsFd; 3] =
        if on_stderr { [&stderr, &stdout, &stdin] } else { [&stdout, &stderr, &stdin] };
    let of_terminal = streams.into_iter().find_map(terminal::size).map(|size| size.columns);
    let variable = || env::var("COLUMNS").ok()?.parse().ok().filter(|&columns: &usize| columns > 0);
    of_terminal.or_else(variable).map_or(WIDEST, |columns| columns.min(WIDEST))
}

/// The definitions with each paragraph of a text in one line.
fn in_paragraphs(command: Command) -> Command {
    let about = command.get_long_about().map(|about| joined(&about.to_string()));
    let command = match about {
        Some(about) => command.long_about(about),
        None => command,
    };
    command.mut_subcommands(in_paragraphs)
}

/// A text whose lines end where a paragraph does. Lines that are indented stay: an example is to be copied.
fn joined(text: &str) -> String {
    let mut joined = String::new();
    let mut is_prose = false;
    for line in text.lines() {
        let was_prose = is_prose;
        is_prose = !line.is_empty() && !line.starts_with("  ");
        if was_prose && is_prose {
            joined.push(' ');
        } else if !joined.is_empty() {
            joined.push('\n');
        }
        if is_prose {
            joined.push_str(line);
        } else {
            joined.push_str(&line.replace(' ', &FIRM_BLANK.to_string()));
        }
    }
    joined
}

/// A usage, which clap leaves as long as it is.
fn broken_usage<'a>(usage: &'a str, width: usize) -> String {
    let room = width.saturating_sub(USAGE.len());
    let mut lines = vec![String::new()];
    let parts = |group: &'a str| -> Vec<&'a str> {
        if group.chars().count() > room { group.split(' ').collect() } else { vec![group] }
    };
    let words = groups(usage).into_iter().flat_map(parts);
    for word in words {
        let line = lines.last_mut().expect("there is one from the beginning");
        if line.is_empty() {
            line.push_str(word);
        } else if line.chars().count() + 1 + word.chars().count() <= room {
            line.push_str(&format!(" {word}"));
        } else {
            lines.push(word.to_owned());
        }
    }
    format!("{USAGE}{}", lines.join(&format!("\n{}", " ".repeat(USAGE.len()))))
}

/// The words of a usage, where all that stands in brackets is one word.
fn groups(usage: &str) -> Vec<&str> {
    let mut depth = 0_usize;
    let ends = |letter: char| {
        match letter {
            '<' | '[' => depth += 1,
            '>' | ']' => depth = depth.saturating_sub(1),
            _ => {}
        }
        letter == ' ' && depth == 0
    };
    usage.split(ends).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paragraphs_are_joined_and_examples_stay() {
        let text = "A first\nparagraph.\n\nIn a file:\n\n  a  b\n  c\n\nExamples:\n  d e\n  f";
        let firm = joined(text).replace(FIRM_BLANK, "_");
        assert_eq!(firm, "A first paragraph.\n\nIn a file:\n\n__a__b\n__c\n\nExamples:\n__d_e\n__f");
    }

    #[test]
    fn a_usage_is_broken_between_words_and_in_brackets_only_where_it_must_be() {
        let usage = "kage a [OPTIONS] <--b <B>|--c>";
        for (width, expected) in [
            (37, "Usage: kage a [OPTIONS] <--b <B>|--c>"),
            (36, "Usage: kage a [OPTIONS]\n       <--b <B>|--c>"),
            (18, "Usage: kage a\n       [OPTIONS]\n       <--b\n       <B>|--c>"),
            (0, "Usage: kage\n       a\n       [OPTIONS]\n       <--b\n       <B>|--c>"),
        ] {
            assert_eq!(broken_usage(usage, width), expected, "{width}");
        }
    }
}
