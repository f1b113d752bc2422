use serde_json::json;

use super::*;
use crate::agent::Kind;

fn now() -> Zoned {
    "2026-11-22T10:00:00Z[UTC]".parse().unwrap()
}

fn line(value: Value) -> Vec<u8> {
    value.to_string().into_bytes()
}

fn read_all(lines: &[Vec<u8>]) -> Printed {
    read(lines.iter().map(Vec::as_slice), &now())
}

fn refused() -> Value {
    json!({
        "type": "result", "timestamp": "2026-11-22T10:00:00Z", "status": "error",
        "error": {
            "type": "unknown",
            "message": "[API Error: You have exhausted your daily quota on this model.]\nPlease wait.",
        },
        "stats": { "total_tokens": 0, "models": { "gemini-x": { "total_tokens": 0, "input_tokens": 0 } } },
    })
}

#[test]
fn each_line_is_classified() {
    let table = [
        (json!({ "type": "init", "session_id": "x", "model": "auto" }), Line::Opening),
        (json!({ "type": "message", "role": "user", "content": "say \"error\"" }), Line::Neutral),
        (
            json!({ "type": "message", "role": "assistant", "content": "the \"user\"", "delta": true }),
            Line::Progress,
        ),
        (json!({ "type": "tool_use", "tool_name": "x", "parameters": {} }), Line::Progress),
        (json!({ "type": "tool_result", "status": "error", "output": "no" }), Line::Progress),
        (json!({ "type": "error", "severity": "warning", "message": "loop" }), Line::Neutral),
        (json!({ "type": "result", "status": "success", "stats": {} }), Line::Neutral),
        (refused(), Line::Failure),
    ];
    for (value, expected) in table {
        assert_eq!(classify(&line(value.clone())), expected, "{value}");
    }
    assert_eq!(classify(b"a warning of a hook: \"error\""), Line::Progress);
    assert_eq!(classify(br#"["init","a list is no event"]"#), Line::Progress);
}

#[test]
fn the_result_of_a_stream_contains_the_error_and_the_sums() {
    let printed =
        read_all(&[line(json!({ "type": "init", "session_id": "x", "model": "auto" })), line(refused())]);
    assert_eq!((printed.work, printed.session.as_deref()), (Work::None, Some("x")));
    assert_eq!(printed.error.unwrap().kind, Kind::UsageLimit);
    assert_eq!(printed.usage, Usage::default());
    let sums =
        json!({ "total_tokens": 125, "input_tokens": 100, "output_tokens": 20, "cached": 60, "input": 40 });
    let end = json!({ "type": "result", "status": "success", "stats": { "models": { "gemini-x": sums } } });
    let printed = read_all(&[line(end)]);
    let count = TokenCount {
        input_tokens: 40,
        output_tokens: 25,
        cache_read_tokens: 60,
        reasoning_tokens: 5,
        ..TokenCount::default()
    };
    assert_eq!(printed.usage.models(), BTreeMap::from([("gemini-x", count)]));
    assert!(printed.error.is_none());
}

#[test]
fn an_object_contains_an_answer_and_the_sums() {
    let tokens = json!({
        "input": 40, "prompt": 100, "candidates": 20, "total": 128, "cached": 60, "thoughts": 5, "tool": 3,
    });
    let sums = json!({ "api": { "totalRequests": 3, "totalErrors": 1 }, "tokens": tokens, "roles": {} });
    let answer = json!({ "session_id": "x", "response": "hi", "stats": { "models": { "gemini-x": sums } } });
    let printed = read_all(&[serde_json::to_vec_pretty(&answer).unwrap()]);
    assert_eq!((printed.work, printed.usage.requests), (Work::Done, 2));
    let count = TokenCount {
        input_tokens: 43,
        output_tokens: 25,
        cache_read_tokens: 60,
        reasoning_tokens: 5,
        ..TokenCount::default()
    };
    assert_eq!(printed.usage.models()["gemini-x"], count);
}

#[test]
fn an_object_at_the_end_of_standard_error_contains_the_error() {
    let error =
        json!({ "type": "Error", "message": "API key not valid. Please pass a valid API key.", "code": 400 });
    let object = json!({ "session_id": "x", "error": error });
    let pretty = serde_json::to_string_pretty(&object).unwrap();
    for stderr in [pretty.clone(), format!("trace {{\n  status: 400\n}}\n{pretty}\n")] {
        let printed = read(ending(stderr.as_bytes()).into_iter(), &now());
        assert_eq!(printed.error_in_object.unwrap().kind, Kind::Auth, "{stderr}");
    }
    assert!(ending(b"An unexpected critical error occurred").is_none());
}

#[test]
fn other_json_is_ignored() {
    let printed = read_all(&[line(json!({ "name": "x" })), line(json!([1])), b"text".to_vec()]);
    assert!(!printed.known && printed.error.is_none() && printed.error_in_object.is_none());
}
