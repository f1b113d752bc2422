use super::*;
use crate::agent::Kind;

const OPENING: &str = r#"{"type":"thread.started","thread_id":"01a20661-dd1f-7e72-9377-3a033fcbd2ef"}"#;
const WARNING: &str =
    r#"{"type":"item.completed","item":{"id":"item_0","type":"error","message":"No metadata."}}"#;
const TURN: &str = r#"{"type":"turn.started"}"#;
const RETRY: &str =
    r#"{"type":"error","message":"Reconnecting... 1/5 (last status: 429 Too Many Requests)"}"#;
const ERROR: &str = r#"{"type":"error","message":"You’ve hit your usage limit. Try again later."}"#;
const FAILED: &str =
    r#"{"type":"turn.failed","error":{"message":"You’ve hit your usage limit. Try again later."}}"#;
const ANSWER: &str =
    r#"{"type":"item.completed","item":{"id":"item_1","type":"agent_message","text":"\"error\""}}"#;
const TOOL: &str =
    r#"{"type":"item.started","item":{"id":"item_1","type":"command_execution","command":"ls"}}"#;

fn evidence(lines: &[&str]) -> Option<Evidence> {
    let now = "2026-11-22T10:12:00Z[UTC]".parse().unwrap();
    read(lines.iter().map(|line| line.as_bytes()), &now)
}

#[test]
fn a_line_is_progress_unless_it_opens_fails_or_warns() {
    for (line, kind) in [
        (OPENING, Line::Opening),
        (TURN, Line::Neutral),
        (WARNING, Line::Neutral),
        (RETRY, Line::Neutral),
        (ERROR, Line::Failure),
        (FAILED, Line::Failure),
        (ANSWER, Line::Progress),
        (TOOL, Line::Progress),
        (r#"{"type":"turn.completed","usage":{"input_tokens":1}}"#, Line::Progress),
        ("not JSON with an \"error\" in it", Line::Progress),
    ] {
        assert_eq!(classify(line.as_bytes()), kind, "{line}");
    }
}

#[test]
fn the_lines_of_a_refused_attempt_tell_its_session_and_its_error() {
    let evidence = evidence(&[OPENING, WARNING, TURN, RETRY, ERROR, FAILED]).unwrap();
    assert_eq!(evidence.session.as_deref(), Some("01a20661-dd1f-7e72-9377-3a033fcbd2ef"));
    assert_eq!(evidence.work, Work::None);
    let kinds: Vec<_> = evidence.errors.iter().map(|error| error.kind).collect();
    assert_eq!(kinds, [Kind::UsageLimit]);
}

#[test]
fn an_answer_or_a_tool_is_work() {
    for line in [ANSWER, TOOL] {
        assert_eq!(evidence(&[OPENING, TURN, line, FAILED]).unwrap().work, Work::Done);
    }
}

#[test]
fn what_is_no_event_says_nothing() {
    assert_eq!(evidence(&["{\"type\":\"other\"}", "usage limit", ""]), None);
}

#[test]
fn the_header_of_standard_error_names_the_session() {
    let header =
        "OpenAI Codex v0.169.0\n--------\nmodel: x\nsession id: 01a20661-dd1f-7e72-9377-3a033fcbd2ef\n";
    assert_eq!(session(header.as_bytes()).as_deref(), Some("01a20661-dd1f-7e72-9377-3a033fcbd2ef"));
    assert_eq!(session(b"session id: unknown\n"), None);
}

#[test]
fn the_last_words_lose_what_stands_before_each_error() {
    assert_eq!(last_words(b"user\nhi\nERROR: Quota exceeded.\ntokens used\n0\n"), ["Quota exceeded."]);
}
