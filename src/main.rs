//! Parse, dispatch, exit. Everything else is in the library.

#![cfg_attr(all(target_os = "linux", target_env = "gnu", not(test)), no_main)]

#[cfg(all(target_os = "linux", target_env = "gnu", not(test)))]
mod start;

use std::env;
use std::process::ExitCode;

use kage::{cmd, complete, run, secret};

#[cfg_attr(
    all(target_os = "linux", target_env = "gnu"),
    allow(dead_code, reason = "`start` calls `kage` directly")
)]
fn main() -> ExitCode {
    kage().into()
}

/// Runs the command line and returns the exit status of the process.
fn kage() -> u8 {
    // Other processes can read this process's environment through `/proc`. Below an agent it contains the
    // agent's secret.
    if [secret::PASSPHRASE, "KAGE_RUN"].into_iter().any(|name| env::var_os(name).is_some()) {
        secret::make_undumpable();
    }
    if complete::answers() {
        return 0;
    }
    run::reset_sigchld();
    match cmd::read(env::args_os().collect()) {
        Ok(cli) => cmd::run(cli),
        Err(refused) => cmd::refuse(&refused),
    }
}
