//! The verbs, one per file. They connect the other modules.

mod context;
mod demo;
mod detect;
mod doctor;
mod editor;
mod exec;
mod generate;
mod init;
mod integration_files;
mod metrics;
mod probe;
mod prompt;
mod ps;
mod question;
mod run_as;
mod setup;
mod shim;
mod status;
mod statusline;
mod subscription;
mod usage;
mod usage_error;
mod welcome;
mod why;

use std::ffi::OsString;

use anyhow::Result;

use crate::cli::{Cli, Verb};
use crate::credentials::fetch_from_keychain;
use crate::engine::{self};
use crate::error::{Failure, Status};
use crate::paths::Paths;
use crate::report;

pub use usage_error::refuse;

/// Parses the command line. If kage was called under the name of an agent, the command runs that agent.
pub fn read(words: Vec<OsString>) -> Result<Cli, clap::Error> {
    run_as::called_as_agent(words.iter().cloned()).map_or_else(|| Cli::read(&words), Ok)
}

/// Runs a command and returns the exit status. If the command fails, prints the error.
pub fn run(cli: Cli) -> u8 {
    let before_start = matches!(cli.verb, Verb::Exec(_) | Verb::RunAs(_));
    let status = dispatch(cli).unwrap_or_else(|failed| {
        report::failed(&failed);
        let status = failed.downcast_ref::<Failure>().map_or(Status::Failed, |failure| failure.status);
        // An error of `exec` itself always occurs before the agent starts.
        let status = if before_start && status == Status::Failed { Status::BeforeStart } else { status };
        status as i32
    });
    // Only the low byte of an exit status reaches the parent process.
    u8::try_from(status & 0xff).unwrap_or(u8::MAX)
}

fn dispatch(cli: Cli) -> Result<i32> {
    match cli.verb {
        Verb::Exec(exec) => exec::run(exec),
        Verb::Why(why) => why::run(&why).map(|()| 0),
        Verb::Detect(detect) => detect::run(&detect),
        Verb::Doctor(doctor) => doctor::run(&doctor),
        Verb::Ps(form) => ps::run(&form).map(|()| 0),
        Verb::Status(args) => status::run(&args),
        Verb::Usage(args) => usage::run(&args).map(|()| 0),
        Verb::Metrics => metrics::run().map(|()| 0),
        Verb::Statusline(args) => {
            statusline::run(&args);
            Ok(0)
        }
        Verb::Subscription(verb) => subscription::run(verb),
        Verb::FetchFromKeychain { name, timeout } => {
            Ok(fetch_from_keychain(&name, timeout, &Paths::from_environment()?.state))
        }
        Verb::Generate { dir } => generate::run(&dir).map(|()| 0),
        Verb::Hook => Ok(engine::handle_hook()),
        Verb::Setup(args) => setup::run(args, dispatch).map(|()| 0),
        Verb::Init(args) => init::run(&args).map(|()| 0),
        Verb::Shim(verb) => shim::run(&verb).map(|()| 0),
        Verb::RunAs(args) => run_as::run(args),
        Verb::Prompt(_) => prompt::run().map(|()| 0),
        Verb::Demo => demo::run(),
        Verb::StandInAgent { args } => demo::stand_in_agent(&args),
    }
}
