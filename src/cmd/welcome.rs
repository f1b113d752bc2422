//! `kage` alone, where nothing has been set up.

use anyhow::Result;

use crate::config::Config;
use crate::paths::Paths;
use crate::report;

const WELCOME: &str = "\
kage runs your coding agent (claude, codex, gemini) on whichever of your subscriptions has room.

  kage setup                    the first subscription, the line for your shell, and a test run
  kage subscription add work    only that; it asks for what `claude setup-token` prints
  kage exec -- claude           the real agent, on a subscription from the pool
  kage status                   limits, tokens and running agents at a glance
  kage doctor                   what is wrong with the installation, and the command that mends it
  kage demo                     all of it with invented accounts, in a throwaway home

There is no subscription yet: begin with `kage setup`. `kage --help` lists every verb.
";

/// Explains kage to somebody who has no subscription yet; the answer is whether that was so.
pub(crate) fn run() -> Result<bool> {
    let config = Config::load(&Paths::from_environment()?)?;
    if !config.pool.subscriptions.is_empty() {
        return Ok(false);
    }
    report::print(WELCOME)?;
    Ok(true)
}
