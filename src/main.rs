//! Parse, dispatch, exit. Everything else is the library's.

#![cfg_attr(all(target_os = "linux", target_env = "gnu", not(test)), no_main)]

#[cfg(all(target_os = "linux", target_env = "gnu", not(test)))]
mod start;

use std::env;
use std::process::ExitCode;

use kage::{cmd, complete, run, secret};

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
    match cmd::read(env::args_os().collect()) {
        Ok(cli) => cmd::run(cli),
        Err(refused) => cmd::refuse(&refused),
    }
}
