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
        (r#"["error","","a list is no event"]"#, Line::Progress),
    ] {
        assert_eq!(classify(line.as_bytes()), kind, "{line}");
    }
}

#[test]
fn the_lines_of_a_refused_attempt_contain_its_session_and_its_error() {
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
fn lines_that_are_not_events_are_no_evidence() {
    assert_eq!(evidence(&["{\"type\":\"other\"}", "usage limit", ""]), None);
}

#[test]
fn the_header_of_standard_error_names_the_session() {
    let header =
        "OpenAI Codex v0.171.0\n--------\nmodel: x\nsession id: 01a20661-dd1f-7e72-9377-3a033fcbd2ef\n";
    assert_eq!(session(header.as_bytes()).as_deref(), Some("01a20661-dd1f-7e72-9377-3a033fcbd2ef"));
    assert_eq!(session(b"session id: unknown\n"), None);
}

#[test]
fn the_error_at_the_end_loses_its_prefix() {
    assert_eq!(error_lines(b"user\nhi\nERROR: Quota exceeded.\ntokens used\n0\n"), ["Quota exceeded."]);
}

#[test]
fn an_error_before_the_last_one_may_come_from_a_tool() {
    let limit = "ERROR: You've hit your usage limit.\n";
    for (rest, last) in [
        ("ERROR: Input too odd.\n", vec!["Input too odd."]),
        ("ERROR: Input too odd.\nERROR: Input too odd.\n", vec!["Input too odd."]),
        ("ERROR: Input too odd.\ntokens used\n1,234\n", vec!["Input too odd."]),
        ("codex\nI am done.\n", vec![]),
        ("codex\nError: You've hit your usage limit.\n", vec![]),
    ] {
        let stderr = format!("OpenAI Codex v0.171.0\n--------\nexec\n{limit}{rest}");
        assert_eq!(error_lines(stderr.as_bytes()), last, "{stderr}");
    }
    let refused =
        "error: unexpected argument '--x' found\n\nUsage: codex exec\n\nFor more information, try\n";
    assert_eq!(error_lines(refused.as_bytes()), ["error: unexpected argument '--x' found"]);
}

#[test]
fn a_saved_text_must_be_a_log_or_only_notices_or_one_line() {
    for (text, said) in [
        ("ERROR: x\n", vec!["x"]),
        ("You've hit your usage limit.\n", vec!["You've hit your usage limit."]),
        ("warning: w\nERROR: x\nERROR: x\ntokens used\n0\n", vec!["x"]),
        ("OpenAI Codex v0.171.0\nuser\nhi\nERROR: x\n", vec!["x"]),
        ("I grepped:\nERROR: x\n", vec![]),
        ("Error: x\nis what it says\n", vec![]),
    ] {
        assert_eq!(saved_error_lines(text.as_bytes()), said, "{text}");
    }
}

#[test]
fn an_error_event_of_another_program_is_not_the_agents() {
    let foreign = r#"{"level":"info","type":"error","message":"rate limit exceeded: x"}"#;
    for (lines, is) in [
        (vec![OPENING, ERROR], true),
        (vec![FAILED], true),
        (vec![ERROR], true),
        (vec![ERROR, ERROR], true),
        (vec![foreign], false),
        (vec![ERROR, foreign], false),
    ] {
        let lines: Vec<_> = lines.iter().map(|line| line.as_bytes()).collect();
        assert_eq!(are_events(&lines), is);
    }
}
