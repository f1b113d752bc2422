//! Reads what Claude Code reports to its hooks: the beginning and the end of a conversation, a submitted
//! prompt, and the end of a turn (`Stop` after success, `StopFailure` after an error). Measured:
//! `StopFailure` contains the error class and the line that the user saw, but not the reset time. The
//! transcript row that contains the reset time is written about 20 ms later.

use std::path::PathBuf;

use jiff::Zoned;
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::refusal::{ErrorFields, lenient, refusal};
use crate::agent::{HookEvent, Kind, ProviderError};

/// The events that kage handles.
const EVENTS: [&str; 4] = ["SessionStart", "UserPromptSubmit", "StopFailure", "SessionEnd"];

/// How long the agent waits for a hook, in seconds.
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
    /// Set only for a subagent's turn.
    agent_id: Option<Value>,
}

/// Returns the error that the conversation ends with after these inputs.
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

/// Adds kage's hooks to settings, after the existing hooks. Settings that are not in the agent's format stay
/// as they are.
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

/// Parses the input of a hook. A subagent's turn does not belong to the conversation.
pub(super) fn parse(input: &[u8]) -> Option<HookEvent> {
    let input: Input = serde_json::from_slice(input).ok()?;
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
    let fields = ErrorFields { class: input.error.as_deref(), text, ..ErrorFields::default() };
    Some(refusal(&fields, None, now, "StopFailure hook")).filter(|error| error.kind != Kind::None)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(text: &str) -> Option<HookEvent> {
        parse(text.as_bytes())
    }

    #[test]
    fn events_of_the_main_conversation_are_parsed() {
        let session = || "s".to_owned();
        let input = r#"{"hook_event_name":"SessionStart","session_id":"s","source":"clear"}"#;
        assert_eq!(parsed(input), Some(HookEvent::Began { session: session() }));
        let input = r#"{"hook_event_name":"UserPromptSubmit","session_id":"s","prompt":"go on"}"#;
        assert_eq!(parsed(input), Some(HookEvent::Prompted { session: session() }));
        let input = r#"{"hook_event_name":"SessionEnd","session_id":"s","reason":"other"}"#;
        assert_eq!(parsed(input), Some(HookEvent::Ended { session: session() }));
        let input = r#"{"hook_event_name":"StopFailure","session_id":"s","transcript_path":"/t/s.jsonl"}"#;
        let failed = HookEvent::Failed { session: session(), record: "/t/s.jsonl".into() };
        assert_eq!(parsed(input), Some(failed));
    }

    #[test]
    fn subagents_and_unknown_events_are_ignored() {
        let subagent =
            r#"{"hook_event_name":"StopFailure","session_id":"s","transcript_path":"/t","agent_id":"a"}"#;
        let other = r#"{"hook_event_name":"PreToolUse","session_id":"s"}"#;
        let broken = r#"{"hook_event_name":"StopFailure","session_id":"s""#;
        for input in [subagent, other, broken, "", "null", r#"{"hook_event_name":"StopFailure"}"#] {
            assert_eq!(parsed(input), None, "{input}");
        }
    }

    #[test]
    fn hooks_are_added_once_and_after_the_users_own() {
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
