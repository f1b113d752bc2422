//! The error for a command line that cannot be parsed: one line, and a hint about what to type instead.

use std::env;
use std::ffi::OsString;

use clap::CommandFactory as _;
use clap::error::{ContextKind, ContextValue, ErrorKind};

use super::welcome;
use crate::cli::Cli;
use crate::config::closest;
use crate::error::{Failure, Status};
use crate::help;
use crate::pool::Level;
use crate::report;

/// Shows help and version. Every other error of clap becomes one line and a hint. Returns the exit status.
pub fn refuse(refused: &clap::Error) -> u8 {
    match refused.kind() {
        ErrorKind::DisplayHelp => {
            help::show(refused, env::args_os());
            0
        }
        ErrorKind::DisplayVersion => {
            let _ = refused.print(); // a closed pipe is not a failure
            0
        }
        ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand => {
            // The verbs report a config that cannot be read.
            if env::args_os().len() <= 1 && welcome::run().unwrap_or(false) {
                return 0;
            }
            help::show(refused, env::args_os());
            Status::Usage as u8
        }
        _ => {
            let text = refused.render().to_string();
            let first = text.split("\n\n").next().unwrap_or_default().trim_start_matches("error: ");
            let message = first.split_whitespace().collect::<Vec<_>>().join(" ");
            report::failed(&Failure::usage(message).hint(hint(refused, &text)).into());
            Status::Usage as u8
        }
    }
}

/// What to type instead: a similar word, the tip of clap, or the help of the verb.
fn hint(refused: &clap::Error, text: &str) -> String {
    let verbs = verbs(env::args_os().skip(1));
    if let Some(program) = stray_word(refused).filter(|_| verbs == "kage exec") {
        return format!("put `--` before the program: kage exec -- {program}");
    }
    if let Some(meant) = mistyped_value(refused).map(str::to_owned).or_else(|| mistyped_verb(refused)) {
        return format!("did you mean `{meant}`?");
    }
    if refused.kind() == ErrorKind::InvalidSubcommand {
        return format!("{verbs} --help");
    }
    let tip = text.split("\n\n").find_map(|part| part.trim().strip_prefix("tip: "));
    tip.and_then(|tip| tip.lines().next()).map_or_else(|| format!("{verbs} --help"), str::to_owned)
}

/// The valid value that is nearest to a mistyped one, if the argument has a fixed set of values.
fn mistyped_value(refused: &clap::Error) -> Option<&str> {
    let ContextValue::String(value) = refused.get(ContextKind::InvalidValue)? else { return None };
    if let Some(ContextValue::Strings(values)) = refused.get(ContextKind::ValidValue) {
        return closest(value, values.iter().map(String::as_str));
    }
    // clap does not know the levels, because the pool parses them.
    match refused.get(ContextKind::InvalidArg)? {
        ContextValue::String(arg) if arg.contains("<LEVEL>") => {
            closest(value, Level::ALL.into_iter().map(Level::as_str))
        }
        _ => None,
    }
}

/// The visible verb that is nearest to a mistyped one.
fn mistyped_verb(refused: &clap::Error) -> Option<String> {
    let ContextValue::String(typed) = refused.get(ContextKind::InvalidSubcommand)? else { return None };
    let root = Cli::command();
    let mut command = &root;
    for word in env::args_os().skip(1) {
        command = command.find_subcommand(word).unwrap_or(command);
    }
    let shown = || command.get_subcommands().filter(|verb| !verb.is_hide_set()).map(clap::Command::get_name);
    // Other wrappers call this verb `run`.
    let known = (typed == "run" && command.get_name() == "kage").then_some("exec");
    let near = known.or_else(|| closest(typed, shown()));
    near.or_else(|| shown().find(|verb| verb.starts_with(typed.as_str()))).map(str::to_owned)
}

/// The unexpected word, if it is not a flag.
fn stray_word(refused: &clap::Error) -> Option<&str> {
    match refused.get(ContextKind::InvalidArg)? {
        ContextValue::String(word) if refused.kind() == ErrorKind::UnknownArgument => {
            Some(word.as_str()).filter(|word| !word.starts_with('-'))
        }
        _ => None,
    }
}

/// The verb of the typed words, such as `kage subscription set`: the error of clap for an invalid value does
/// not contain it.
fn verbs(typed: impl Iterator<Item = OsString>) -> String {
    let root = Cli::command();
    let mut path = root.get_name().to_owned();
    let mut command = &root;
    for word in typed {
        let Some(verb) = command.find_subcommand(&word) else { break };
        path = format!("{path} {}", verb.get_name());
        command = verb;
    }
    path
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_verb_is_found_by_its_alias() {
        let path = |line: &str| verbs(line.split_whitespace().map(OsString::from));
        assert_eq!(path("sub set work --priority 256"), "kage subscription set");
        assert_eq!(path("exec -- exec"), "kage exec");
        assert_eq!(path("--frob status"), "kage");
    }
}
