//! The agents that there are: kage's own, and those of the user's config.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::path::Path;

use super::custom::Custom;
use super::{Agent, Definition, Marker, claude, codex, gemini};

const BUILT_IN: [&dyn Agent; 3] = [&claude::Claude, &codex::Codex, &gemini::Gemini];

/// Every agent, with the user's own markers for it.
#[derive(Clone)]
pub struct Agents(Vec<Known>);

#[derive(Clone)]
struct Known {
    agent: &'static dyn Agent,
    markers: Vec<Marker>,
}

impl Default for Agents {
    fn default() -> Self {
        Self(BUILT_IN.map(|agent| Known { agent, markers: Vec::new() }).to_vec())
    }
}

impl std::fmt::Debug for Agents {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_list().entries(self.0.iter().map(|known| known.agent.name())).finish()
    }
}

impl Agents {
    /// kage's own agents and the user's. A definition under a known name only adds markers to it.
    pub fn with(definitions: BTreeMap<String, Definition>) -> Self {
        let mut agents = Self::default();
        for (name, definition) in definitions {
            let (markers, custom) = Custom::new(name, definition);
            match agents.0.iter_mut().find(|known| known.agent.name() == custom.name()) {
                Some(known) => known.markers = markers,
                // Agents live as long as the program, and a config is read once.
                None => agents.0.push(Known { agent: Box::leak(Box::new(custom)), markers }),
            }
        }
        agents
    }

    /// The agent of a name.
    pub fn find(&self, name: &str) -> Option<&'static dyn Agent> {
        self.all().find(|agent| agent.name() == name)
    }

    /// The agent whose program this is, by its file name.
    pub fn of_program(&self, program: &OsStr) -> Option<&'static dyn Agent> {
        let program = Path::new(program).file_name()?.to_str()?;
        self.all().find(|agent| agent.program() == program)
    }

    pub fn all(&self) -> impl Iterator<Item = &'static dyn Agent> {
        self.0.iter().map(|known| known.agent)
    }

    /// The user's own markers for an agent.
    pub fn markers(&self, agent: &dyn Agent) -> &[Marker] {
        let known = self.0.iter().find(|known| known.agent.name() == agent.name());
        known.map_or(&[], |known| &known.markers)
    }

    /// The names of all agents, for a person.
    pub fn names(&self) -> String {
        self.all().map(Agent::name).collect::<Vec<_>>().join(", ")
    }
}
