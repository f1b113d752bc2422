//! `kage` without arguments, if nothing is set up yet.

use anyhow::Result;

use crate::config::Config;
use crate::paths::Paths;
use crate::report;

const WELCOME: &str = "\
kage runs your coding agent (claude, codex, gemini) on a subscription that has room.

  kage setup                    set up the first subscription and your shell, and do a test run
  kage subscription add work    add a subscription; asks for the token of `claude setup-token`
  kage exec -- claude           run the real agent on a subscription from the pool
  kage status                   show limits, tokens and running agents at a glance
  kage doctor                   show what is wrong with the setup, and the command that fixes it
  kage demo                     show how kage works, with example subscriptions in a temporary home

You have no subscription yet: start with `kage setup`. `kage --help` lists all commands.
";

/// Prints an introduction if there is no subscription yet. Returns whether it did.
pub(crate) fn run() -> Result<bool> {
    let config = Config::load(&Paths::from_environment()?)?;
    if !config.pool.subscriptions.is_empty() {
        return Ok(false);
    }
    report::print(WELCOME)?;
    Ok(true)
}
