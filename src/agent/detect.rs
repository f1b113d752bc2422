//! What a saved output means, whichever agent it is of. Called by `kage detect`.

use jiff::Zoned;

use super::{Agent, Agents, Case, Evidence, Exit};
use crate::pool::Outcome;

/// An output that somebody saved.
#[derive(Clone, Copy)]
pub struct Saved<'a> {
    pub text: &'a [u8],
    pub exit: Exit,
    /// When it was printed.
    pub at: &'a Zoned,
}

/// What it means.
pub struct Detected {
    /// Whose it is, where that shows.
    pub agent: Option<&'static dyn Agent>,
    pub outcome: Outcome,
}

impl Detected {
    /// Whether anything in the text told; else only the exit status did.
    fn is_told(&self) -> bool {
        self.outcome.rule != "exit"
    }
}

impl Agents {
    /// Tries one agent, or each: first the records of all, then, where none of them knows the text for a
    /// record of its own, their words.
    pub fn detect(&self, named: Option<&'static dyn Agent>, saved: Saved<'_>) -> Detected {
        let asked = self.all().filter(|agent| named.is_none_or(|named| named.name() == agent.name()));
        let examined: Vec<_> = asked.map(|agent| (agent, agent.examine(saved.text, saved.at))).collect();
        let judge = |agent: &'static dyn Agent, evidence: &Evidence| {
            let case = Case { exit: saved.exit, evidence, more: self.markers(agent), now: saved.at };
            Detected { agent: Some(agent), outcome: agent.judge(&case) }
        };
        let records: Vec<_> = examined.iter().map(|(agent, evidence)| (*agent, wordless(evidence))).collect();
        let told = |(agent, evidence): &(_, _)| Some(judge(*agent, evidence)).filter(Detected::is_told);
        let known = |(_, evidence): &&(_, Evidence)| *evidence != Evidence::default();
        if let Some(told) = records.iter().find_map(told) {
            told
        } else if let Some((agent, evidence)) = records.iter().find(known) {
            judge(*agent, evidence)
        } else if let Some(told) = examined.iter().find_map(told) {
            told
        } else if let Some(agent) = named {
            // What its exit status means is for the agent to say.
            judge(agent, &Evidence::default())
        } else {
            Detected { agent: None, outcome: super::verdict::by_exit_alone(saved.exit) }
        }
    }
}

fn wordless(evidence: &Evidence) -> Evidence {
    Evidence { said: Vec::new(), ..evidence.clone() }
}
