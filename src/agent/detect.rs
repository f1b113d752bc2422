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
        let text = without_notices(saved.text);
        let examined: Vec<_> = tried.map(|agent| (agent, agent.examine(text, saved.at))).collect();
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

/// Lines that the agents print on standard error, whatever happens. They come before or after the record if both
/// streams were saved in one file.
const NOTICES: [&str; 10] = [
    "Warning: no stdin data received",
    "Pre-flight check is taking longer than expected",
    "(node:",
    "(Use `node --trace-",
    "Reading prompt from stdin...",
    "Reading additional input from stdin...",
    "Loaded cached credentials.",
    "Data collection is disabled.",
    "YOLO mode is enabled.",
    "Ripgrep is not available.",
];

/// Returns the text without the notices at its beginning and its end, and without a byte order mark.
fn without_notices(text: &[u8]) -> &[u8] {
    let is_notice = |line: &[u8]| {
        let line = line.trim_ascii();
        line.is_empty() || NOTICES.iter().any(|notice| line.starts_with(notice.as_bytes()))
    };
    let mut text = text.strip_prefix("\u{feff}".as_bytes()).unwrap_or(text);
    while let Some(end) = text.iter().position(|&byte| byte == b'\n') {
        if !is_notice(&text[..end]) {
            break;
        }
        text = &text[end + 1..];
    }
    loop {
        let body = text.strip_suffix(b"\n").unwrap_or(text);
        let begin = body.iter().rposition(|&byte| byte == b'\n').map_or(0, |at| at + 1);
        if begin == 0 || !is_notice(&body[begin..]) {
            return text;
        }
        text = &text[..begin];
    }
}

fn without_text(evidence: &Evidence) -> Evidence {
    Evidence { said: Vec::new(), ..evidence.clone() }
}
