//! Completion: which words fit a line that is half typed, asked for by the scripts in shell/.
//!
//! `main` asks it first of all. It reads the config and nothing else: no state, no secret, no lock. It never
//! fails and never speaks: where the config is broken there are flags and verbs, and no names.

mod names;

use std::env;
use std::ffi::{OsStr, OsString};
use std::io::Write as _;

use clap::builder::StyledStr;
use clap::{Command, CommandFactory as _};
use clap_complete::engine::{ArgValueCompleter, CompletionCandidate, complete};

use crate::cli::Cli;

/// Set by the scripts, to the place of the word that the cursor is in, counted from 0. The words follow behind
/// `--`, where no other call of kage has them, so that a variable left behind does no harm.
const VARIABLE: &str = "KAGE_COMPLETE";

/// Lets the shell complete files, which it knows how to quote. No name, tag or flag has a blank.
const FILES: &str = "complete files";
const DIRECTORIES: &str = "complete directories";

/// Answers a shell that asks what fits, a line for each word: the word, a tab, what it is. `false` where no
/// shell asks, which is nearly always.
pub fn answers() -> bool {
    let Some(index) = env::var_os(VARIABLE) else { return false };
    let Some(index) = index.to_str().and_then(|index| index.parse().ok()) else { return false };
    let mut words = env::args_os().skip(1);
    if words.next().is_none_or(|first| first != "--") {
        return false;
    }
    let lines: Vec<u8> = candidates(words.collect(), index).iter().flat_map(line).collect();
    let _ = std::io::stdout().write_all(&lines); // the shell may have stopped listening
    true
}

fn candidates(mut words: Vec<OsString>, index: usize) -> Vec<CompletionCandidate> {
    // Some shells leave the word out where nothing is typed of it yet.
    words.truncate(index.saturating_add(1));
    if words.len() == index {
        words.push(OsString::new());
    }
    let nothing_typed = words.last().is_some_and(|word| word.is_empty());
    let mut command = with_completers(Cli::command());
    let mut found = complete(&mut command, words, index, None).unwrap_or_default();
    found.retain(|candidate| candidate.get_id().is_none() || !candidate.is_hide_set());
    // Flags are for those who type a dash, unless there is nothing else.
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

/// The definitions of the command line, each argument with what completes it.
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

/// What completes a value, by the word that stands for it in the help.
fn completer(verb: &str, id: &str, value: &str) -> Option<ArgValueCompleter> {
    Some(match (value, id) {
        ("NAME", _) if verb == "add" => return None, // a new one
        ("NAME" | "OLD", _) => matching(names::subscriptions),
        ("NAMESPACE", _) => matching(names::namespaces),
        ("LEVEL", _) => matching(names::levels),
        ("AGENT", _) | ("A,B", "alias") => matching(names::agents),
        ("KEY", _) => matching(names::routes),
        ("A,B", "tags") => matching(names::tags),
        ("A,B", "subscriptions") | ("C,D", _) => matching(names::selectors),
        ("VARIABLE", _) => matching(names::variables),
        ("WHERE", _) => ArgValueCompleter::new(places),
        ("COMMAND", _) => matching(|| vec![names::candidate("--", "the program and its arguments follow")]),
        ("FILE", _) => ArgValueCompleter::new(|_: &OsStr| vec![CompletionCandidate::new(FILES)]),
        ("DIR", _) => ArgValueCompleter::new(|_: &OsStr| vec![CompletionCandidate::new(DIRECTORIES)]),
        _ => return None,
    })
}

/// Those of a list that begin like what was typed.
fn matching(list: impl Fn() -> Vec<CompletionCandidate> + Send + Sync + 'static) -> ArgValueCompleter {
    ArgValueCompleter::new(move |typed: &OsStr| {
        let typed = typed.as_encoded_bytes();
        let mut list = list();
        list.retain(|candidate| candidate.get_value().as_encoded_bytes().starts_with(typed));
        list
    })
}

/// The places of a credential; behind `home:` the directories.
fn places(typed: &OsStr) -> Vec<CompletionCandidate> {
    use clap_complete::engine::{PathCompleter, ValueCompleter as _};

    if let Some(dir) = typed.to_str().and_then(|typed| typed.strip_prefix("home:")) {
        let directories = PathCompleter::dir().complete(OsStr::new(dir));
        return directories.into_iter().map(|directory| directory.add_prefix("home:")).collect();
    }
    let mut places = vec![
        names::candidate("keychain", "the keychain of the operating system"),
        names::candidate("file", "kage's encrypted file"),
        names::candidate("command:", "a shell command that prints it"),
        names::candidate("home:", "the agent's own login directory"),
    ];
    places.retain(|place| place.get_value().as_encoded_bytes().starts_with(typed.as_encoded_bytes()));
    places
}
