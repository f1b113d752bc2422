//! Parse, dispatch, exit. Everything else is in the library.

use std::env;
use std::process::ExitCode;

use kage::{cmd, complete, run, secret};

fn main() -> ExitCode {
    // Other processes can read this process's environment through `/proc`. If an agent started this process,
    // the environment contains the agent's secret.
    if [secret::PASSPHRASE, "KAGE_RUN"].into_iter().any(|name| env::var_os(name).is_some()) {
        secret::make_undumpable();
    }
    if complete::answers() {
        return ExitCode::SUCCESS;
    }
    run::reset_sigchld();
    let status = match cmd::read(env::args_os().collect()) {
        Ok(cli) => cmd::run(cli),
        Err(refused) => cmd::refuse(&refused),
    };
    status.into()
}
