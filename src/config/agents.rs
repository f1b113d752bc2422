//! `[agents.NAME]`: agents of the user's own, and more markers for the known ones.

use std::collections::BTreeMap;

use serde::Deserialize;

use super::{Mistake, fields};
use crate::agent::{Agents, Definition, Marker, RawMarker};
use crate::pool::Name;

#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields, default)]
pub(super) struct RawAgent {
    #[serde(deserialize_with = "fields::words")]
    program: Option<String>,
    #[serde(deserialize_with = "fields::variable")]
    credential_env: Option<String>,
    remove_env: Vec<String>,
    print_args: Vec<String>,
    markers: Vec<RawMarker>,
}

/// All agents there are under a config.
pub(super) fn agents(raw: BTreeMap<Name, RawAgent>) -> Result<Agents, Mistake> {
    let known = Agents::default();
    let mut definitions = BTreeMap::new();
    for (name, raw) in raw {
        let is_known = known.find(name.as_str()).is_some();
        if is_known && raw.defines_more_than_markers() {
            let message = format!("kage knows how to run `{name}`; only `markers` can be added");
            return Err(mistake(&name, None, message, "give another agent its own name"));
        }
        if !is_known && raw.credential_env.is_none() {
            let message = "the key `credential_env` is missing";
            return Err(mistake(&name, None, message, "credential_env = \"THE_VARIABLE_OF_ITS_KEY\""));
        }
        let markers = markers(&name, raw.markers)?;
        definitions.insert(
            name.to_string(),
            Definition {
                program: raw.program,
                credential_env: raw.credential_env,
                remove_env: raw.remove_env,
                print_args: raw.print_args,
                markers,
            },
        );
    }
    Ok(Agents::with(definitions))
}

impl RawAgent {
    fn defines_more_than_markers(&self) -> bool {
        let lists = [&self.remove_env, &self.print_args];
        self.program.is_some() || self.credential_env.is_some() || lists.iter().any(|list| !list.is_empty())
    }
}

fn markers(agent: &Name, raw: Vec<RawMarker>) -> Result<Vec<Marker>, Mistake> {
    let compiled = raw.into_iter().enumerate().map(|(at, marker)| {
        let name = format!("{} of [agents.{agent}]", at + 1);
        let refused =
            |why| mistake(agent, Some("markers"), why, "a pattern is a regular expression for a line");
        marker.compile(&name, &BTreeMap::new()).map_err(refused)
    });
    compiled.collect()
}

fn mistake(agent: &Name, key: Option<&str>, message: impl Into<String>, hint: &str) -> Mistake {
    let path: Vec<&str> = ["agents", agent.as_str()].into_iter().chain(key).collect();
    Mistake::new(&path, message, hint)
}
