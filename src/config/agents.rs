//! `[agents.NAME]`: the user's own agents, and more markers for the built-in agents.

use std::collections::BTreeMap;

use serde::Deserialize;

use super::fields::Table;
use super::{Mistake, fields};
use crate::agent::{Agents, Definition, Marker, RawMarker};
use crate::pool::Name;

#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields, default)]
pub(super) struct RawAgent {
    #[serde(deserialize_with = "fields::non_empty")]
    program: Option<String>,
    #[serde(deserialize_with = "fields::variable")]
    credential_env: Option<String>,
    remove_env: Vec<String>,
    print_args: Vec<String>,
    markers: Vec<RawMarker>,
}

/// Returns the built-in agents and those of the config.
pub(super) fn agents(raw: BTreeMap<Name, Table<RawAgent>>) -> Result<Agents, Mistake> {
    let known = Agents::default();
    let mut definitions = BTreeMap::new();
    let mut programs = BTreeMap::new();
    for (name, Table(raw)) in raw {
        let is_known = known.find(name.as_str()).is_some();
        if is_known && raw.defines_more_than_markers() {
            let message = format!("`{name}` is a built-in agent; only `markers` can be added to it");
            return Err(mistake(&name, None, message, "choose another name for the agent"));
        }
        if !is_known && raw.credential_env.is_none() {
            let message = "the key `credential_env` is missing";
            return Err(mistake(&name, None, message, "credential_env = \"THE_VARIABLE_OF_ITS_KEY\""));
        }
        raw.check_variables(&name)?;
        raw.check_program(&name, &known)?;
        let markers = markers(&name, raw.markers)?;
        let program = raw.program.clone().unwrap_or_else(|| name.to_string());
        if let Some(other) = programs.insert(program.clone(), name.clone()) {
            let message = format!("`{program}` is already the program of `{other}`");
            return Err(mistake(&name, Some("program"), message, ONE_PROGRAM));
        }
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

/// kage recognizes the agent of a command by its program.
const ONE_PROGRAM: &str = "each agent needs its own program, because kage recognizes an agent by its program";
/// Variables that every program needs.
const RESERVED: [&str; 2] = ["HOME", "PATH"];

impl RawAgent {
    fn check_variables(&self, agent: &Name) -> Result<(), Mistake> {
        let credential = self.credential_env.iter().map(|name| ("credential_env", name));
        let removed = self.remove_env.iter().map(|name| ("remove_env", name));
        for (key, name) in credential.chain(removed) {
            if !fields::is_variable(name) {
                let message = format!("`{}` is not a valid variable name", name.escape_debug());
                return Err(mistake(agent, Some(key), message, "a variable name has no `=` and no spaces"));
            }
            if RESERVED.contains(&name.as_str()) || name.starts_with("KAGE_") {
                let message = format!("`{name}` cannot be a credential variable");
                return Err(mistake(
                    agent,
                    Some(key),
                    message,
                    "use the variable that the agent reads its key from",
                ));
            }
        }
        Ok(())
    }

    fn check_program(&self, agent: &Name, known: &Agents) -> Result<(), Mistake> {
        let Some(program) = &self.program else { return Ok(()) };
        if program.contains('/') {
            let message = format!("`{}` is a path, not the name of a program", program.escape_debug());
            return Err(mistake(
                agent,
                Some("program"),
                message,
                "use the file name, and add its directory to PATH",
            ));
        }
        match known.all().find(|other| other.program() == program) {
            Some(other) => {
                let message = format!("`{program}` is already the program of `{}`", other.name());
                Err(mistake(agent, Some("program"), message, ONE_PROGRAM))
            }
            None => Ok(()),
        }
    }

    fn defines_more_than_markers(&self) -> bool {
        let lists = [&self.remove_env, &self.print_args];
        self.program.is_some() || self.credential_env.is_some() || lists.iter().any(|list| !list.is_empty())
    }
}

fn markers(agent: &Name, raw: Vec<RawMarker>) -> Result<Vec<Marker>, Mistake> {
    let compiled = raw.into_iter().enumerate().map(|(at, marker)| {
        let name = format!("{} of [agents.{agent}]", at + 1);
        let label = marker.label(at + 1);
        let refused = |why: String| {
            mistake(
                agent,
                Some("markers"),
                format!("{label}: {why}"),
                "a pattern is a regular expression that matches a line",
            )
        };
        marker.compile(&name, &BTreeMap::new()).map_err(refused)
    });
    compiled.collect()
}

fn mistake(agent: &Name, key: Option<&str>, message: impl Into<String>, hint: &str) -> Mistake {
    let path: Vec<&str> = ["agents", agent.as_str()].into_iter().chain(key).collect();
    Mistake::new(&path, message, hint)
}
