//! The list of agents: the built-in ones, and those of the user's config.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::path::Path;

use super::custom::Custom;
use super::{Agent, Definition, Marker, claude, codex, gemini};

const BUILT_IN: [&dyn Agent; 3] = [&claude::Claude, &codex::Codex, &gemini::Gemini];

/// All agents, each with the user's own markers for it.
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
    /// Returns the built-in agents and the user's. A definition with the name of a built-in agent only adds
    /// markers to that agent.
    pub fn with(definitions: BTreeMap<String, Definition>) -> Self {
        let mut agents = Self::default();
        for (name, definition) in definitions {
            let (markers, custom) = Custom::new(name, definition);
            match agents.0.iter_mut().find(|known| known.agent.name() == custom.name()) {
                Some(known) => known.markers = markers,
                // Leaked on purpose: agents are used until the process exits, and the config is read once.
                None => agents.0.push(Known { agent: Box::leak(Box::new(custom)), markers }),
            }
        }
        agents
    }

    /// Returns the agent with this name.
    pub fn find(&self, name: &str) -> Option<&'static dyn Agent> {
        self.all().find(|agent| agent.name() == name)
    }

    /// Returns the agent whose program has this file name.
    pub fn of_program(&self, program: &OsStr) -> Option<&'static dyn Agent> {
        let program = Path::new(program).file_name()?.to_str()?;
        self.all().find(|agent| agent.program() == program)
    }

    pub fn all(&self) -> impl Iterator<Item = &'static dyn Agent> {
        self.0.iter().map(|known| known.agent)
    }

    /// Returns the user's own markers for an agent.
    pub fn markers(&self, agent: &dyn Agent) -> &[Marker] {
        let known = self.0.iter().find(|known| known.agent.name() == agent.name());
        known.map_or(&[], |known| &known.markers)
    }

    /// Returns the names of all agents, as text for the user.
    pub fn names(&self) -> String {
        self.all().map(Agent::name).collect::<Vec<_>>().join(", ")
    }
}
