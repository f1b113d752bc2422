//! Parse, dispatch, exit. The one place that prints an error that ends kage.
//!
//! Who may import whom (a test holds it): `cli`, `clock`, `error`, `paths`, `files` and `secret` know little
//! more than themselves, `pool` knows nothing but its own children, an `agent` knows the pool, `store`,
//! `ledger` and `credentials` know pool and files, `run` knows agents, `report` knows pool and agents, and
//! only the verbs in `cmd` know everything.

mod agent;
mod cli;
mod clock;
mod cmd;
mod config;
mod credentials;
mod error;
mod files;
mod ledger;
mod paths;
mod pool;
mod report;
mod run;
mod secret;
mod store;

use std::process::ExitCode;

use clap::Parser as _;
use clap::error::ErrorKind;

use crate::cli::Cli;
use crate::error::{Failure, Status};

fn main() -> ExitCode {
    run::expect_children();
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(refused) => return refuse(&refused),
    };
    let before_start = matches!(cli.verb, cli::Verb::Exec(_));
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
fn exit_code(status: i32) -> ExitCode {
    ExitCode::from(u8::try_from(status & 0xff).unwrap_or(u8::MAX))
}

/// Help and version are answers; anything else that clap says becomes one line and a hint.
fn refuse(refused: &clap::Error) -> ExitCode {
    match refused.kind() {
        ErrorKind::DisplayHelp | ErrorKind::DisplayVersion => {
            let _ = refused.print(); // a closed pipe is no failure
            ExitCode::SUCCESS
        }
        ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand => {
            let _ = refused.print();
            exit_code(Status::Usage as i32)
        }
        _ => {
            let text = refused.render().to_string();
            let mut parts = text.split("\n\n");
            let first = parts.next().unwrap_or_default().trim_start_matches("error: ");
            let message = first.split_whitespace().collect::<Vec<_>>().join(" ");
            let tip = parts.find_map(|part| part.trim().strip_prefix("tip: "));
            let hint = tip.map_or_else(|| help_of(&text), |tip| tip.lines().next().unwrap_or(tip).to_owned());
            error::show(&Failure::usage(message).hint(hint).into());
            exit_code(Status::Usage as i32)
        }
    }
}

/// The command that shows the help of the verb whose usage clap printed.
fn help_of(text: &str) -> String {
    let usage = text.lines().find_map(|line| line.strip_prefix("Usage: ")).unwrap_or("kage");
    let is_verb = |word: &&str| word.starts_with(|letter: char| letter.is_ascii_lowercase());
    let verbs: Vec<_> = usage.split_whitespace().take_while(is_verb).collect();
    format!("{} --help", verbs.join(" "))
}
