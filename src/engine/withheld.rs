//! What the programs that help kage are not given.

use std::env;
use std::ffi::OsString;

use crate::agent::Agents;
use crate::secret::PASSPHRASE;

/// The variables of this process that the programs which help kage are not given: kage's own secret, and what
/// carries a credential of an agent, which they find here where kage is called by a running agent.
pub(crate) fn withheld(agents: &Agents) -> Vec<OsString> {
    let competes =
        |name: &OsString| name.to_str().is_some_and(|name| agents.all().any(|agent| agent.competes(name)));
    let names = env::vars_os().map(|(name, _)| name);
    names.filter(|name| name == PASSPHRASE || competes(name)).collect()
}
