//! What Claude Code tells its hooks: where a conversation begins and ends, that a prompt was submitted, and
//! the end of a turn: `Stop` of a good one, `StopFailure` of one that an error ended. Measured: the class of
//! the error and the line that the user saw, without the reset time; the row of the transcript, which has it,
//! is written some 20 ms later.

use std::path::PathBuf;

use jiff::Zoned;
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::refusal::{Said, lenient, refusal};
use crate::agent::{HookEvent, Kind, ProviderError};

/// What kage listens to.
const EVENTS: [&str; 4] = ["SessionStart", "UserPromptSubmit", "StopFailure", "SessionEnd"];

/// Seconds after which the agent goes on without an answer.
const TIMEOUT: u32 = 5;

#[derive(Deserialize)]
struct Input {
    hook_event_name: String,
    #[serde(default, deserialize_with = "lenient")]
    session_id: Option<String>,
    #[serde(default, deserialize_with = "lenient")]
    transcript_path: Option<PathBuf>,
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

/// Adds kage's hooks to settings, behind those that are there. Settings of another form than the agent knows
/// are left alone.
pub(super) fn add(command: &str, settings: &mut Map<String, Value>) {
    let ours = json!({ "hooks": [{ "type": "command", "command": command, "timeout": TIMEOUT }] });
    let Some(hooks) = settings.entry("hooks").or_insert_with(|| json!({})).as_object_mut() else { return };
    for event in EVENTS {
        if let Some(known) = hooks.entry(event).or_insert_with(|| json!([])).as_array_mut()
            && !known.contains(&ours)
        {
            known.push(ours.clone());
        }
    }
}

/// What it means to kage. A subagent's turn is not the conversation's.
pub(super) fn parse(told: &[u8]) -> Option<HookEvent> {
    let input: Input = serde_json::from_slice(told).ok()?;
    if input.agent_id.is_some() {
        return None;
    }
    let session = input.session_id?;
    Some(match input.hook_event_name.as_str() {
        "SessionStart" => HookEvent::Began { session },
        "UserPromptSubmit" => HookEvent::Prompted { session },
        "StopFailure" => HookEvent::Failed { session, record: input.transcript_path? },
        "SessionEnd" => HookEvent::Ended { session },
        _ => return None,
    })
}

fn failure(input: &Input, now: &Zoned) -> Option<ProviderError> {
    let text = input.last_assistant_message.as_deref().unwrap_or_default();
    let said = Said { class: input.error.as_deref(), text, ..Said::default() };
    Some(refusal(&said, None, now, "StopFailure hook")).filter(|error| error.kind != Kind::None)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(text: &str) -> Option<HookEvent> {
        parse(text.as_bytes())
    }

    #[test]
    fn what_is_told_of_the_main_conversation_is_heard() {
        let session = || "s".to_owned();
        let told = r#"{"hook_event_name":"SessionStart","session_id":"s","source":"clear"}"#;
        assert_eq!(parsed(told), Some(HookEvent::Began { session: session() }));
        let told = r#"{"hook_event_name":"UserPromptSubmit","session_id":"s","prompt":"go on"}"#;
        assert_eq!(parsed(told), Some(HookEvent::Prompted { session: session() }));
        let told = r#"{"hook_event_name":"SessionEnd","session_id":"s","reason":"other"}"#;
        assert_eq!(parsed(told), Some(HookEvent::Ended { session: session() }));
        let told = r#"{"hook_event_name":"StopFailure","session_id":"s","transcript_path":"/t/s.jsonl"}"#;
        let failed = HookEvent::Failed { session: session(), record: "/t/s.jsonl".into() };
        assert_eq!(parsed(told), Some(failed));
    }

    #[test]
    fn what_is_not_the_conversations_is_not_heard() {
        let subagent =
            r#"{"hook_event_name":"StopFailure","session_id":"s","transcript_path":"/t","agent_id":"a"}"#;
        let other = r#"{"hook_event_name":"PreToolUse","session_id":"s"}"#;
        let broken = r#"{"hook_event_name":"StopFailure","session_id":"s""#;
        for told in [subagent, other, broken, "", "null", r#"{"hook_event_name":"StopFailure"}"#] {
            assert_eq!(parsed(told), None, "{told}");
        }
    }

    #[test]
    fn hooks_stand_behind_the_users_own_and_once() {
        let users = json!({ "matcher": "*", "hooks": [{ "type": "command", "command": "mine" }] });
        let mut settings = Map::new();
        settings.insert("hooks".into(), json!({ "SessionEnd": [users], "Stop": [users], "StopFailure": 7 }));
        add("kage hook", &mut settings);
        let once = settings.clone();
        add("kage hook", &mut settings);
        assert_eq!(settings, once);
        let hooks = &settings["hooks"];
        assert_eq!(hooks["SessionEnd"][0], users);
        assert_eq!(hooks["SessionEnd"][1]["hooks"][0]["command"], "kage hook");
        assert_eq!(hooks["SessionStart"].as_array().unwrap().len(), 1);
        assert_eq!((&hooks["Stop"], &hooks["StopFailure"]), (&json!([users]), &json!(7)));
    }
}
