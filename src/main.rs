//! Parse, dispatch, exit. The one place that prints an error that ends kage.
//!
//! Who may import whom (a test holds it): `cli`, `clock`, `error`, `paths`, `files`, `process` and `secret` know little
//! more than themselves, `pool` knows nothing but its own children, an `agent` knows the pool, `store`,
//! `ledger` and `credentials` know pool and files, `prices` knows the pool, `run` knows agents, `report` knows
//! what it shows, `man` knows what can be typed, `complete` that and the config, and only the verbs in `cmd` know everything.

#![cfg_attr(all(target_os = "linux", target_env = "gnu", not(test)), no_main)]

mod agent;
mod cli;
mod clock;
mod cmd;
mod complete;
mod config;
mod credentials;
mod error;
mod files;
mod ledger;
mod man;
mod paths;
mod pool;
mod prices;
mod process;
mod report;
mod run;
mod secret;
mod shell;
#[cfg(all(target_os = "linux", target_env = "gnu", not(test)))]
mod start;
mod store;

use std::env;
use std::ffi::OsString;
use std::process::ExitCode;

use clap::CommandFactory as _;
use clap::error::{ContextKind, ContextValue, ErrorKind};

use crate::cli::Cli;
use crate::error::{Failure, Status};
use crate::pool::Level;

#[cfg_attr(
    all(target_os = "linux", target_env = "gnu"),
    allow(dead_code, reason = "`start` is the beginning")
)]
fn main() -> ExitCode {
    kage().into()
}

/// The whole run; the answer is the status with which the process is to end.
fn kage() -> u8 {
    // The environment is memory too, and other processes read it as a file. Below an agent it has the agent's secret.
    if [secret::PASSPHRASE, "KAGE_RUN"].into_iter().any(|name| env::var_os(name).is_some()) {
        secret::close_process();
    }
    if complete::answers() {
        return 0;
    }
    run::expect_children();
    let words: Vec<_> = env::args_os().collect();
    let read = cmd::called_as_agent(words.iter().cloned()).map_or_else(|| Cli::read(&words), Ok);
    let cli = match read {
        Ok(cli) => cli,
        Err(refused) => return refuse(&refused),
    };
    let before_start = matches!(cli.verb, cli::Verb::Exec(_) | cli::Verb::RunAs(_));
    match cmd::run(cli) {
        Ok(status) => exit_code(status),
        Err(failed) => {
            error::show(&failed);
            let status = failed.downcast_ref::<Failure>().map_or(Status::Failed, |failure| failure.status);
            // Whatever goes wrong in `exec` outside the agent went wrong before the agent started.
            let status = if before_start && status == Status::Failed { Status::BeforeStart } else { status };
            exit_code(status as i32)
        }
    }
}

/// Only the low byte of a status reaches the parent, as with any process.
fn exit_code(status: i32) -> u8 {
    u8::try_from(status & 0xff).unwrap_or(u8::MAX)
}

/// Help and version are answers; anything else that clap says becomes one line and a hint.
fn refuse(refused: &clap::Error) -> u8 {
    match refused.kind() {
        ErrorKind::DisplayHelp | ErrorKind::DisplayVersion => {
            let _ = refused.print(); // a closed pipe is no failure
            0
        }
        ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand => {
            // A config that cannot be read is for the verbs to tell.
            if env::args_os().len() <= 1 && cmd::welcome::run().unwrap_or(false) {
                return 0;
            }
            let _ = refused.print();
            exit_code(Status::Usage as i32)
        }
        _ => {
            let text = refused.render().to_string();
            let first = text.split("\n\n").next().unwrap_or_default().trim_start_matches("error: ");
            let message = first.split_whitespace().collect::<Vec<_>>().join(" ");
            error::show(&Failure::usage(message).hint(hint(refused, &text)).into());
            exit_code(Status::Usage as i32)
        }
    }
}

/// What to type instead: clap's own tip where it has one, else the help of the verb.
fn hint(refused: &clap::Error, text: &str) -> String {
    let verbs = verbs(env::args_os().skip(1));
    if let Some(program) = stray_word(refused).filter(|_| verbs == "kage exec") {
        return format!("put `--` in front of the program: kage exec -- {program}");
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

/// What a value may have been meant for, where there are only some.
fn mistyped_value(refused: &clap::Error) -> Option<&str> {
    let ContextValue::String(value) = refused.get(ContextKind::InvalidValue)? else { return None };
    if let Some(ContextValue::Strings(values)) = refused.get(ContextKind::ValidValue) {
        return config::closest(value, values.iter().map(String::as_str));
    }
    // Levels are read by the pool, which clap cannot ask for them.
    match refused.get(ContextKind::InvalidArg)? {
        ContextValue::String(arg) if arg.contains("<LEVEL>") => {
            config::closest(value, Level::ALL.into_iter().map(Level::as_str))
        }
        _ => None,
    }
}

/// The verb that was meant, of those that are for the user.
fn mistyped_verb(refused: &clap::Error) -> Option<String> {
    let ContextValue::String(typed) = refused.get(ContextKind::InvalidSubcommand)? else { return None };
    let root = Cli::command();
    let mut command = &root;
    for word in env::args_os().skip(1) {
        command = command.find_subcommand(word).unwrap_or(command);
    }
    let shown = || command.get_subcommands().filter(|verb| !verb.is_hide_set()).map(clap::Command::get_name);
    // What other wrappers call it.
    let known = (typed == "run" && command.get_name() == "kage").then_some("exec");
    let near = known.or_else(|| config::closest(typed, shown()));
    near.or_else(|| shown().find(|verb| verb.starts_with(typed.as_str()))).map(str::to_owned)
}

/// The word, not a flag, for which there was no place.
fn stray_word(refused: &clap::Error) -> Option<&str> {
    match refused.get(ContextKind::InvalidArg)? {
        ContextValue::String(word) if refused.kind() == ErrorKind::UnknownArgument => {
            Some(word.as_str()).filter(|word| !word.starts_with('-'))
        }
        _ => None,
    }
}

/// `kage subscription set`, by the words that were typed: clap names no verb when it refuses a value.
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
    fn the_verb_is_found_behind_its_alias() {
        let path = |line: &str| verbs(line.split_whitespace().map(OsString::from));
        assert_eq!(path("sub set work --priority 256"), "kage subscription set");
        assert_eq!(path("exec -- exec"), "kage exec");
        assert_eq!(path("--frob status"), "kage");
    }
}
