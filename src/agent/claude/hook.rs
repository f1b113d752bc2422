//! What Claude Code tells its hooks at the end of a turn: `Stop` of a good one, `StopFailure` of one that an
//! error ended. Measured: the class of the error and the line that the user saw, without the reset time.

use jiff::Zoned;
use serde::Deserialize;
use serde_json::Value;

use super::refusal::{Said, lenient, refusal};
use crate::agent::{Kind, ProviderError};

#[derive(Deserialize)]
struct Input {
    hook_event_name: String,
    #[serde(default, deserialize_with = "lenient")]
    error: Option<String>,
    #[serde(default, deserialize_with = "lenient")]
    last_assistant_message: Option<String>,
    /// Of a subagent's turn.
    agent_id: Option<Value>,
}

/// The error that the conversation stands at after these inputs.
pub(super) fn read<'a>(inputs: impl Iterator<Item = &'a [u8]>, now: &Zoned) -> Option<ProviderError> {
    let mut error = None;
    for input in inputs {
        let Ok(input) = serde_json::from_slice::<Input>(input) else { continue };
        match input.hook_event_name.as_str() {
            "StopFailure" if input.agent_id.is_none() => error = failure(&input, now),
            "Stop" => error = None,
            _ => {}
        }
    }
    error
}

fn failure(input: &Input, now: &Zoned) -> Option<ProviderError> {
    let text = input.last_assistant_message.as_deref().unwrap_or_default();
    let said = Said { class: input.error.as_deref(), text, ..Said::default() };
    Some(refusal(&said, None, now, "StopFailure hook")).filter(|error| error.kind != Kind::None)
}
