//! Completion: the words that fit at the cursor, requested by the scripts in shell/.
//!
//! `main` calls this first. It reads only the config: no state, no secret, no lock. It never fails and prints
//! no errors: with a broken config it completes flags and verbs, but no names.

mod names;

use std::env;
use std::ffi::{OsStr, OsString};
use std::io::Write as _;

use clap::builder::StyledStr;
use clap::{Command, CommandFactory as _};
use clap_complete::engine::{ArgValueCompleter, CompletionCandidate, complete};

use crate::cli::Cli;

/// Set by the scripts to the index of the word at the cursor, counted from 0. The words follow after a
/// leading `--`. No other call of kage has `--` as its first argument, so a leftover variable does no harm.
const VARIABLE: &str = "KAGE_COMPLETE";

/// Makes the shell complete files, because it knows how to quote them. The value contains a space, so it
/// cannot be a name, a tag or a flag.
const FILES: &str = "complete files";
const DIRECTORIES: &str = "complete directories";

/// Answers the request of a shell with one line per word: the word, a tab, its description. Returns `false`
/// if this call is not a request for completion.
pub fn answers() -> bool {
    let Some(index) = env::var_os(VARIABLE) else { return false };
    let Some(index) = index.to_str().and_then(|index| index.parse().ok()) else { return false };
    let mut words = env::args_os().skip(1);
    if words.next().is_none_or(|first| first != "--") {
        return false;
    }
    let lines: Vec<u8> = candidates(words.collect(), index).iter().flat_map(line).collect();
    let _ = std::io::stdout().write_all(&lines); // the shell may have closed the pipe
    true
}

fn candidates(mut words: Vec<OsString>, index: usize) -> Vec<CompletionCandidate> {
    // Some shells omit the word at the cursor if it is still empty.
    words.truncate(index.saturating_add(1));
    if words.len() == index {
        words.push(OsString::new());
    }
    let nothing_typed = words.last().is_some_and(|word| word.is_empty());
    let mut command = with_completers(Cli::command());
    let mut found = complete(&mut command, words, index, None).unwrap_or_default();
    found.retain(|candidate| candidate.get_id().is_none() || !candidate.is_hide_set());
    // Flags are shown only after a typed dash, or if nothing else fits.
    let is_flag =
        |candidate: &CompletionCandidate| candidate.get_value().as_encoded_bytes().starts_with(b"-");
    if nothing_typed && !found.iter().all(is_flag) {
        found.retain(|candidate| !is_flag(candidate));
    }
    found
}

fn line(candidate: &CompletionCandidate) -> Vec<u8> {
    let help = candidate.get_help().map(StyledStr::to_string).unwrap_or_default();
    let mut line = candidate.get_value().as_encoded_bytes().to_vec();
    if let Some(help) = help.lines().next().filter(|help| !help.is_empty()) {
        line.push(b'\t');
        line.extend(help.bytes().map(|byte| if byte.is_ascii_control() { b' ' } else { byte }));
    }
    line.push(b'\n');
    line
}

/// Adds a completer to each argument of the definitions.
fn with_completers(command: Command) -> Command {
    let verb = command.get_name().to_owned();
    let complete = |arg: clap::Arg| {
        let value = arg.get_value_names().and_then(|names| names.first()).map(ToString::to_string);
        match value.and_then(|value| completer(&verb, arg.get_id().as_str(), &value)) {
            Some(completer) => arg.add(completer),
            None => arg,
        }
    };
    command.mut_args(complete).mut_subcommands(with_completers)
}

/// Returns the completer of a value, by its placeholder in the help.
fn completer(verb: &str, id: &str, value: &str) -> Option<ArgValueCompleter> {
    Some(match (value, id) {
        ("NAME", _) if verb == "add" => return None, // a new name
        ("NAME" | "OLD", _) => matching(names::subscriptions),
        ("NAMESPACE", _) => matching(names::namespaces),
        ("LEVEL", _) => matching(names::levels),
        ("AGENT", _) | ("A,B", "alias") => matching(names::agents),
        ("KEY", _) => matching(names::routes),
        ("A,B", "tags") => matching(names::tags),
        ("A,B", "subscriptions") | ("C,D", _) => matching(names::selectors),
        ("VARIABLE", _) => matching(names::variables),
        ("LOCATION", _) => ArgValueCompleter::new(credential_locations),
        ("COMMAND", _) => matching(|| vec![names::candidate("--", "before the program and its arguments")]),
        ("FILE", _) => ArgValueCompleter::new(|_: &OsStr| vec![CompletionCandidate::new(FILES)]),
        ("DIR", _) => ArgValueCompleter::new(|_: &OsStr| vec![CompletionCandidate::new(DIRECTORIES)]),
        _ => return None,
    })
}

/// Completes with the candidates of a list that begin with the typed text.
fn matching(list: impl Fn() -> Vec<CompletionCandidate> + Send + Sync + 'static) -> ArgValueCompleter {
    ArgValueCompleter::new(move |typed: &OsStr| {
        let typed = typed.as_encoded_bytes();
        let mut list = list();
        list.retain(|candidate| candidate.get_value().as_encoded_bytes().starts_with(typed));
        list
    })
}

/// The locations of a credential; after `home:`, directories.
fn credential_locations(typed: &OsStr) -> Vec<CompletionCandidate> {
    use clap_complete::engine::{PathCompleter, ValueCompleter as _};

    if let Some(dir) = typed.to_str().and_then(|typed| typed.strip_prefix("home:")) {
        let directories = PathCompleter::dir().complete(OsStr::new(dir));
        return directories.into_iter().map(|directory| directory.add_prefix("home:")).collect();
    }
    let mut locations = vec![
        names::candidate("keychain", "the system keychain"),
        names::candidate("file", "kage's encrypted file"),
        names::candidate("command:", "a command that prints the secret"),
        names::candidate("home:", "the agent's own login directory"),
    ];
    let typed = typed.as_encoded_bytes();
    locations.retain(|location| location.get_value().as_encoded_bytes().starts_with(typed));
    locations
}
