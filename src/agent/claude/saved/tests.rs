use serde_json::{Value, json};

use super::*;
use crate::agent::{Kind, ProviderError};

fn now() -> Zoned {
    "2026-11-22T11:10:00[Europe/Berlin]".parse().unwrap()
}

fn error(text: &str) -> Option<ProviderError> {
    examine(text.as_bytes(), &now()).errors.into_iter().next_back()
}

fn kind(text: &str) -> Option<Kind> {
    error(text).map(|error| error.kind)
}

fn row(answered: bool) -> Value {
    let text = "You've hit your weekly limit · resets 10am";
    let mut row = json!({ "type": "assistant", "timestamp": "2026-10-01T20:00:00.000Z", "isSidechain": false,
        "message": { "id": "m", "model": "claude-sonnet-5-5", "usage": { "output_tokens": 3 },
            "content": [{ "type": "text", "text": text }] } });
    if !answered {
        row["isApiErrorMessage"] = json!(true);
        row["error"] = json!("rate_limit");
        row["message"]["model"] = json!("<synthetic>");
    }
    row
}

#[test]
fn a_row_is_read_on_one_line_on_several_lines_and_among_others() {
    let limit = row(false);
    let user = json!({ "type": "user", "message": { "content": "hi" } });
    for text in [limit.to_string(), format!("{limit:#}\n"), format!("{user}\n{limit}\n")] {
        let error = error(&text).unwrap();
        // The next 10am after the row was written, not after it was read.
        assert_eq!(error.resets_at.map(|at| at.to_string()).as_deref(), Some("2026-10-02T08:00:00Z"));
        assert_eq!((error.kind, error.rule.as_ref()), (Kind::UsageLimit, "transcript"));
    }
}

#[test]
fn an_answer_after_the_limit_is_noticed() {
    let text = format!("{}\n{}\n", row(false), row(true));
    assert!(error(&text).is_some_and(|error| error.answered_since));
    let text = format!("{}\n{}\n", row(true), row(false));
    assert!(error(&text).is_some_and(|error| !error.answered_since));
}

#[test]
fn each_class_of_a_hook_failure_has_its_kind() {
    for (class, message, expected) in [
        ("rate_limit", "You've hit your 5-hour limit · resets 1pm (UTC)", Some(Kind::UsageLimit)),
        ("rate_limit", "API Error: Request rejected (429) · slow down", Some(Kind::Throttled)),
        ("rate_limit", "", Some(Kind::Throttled)),
        ("authentication_failed", "Not logged in · Please run /login", Some(Kind::Auth)),
        ("oauth_org_not_allowed", "Your organization has disabled it", Some(Kind::Organization)),
        ("billing_error", "Credit balance is too low", Some(Kind::Billing)),
        ("server_error", "API Error: 529 Overloaded", Some(Kind::Overloaded)),
        ("unknown", "API Error: Connection refused (ECONNREFUSED)", Some(Kind::Network)),
        ("unknown", "I stop here.", None),
        ("invalid_request", "API Error: 400", None),
        ("max_output_tokens", "It is too long", None),
    ] {
        let input = json!({ "session_id": "s", "hook_event_name": "StopFailure", "error": class,
            "transcript_path": "/home/user/x.jsonl", "last_assistant_message": message });
        assert_eq!(kind(&input.to_string()), expected, "{class}: {message}");
    }
}

#[test]
fn a_hook_failure_has_the_window_and_reset_time_of_its_message() {
    let input = json!({ "hook_event_name": "StopFailure", "error": "rate_limit",
        "last_assistant_message": "You’ve hit your Opus limit · resets Nov 25, 10am (UTC)" });
    let error = error(&input.to_string()).unwrap();
    assert_eq!((error.scope.to_string(), error.rule.as_ref()), ("model:opus".into(), "StopFailure hook"));
    assert_eq!(error.window.map(|window| window.name).as_deref(), Some("seven_day_opus"));
    assert_eq!(error.resets_at.map(|at| at.to_string()).as_deref(), Some("2026-11-25T10:00:00Z"));
}

#[test]
fn inputs_of_other_hooks_and_of_the_status_line_contain_no_error() {
    let text = "You've hit your 5-hour limit · resets 1pm (UTC)";
    for input in [
        json!({ "hook_event_name": "Stop", "last_assistant_message": text }),
        json!({ "hook_event_name": "SessionEnd", "reason": "other" }),
        json!({ "hook_event_name": "UserPromptSubmit", "prompt": text }),
        json!({ "hook_event_name": "StopFailure", "error": "rate_limit", "agent_id": "a1",
            "last_assistant_message": text }),
        json!({ "session_id": "s", "rate_limits": { "five_hour": { "used_percentage": 100 } } }),
        json!({ "authorization": "Bearer x", "messages": [["user", [text]]], "behaviour": "429five" }),
    ] {
        assert_eq!(kind(&input.to_string()), None, "{input}");
    }
    let failure = json!({ "hook_event_name": "StopFailure", "error": "rate_limit",
        "last_assistant_message": text });
    let stop = json!({ "hook_event_name": "Stop" });
    assert_eq!(kind(&format!("{failure}\n{stop}\n")), None);
    assert_eq!(kind(&format!("{stop}\n{failure}\n")), Some(Kind::UsageLimit));
}

const INIT: &str = r#"{"type":"system","subtype":"init"}"#;
const EVENT: &str =
    r#"{"type":"rate_limit_event","rate_limit_info":{"status":"rejected","rateLimitType":"five_hour"}}"#;
const RESULT: &str = r#"{"type":"result","subtype":"success","is_error":true}"#;

#[test]
fn a_whole_stream_may_contain_other_output() {
    let noise = "(node:7) Warning: x";
    assert_eq!(kind(&format!("{INIT}\n{noise}\n{EVENT}\n{RESULT}\n")), Some(Kind::UsageLimit));
    for quoted in [format!("{noise}\n{INIT}\n{EVENT}\n{RESULT}\n"), format!("{INIT}\n{EVENT}\n{noise}\n")] {
        assert_eq!(kind(&quoted), None, "{quoted}");
    }
}

#[test]
fn only_a_single_line_of_text_can_be_an_error() {
    let said = |text: &str| examine(text.as_bytes(), &now()).said;
    assert_eq!(said("\n You've hit your limit \n\n"), [" You've hit your limit "]);
    assert!(said("You've hit your limit\nYou've hit your limit\n").is_empty());
    assert!(said(&format!("{INIT}\n")).is_empty());
}
