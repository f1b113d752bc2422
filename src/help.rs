//! Shows the help in lines that fit the terminal. Called when clap has a help text to show.
//!
//! clap wraps long lines but does not join short ones. The doc comments have the line breaks of the source,
//! so each paragraph is first joined into one line. This takes time, so it is done only when help is shown.

use std::env;
use std::ffi::OsString;
use std::io::{self, Write as _};
use std::os::fd::AsFd;

use clap::{Command, CommandFactory as _};

use crate::cli::Cli;
use crate::terminal;

/// The maximum width of a line. Longer lines are hard to read.
const WIDEST: usize = 100;
/// A space at which no line is broken. It is printed as an ordinary space.
const NO_BREAK_SPACE: char = '\u{a0}';
const USAGE: &str = "Usage: ";

/// Shows the help that clap returned as an error for these words.
pub(crate) fn show(given: &clap::Error, words: impl Iterator<Item = OsString>) {
    let width = width(given.use_stderr());
    // If parsing the same words again does not return help, the given one is used.
    let joined = in_paragraphs(Cli::command()).term_width(width).try_get_matches_from(words).err();
    let text = joined.as_ref().unwrap_or(given).render().to_string();
    let lines = text.lines().map(|line| match line.strip_prefix(USAGE) {
        Some(usage) => wrapped_usage(usage, width),
        None => line.replace(NO_BREAK_SPACE, " ").trim_end().to_owned(),
    });
    let text: String = lines.map(|line| line + "\n").collect();
    // A closed pipe is not a failure.
    let _ = if given.use_stderr() {
        io::stderr().write_all(text.as_bytes())
    } else {
        io::stdout().write_all(text.as_bytes())
    };
}

/// Returns the columns of the terminal that shows the help or, if the output is a pipe, of the terminal on
/// which kage was started.
fn width(on_stderr: bool) -> usize {
    let (stdin, stdout, stderr) = (io::stdin(), io::stdout(), io::stderr());
    let streams: [&dyn AsFd; 3] =
        if on_stderr { [&stderr, &stdout, &stdin] } else { [&stdout, &stderr, &stdin] };
    let terminal = streams.into_iter().find_map(terminal::size).map(|size| size.columns);
    let variable = || env::var("COLUMNS").ok()?.parse().ok().filter(|&columns: &usize| columns > 0);
    terminal.or_else(variable).map_or(WIDEST, |columns| columns.min(WIDEST))
}

/// Returns the definitions with each paragraph of the long help texts joined into one line.
fn in_paragraphs(command: Command) -> Command {
    let about = command.get_long_about().map(|about| joined(&about.to_string()));
    let command = match about {
        Some(about) => command.long_about(about),
        None => command,
    };
    command.mut_subcommands(in_paragraphs)
}

/// Joins the lines of each paragraph. Indented lines stay as they are, because users copy examples.
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
            joined.push_str(&line.replace(' ', &NO_BREAK_SPACE.to_string()));
        }
    }
    joined
}

/// Wraps a usage line, which clap never does.
fn wrapped_usage<'a>(usage: &'a str, width: usize) -> String {
    let room = width.saturating_sub(USAGE.len());
    let mut lines = vec![String::new()];
    let parts = |group: &'a str| -> Vec<&'a str> {
        if group.chars().count() > room { group.split(' ').collect() } else { vec![group] }
    };
    let words = groups(usage).into_iter().flat_map(parts);
    for word in words {
        let line = lines.last_mut().expect("the vector starts with one line");
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

/// Splits a usage line into words; a group in brackets is one word.
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
    fn paragraphs_are_joined_and_examples_are_kept() {
        let text = "A first\nparagraph.\n\nIn a file:\n\n  a  b\n  c\n\nExamples:\n  d e\n  f";
        let visible = joined(text).replace(NO_BREAK_SPACE, "_");
        assert_eq!(visible, "A first paragraph.\n\nIn a file:\n\n__a__b\n__c\n\nExamples:\n__d_e\n__f");
    }

    #[test]
    fn a_usage_is_wrapped_between_groups_and_inside_a_group_only_if_it_is_too_long() {
        let usage = "kage a [OPTIONS] <--b <B>|--c>";
        for (width, expected) in [
            (37, "Usage: kage a [OPTIONS] <--b <B>|--c>"),
            (36, "Usage: kage a [OPTIONS]\n       <--b <B>|--c>"),
            (18, "Usage: kage a\n       [OPTIONS]\n       <--b\n       <B>|--c>"),
            (0, "Usage: kage\n       a\n       [OPTIONS]\n       <--b\n       <B>|--c>"),
        ] {
            assert_eq!(wrapped_usage(usage, width), expected, "{width}");
        }
    }
}
