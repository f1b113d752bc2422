//! The environment variables that kage withholds from its helper programs, such as event commands and tmux.

use std::env;
use std::ffi::OsString;

use crate::agent::Agents;
use crate::secret::PASSPHRASE;

/// Returns the variables of this process that helper programs must not get: kage's passphrase, and variables
/// that carry an agent's credential. The latter are set when a running agent calls kage.
pub(crate) fn withheld(agents: &Agents) -> Vec<OsString> {
    let competes =
        |name: &OsString| name.to_str().is_some_and(|name| agents.all().any(|agent| agent.competes(name)));
    let names = env::vars_os().map(|(name, _)| name);
    names.filter(|name| name == PASSPHRASE || competes(name)).collect()
}
