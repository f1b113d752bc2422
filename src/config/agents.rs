//! `[agents.NAME]`: agents of the user's own, and more markers for the known ones.

use std::collections::BTreeMap;

use serde::Deserialize;

use super::fields::Table;
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
pub(super) fn agents(raw: BTreeMap<Name, Table<RawAgent>>) -> Result<Agents, Mistake> {
    let known = Agents::default();
    let mut definitions = BTreeMap::new();
    let mut programs = BTreeMap::new();
    for (name, Table(raw)) in raw {
        let is_known = known.find(name.as_str()).is_some();
        if is_known && raw.defines_more_than_markers() {
            let message = format!("kage knows how to run `{name}`; only `markers` can be added");
            return Err(mistake(&name, None, message, "give another agent its own name"));
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
            let message = format!("`{program}` is the program of `{other}` as well");
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

/// By its program kage knows which agent a command is.
const ONE_PROGRAM: &str = "each agent has a program of its own, by whose name kage knows it";
/// Variables that kage, or any program, cannot do without.
const NOT_OF_AGENTS: [&str; 2] = ["HOME", "PATH"];

impl RawAgent {
    fn check_variables(&self, agent: &Name) -> Result<(), Mistake> {
        let credential = self.credential_env.iter().map(|name| ("credential_env", name));
        let removed = self.remove_env.iter().map(|name| ("remove_env", name));
        for (key, name) in credential.chain(removed) {
            if !fields::is_variable(name) {
                let message = format!("`{}` cannot be a variable", name.escape_debug());
                return Err(mistake(agent, Some(key), message, "a variable's name has no `=` and no blanks"));
            }
            if NOT_OF_AGENTS.contains(&name.as_str()) || name.starts_with("KAGE_") {
                let message = format!("`{name}` is no variable of an agent's credential");
                return Err(mistake(
                    agent,
                    Some(key),
                    message,
                    "name the variable that the agent reads its key from",
                ));
            }
        }
        Ok(())
    }

    fn check_program(&self, agent: &Name, known: &Agents) -> Result<(), Mistake> {
        let Some(program) = &self.program else { return Ok(()) };
        if program.contains('/') {
            let message = format!("`{}` is a path, not a program's name", program.escape_debug());
            return Err(mistake(
                agent,
                Some("program"),
                message,
                "give the file's name, and its directory in PATH",
            ));
        }
        match known.all().find(|other| other.program() == program) {
            Some(other) => {
                let message = format!("`{program}` is the program of `{}` as well", other.name());
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
                "a pattern is a regular expression for a line",
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
