//! Classifies a saved output of any agent. Called by `kage detect`.

use jiff::Zoned;

use super::{Agent, Agents, Case, Evidence, Exit};
use crate::pool::Outcome;

/// An output that the user saved.
#[derive(Clone, Copy)]
pub struct Saved<'a> {
    pub text: &'a [u8],
    pub exit: Exit,
    /// When it was printed.
    pub at: &'a Zoned,
}

/// The meaning of a saved output.
pub struct Detected {
    /// The agent that printed it, if kage recognizes it.
    pub agent: Option<&'static dyn Agent>,
    pub outcome: Outcome,
}

impl Detected {
    /// Whether the outcome comes from the text, not only from the exit status.
    fn is_from_text(&self) -> bool {
        self.outcome.rule != "exit"
    }
}

impl Agents {
    /// Tries the named agent, or all agents. The text is first tried as a record of each agent, and as plain
    /// text only if no agent recognizes it as its record.
    pub fn detect(&self, named: Option<&'static dyn Agent>, saved: Saved<'_>) -> Detected {
        let tried = self.all().filter(|agent| named.is_none_or(|named| named.name() == agent.name()));
        let examined: Vec<_> = tried.map(|agent| (agent, agent.examine(saved.text, saved.at))).collect();
        let judge = |agent: &'static dyn Agent, evidence: &Evidence| {
            let case =
                Case { exit: saved.exit, evidence, more: self.markers(agent), model: None, now: saved.at };
            Detected { agent: Some(agent), outcome: agent.judge(&case) }
        };
        let records: Vec<_> =
            examined.iter().map(|(agent, evidence)| (*agent, without_text(evidence))).collect();
        let from_text =
            |(agent, evidence): &(_, _)| Some(judge(*agent, evidence)).filter(Detected::is_from_text);
        let known = |(_, evidence): &&(_, Evidence)| *evidence != Evidence::default();
        if let Some(detected) = records.iter().find_map(from_text) {
            detected
        } else if let Some((agent, evidence)) = records.iter().find(known) {
            judge(*agent, evidence)
        } else if let Some(detected) = examined.iter().find_map(from_text) {
            detected
        } else if let Some(agent) = named {
            // The agent decides what its exit status means.
            judge(agent, &Evidence::default())
        } else {
            Detected { agent: None, outcome: super::verdict::by_exit_alone(saved.exit) }
        }
    }
}

fn without_text(evidence: &Evidence) -> Evidence {
    Evidence { said: Vec::new(), ..evidence.clone() }
}
