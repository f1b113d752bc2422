use std::fs;

use serde_json::{Value, json};

use super::*;
use crate::agent::Kind;

const SESSION: &str = "0a1b2c3d-0000-4000-8000-000000000001";
const LIMIT: &str = "You've hit your 5-hour limit · resets 1pm (UTC)";

fn result() -> Value {
    json!({ "type": "result", "subtype": "success", "is_error": true, "api_error_status": 429,
        "api_error": "usage_limit_reached", "terminal_reason": "api_error", "result": LIMIT, "num_turns": 1 })
}

fn answer() -> Value {
    json!({ "type": "assistant", "timestamp": "2026-11-22T10:00:01Z", "requestId": "r", "message": {
        "id": "m", "model": "claude-sonnet-5-5", "usage": { "output_tokens": 3 }, "content": [] } })
}

fn refusal() -> Value {
    json!({ "type": "assistant", "timestamp": "2026-11-22T10:00:02Z", "isApiErrorMessage": true,
        "error": "rate_limit", "apiErrorStatus": 429, "apiError": "usage_limit_reached",
        "message": { "id": "x", "content": [{ "type": "text", "text": LIMIT }] } })
}

/// The evidence of an attempt with JSON output that printed this text and recorded these rows; `None` for no
/// transcript.
fn collect(printed: &str, rows: Option<&[Value]>) -> Evidence {
    collect_as(true, printed, rows)
}

fn collect_as(prints_json: bool, printed: &str, rows: Option<&[Value]>) -> Evidence {
    let dir = tempfile::tempdir().unwrap();
    let began = "2026-11-22T10:00:00Z".parse().unwrap();
    let watch = transcript::watch(
        dir.path().to_owned(),
        Some(SESSION.into()),
        Path::new("/home/user/project"),
        began,
    );
    if let Some(rows) = rows {
        let folder = dir.path().join("-home-user-project");
        fs::create_dir(&folder).unwrap();
        let text = rows.iter().map(Value::to_string).collect::<Vec<_>>().join("\n");
        fs::write(folder.join(format!("{SESSION}.jsonl")), text).unwrap();
    }
    let captured = Captured { whole: Some(printed.into()), ..Captured::default() };
    let now = "2026-11-22T10:00:03[UTC]".parse().unwrap();
    let watch = rows.is_some().then_some(watch);
    Claude.collect(&LaunchPlan { watch, prints_json, ..LaunchPlan::default() }, &captured, &now)
}

fn kinds(evidence: &Evidence) -> Vec<Kind> {
    evidence.errors.iter().map(|error| error.kind).collect()
}

#[test]
fn an_answer_that_quotes_an_error_is_an_answer() {
    for printed in [LIMIT.to_owned(), result().to_string(), format!("{:#}\n", result())] {
        let evidence = collect(&printed, Some(&[answer()]));
        assert_eq!((evidence.errors.len(), evidence.said.len()), (0, 0), "{printed}");
    }
    let quoted = format!("This is it:\n{}\n", result());
    let evidence = collect(&quoted, None);
    assert_eq!((evidence.errors.len(), evidence.said.len()), (0, 0));
}

#[test]
fn the_transcript_takes_precedence_over_the_printed_output() {
    for printed in [LIMIT.to_owned(), result().to_string()] {
        for rows in [&[refusal()][..], &[answer(), refusal()]] {
            let evidence = collect(&printed, Some(rows));
            assert_eq!(kinds(&evidence), [Kind::UsageLimit]);
            assert_eq!(evidence.errors[0].rule, "transcript");
        }
    }
}

#[test]
fn without_a_transcript_the_printed_error_counts() {
    let evidence = collect(&format!("{}\n", result()), None);
    assert_eq!((kinds(&evidence), evidence.errors[0].rule.as_ref()), (vec![Kind::UsageLimit], "result"));
    assert_eq!(collect(&format!("{LIMIT}\n"), None).said, [LIMIT]);
}

#[test]
fn json_in_text_output_is_not_a_record() {
    for printed in [result().to_string(), format!("{:#}\n", result())] {
        assert_eq!(collect_as(false, &printed, None).errors, []);
    }
}

#[test]
fn without_a_transcript_the_printed_tokens_count() {
    let printed = json!({ "type": "result", "subtype": "success", "is_error": false, "num_turns": 1,
        "usage": { "output_tokens": 7 }, "modelUsage": { "claude-sonnet-5-5": { "outputTokens": 70 } } });
    let output = |rows: Option<&[Value]>| collect(&printed.to_string(), rows).usage.total().output_tokens;
    assert_eq!(output(None), 7);
    assert_eq!(output(Some(&[answer()])), 3);
    assert_eq!(output(Some(&[])), 0, "a transcript without an answer shows that there was none");
}

#[test]
fn standard_error_counts_only_for_errors_about_the_arguments() {
    for (stderr, said) in [
        ("Error: Session ID 11111111-2222-4333-8444-555555555555 is already in use.\n", 1),
        ("API Error: 429 {\"type\":\"error\"}\n", 0),
        ("Invalid API key\n", 0),
    ] {
        let captured = Captured { stderr: stderr.into(), ..Captured::default() };
        let now = "2026-11-22T10:00:03[UTC]".parse().unwrap();
        let evidence = Claude.collect(&LaunchPlan::default(), &captured, &now);
        assert_eq!(evidence.said.len(), said, "{stderr}");
    }
}
