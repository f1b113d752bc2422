//! Tests against false positives: outputs that mention limits but do not report one, from agents that search,
//! quote, test and discuss them. The samples are in `tests/innocent/`; each is tried in every output format
//! of Claude Code.

use jiff::Zoned;
use proptest::prelude::*;
use serde_json::{Value, json};

use super::{Agents, Exit, Saved};
use crate::pool::Verdict;

/// Lines and texts that never mean a limit, with any exit status.
const LINES: &str = include_str!("../../tests/innocent/lines.txt");
const TEXTS: &str = include_str!("../../tests/innocent/texts.txt");
/// Sentences that mean a limit if they are the whole output of a failed run.
const EXACT: &str = include_str!("../../tests/innocent/exact.txt");
/// Records that mean a limit if they are the whole output.
const RECORDS: &str = include_str!("../../tests/innocent/records.txt");

/// Returns the verdict, with the rule and the line that led to it.
fn detect(agent: Option<&str>, text: &str, exit: i32) -> (Verdict, String) {
    let now: Zoned = "2026-11-22T10:10:00[Europe/Berlin]".parse().unwrap();
    let agents = Agents::default();
    let saved = Saved { text: text.as_bytes(), exit: Exit::Code(exit), at: &now };
    let outcome = agents.detect(agent.and_then(|name| agents.find(name)), saved).outcome;
    (outcome.verdict, format!("{}: {}", outcome.rule, outcome.evidence.unwrap_or_default()))
}

/// Checks that Claude Code's verdict depends only on the exit status, and that no agent's verdict is about
/// the subscription or the state of the provider.
fn check(text: &str, exit: i32) -> Result<(), String> {
    let (claude, why) = detect(Some("claude"), text, exit);
    if !matches!(claude, Verdict::Succeeded | Verdict::AgentFailed) {
        return Err(format!("{claude:?} by {why}\nexit {exit} of claude:\n{text}"));
    }
    let (verdict, why) = detect(None, text, exit);
    match verdict {
        Verdict::Succeeded
        | Verdict::AgentFailed
        | Verdict::NotStarted
        | Verdict::Unreachable
        | Verdict::TimedOut => Ok(()),
        _ => Err(format!("{verdict:?} by {why}\nexit {exit} of:\n{text}")),
    }
}

fn assert_innocent(text: &str, exit: i32) {
    if let Err(why) = check(text, exit) {
        panic!("{why}");
    }
}

fn samples() -> Vec<&'static str> {
    let files = [LINES.lines(), EXACT.lines(), RECORDS.lines()];
    files.into_iter().flatten().chain(TEXTS.trim_end().split("\n%%\n")).collect()
}

fn lines(events: &[Value]) -> String {
    events.iter().map(Value::to_string).collect::<Vec<_>>().join("\n")
}

fn answer(text: &str) -> Value {
    json!({ "type": "assistant", "parent_tool_use_id": null, "session_id": "s", "uuid": "u",
        "message": { "id": "m2", "role": "assistant", "model": "claude-sonnet-5-5",
            "content": [{ "type": "text", "text": text }],
            "usage": { "input_tokens": 9, "output_tokens": 3 } } })
}

fn tool_use(text: &str) -> Value {
    json!({ "type": "assistant", "session_id": "s",
        "message": { "id": "m1", "model": "claude-sonnet-5-5", "content": [{ "type": "tool_use", "id": "t1",
            "name": "Bash", "input": { "command": format!("grep -rn '{text}' .") } }] } })
}

fn tool_result(text: &str) -> Value {
    let parsed: Value = serde_json::from_str(text).unwrap_or_default();
    json!({ "type": "user", "session_id": "s", "parent_tool_use_id": null,
        "message": { "role": "user",
            "content": [{ "type": "tool_result", "tool_use_id": "t1", "content": text, "is_error": true }] },
        "tool_use_result": { "stdout": text, "stderr": text, "json": parsed, "is_error": true } })
}

fn result(text: &str, more: &Value) -> Value {
    let mut result = json!({ "type": "result", "subtype": "success", "is_error": false, "num_turns": 2,
        "result": text, "terminal_reason": "completed", "api_error_status": null, "session_id": "s",
        "usage": { "output_tokens": 3 } });
    result.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    result
}

/// Returns what `--output-format stream-json` prints for a conversation about the text.
fn stream(text: &str) -> Vec<Value> {
    let warning = json!({ "status": "allowed_warning", "rateLimitType": "five_hour", "utilization": 0.92,
        "resetsAt": 1_795_352_400, "isUsingOverage": false });
    vec![
        json!({ "type": "system", "subtype": "init", "model": "claude-sonnet-5-5", "session_id": "s" }),
        json!({ "type": "user", "isReplay": true, "message": { "role": "user", "content": text } }),
        tool_use(text),
        json!({ "type": "rate_limit_event", "rate_limit_info": warning }),
        tool_result(text),
        json!({ "type": "system", "subtype": "hook_response", "stdout": text, "stderr": text }),
        json!({ "type": "stream_event", "event": { "type": "content_block_delta", "delta": { "text": text } } }),
        answer(text),
        result(text, &json!({})),
    ]
}

/// Returns the rows of a transcript of that conversation.
fn rows(text: &str) -> Vec<Value> {
    let dated = |mut row: Value| {
        row["timestamp"] = json!("2026-11-22T10:05:00.000Z");
        row["isSidechain"] = json!(false);
        row
    };
    let events = [
        json!({ "type": "queue-operation", "operation": "enqueue", "content": text }),
        json!({ "type": "user", "message": { "role": "user", "content": text } }),
        tool_use(text),
        tool_result(text),
        json!({ "type": "attachment", "attachment": { "type": "file", "content": text } }),
        answer(text),
        json!({ "type": "summary", "summary": text }),
        json!({ "type": "last-prompt", "lastPrompt": text }),
    ];
    events.into_iter().map(dated).collect()
}

/// Returns the text in every output format except plain text. None of them is a limit, with any exit status.
fn wrapped(text: &str) -> Vec<String> {
    let stream = stream(text);
    let turns = json!({ "subtype": "error_max_turns", "is_error": true, "terminal_reason": "max_turns" });
    let stopped = json!({ "is_error": true, "terminal_reason": "aborted" });
    vec![
        lines(&stream),
        lines(&stream[..8]),
        lines(&stream[..5]),
        lines(&stream[2..]),
        Value::Array(stream.clone()).to_string(),
        format!("{:#}\n", Value::Array(stream)),
        lines(&[result(text, &json!({}))]),
        format!("{:#}", result(text, &json!({}))),
        lines(&[result(text, &turns)]),
        lines(&[result(text, &stopped)]),
        lines(&rows(text)),
        lines(&[json!({ "hook_event_name": "Stop", "last_assistant_message": text, "session_id": "s" })]),
        lines(&[json!({ "hook_event_name": "UserPromptSubmit", "prompt": text, "session_id": "s" })]),
        lines(&[json!({ "hook_event_name": "StopFailure", "agent_id": "a", "error": "rate_limit",
            "last_assistant_message": text })]),
    ]
}

#[test]
fn an_output_about_limits_is_not_a_limit() {
    let samples = samples();
    assert!(samples.len() >= 200, "{} samples", samples.len());
    for text in samples {
        for form in wrapped(text) {
            assert_innocent(&form, 0);
            assert_innocent(&form, 1);
        }
    }
}

#[test]
fn a_plain_text_about_limits_is_not_a_limit_with_any_exit_status() {
    for text in LINES.lines().chain(TEXTS.trim_end().split("\n%%\n")) {
        for form in
            [text.to_owned(), format!("{text}\n"), text.replace('\n', "\r\n"), format!("\n  {text}\n\n")]
        {
            assert_innocent(&form, 0);
            assert_innocent(&form, 1);
        }
    }
}

#[test]
fn a_limit_sentence_as_an_answer_is_not_a_limit_if_the_run_succeeded() {
    for text in EXACT.lines() {
        assert_innocent(text, 0);
        let (verdict, _) = detect(Some("claude"), text, 1);
        assert!(!matches!(verdict, Verdict::AgentFailed), "`{text}` is no longer recognized");
    }
}

#[test]
fn a_sentence_or_record_within_an_answer_is_not_a_limit_with_any_exit_status() {
    for text in EXACT.lines().chain(RECORDS.lines()) {
        for form in [
            format!("The last line was:\n{text}"),
            format!("{text}\nThat was the last line."),
            format!("Two runs:\n\n{text}\n{text}\n"),
            format!("```\n{text}\n```\n"),
            format!("- {text}\n"),
            format!("> {text}\n"),
            format!("`{text}`\n"),
            format!("It printed {text}\n"),
            format!("out.txt:3:{text}\n"),
        ] {
            assert_innocent(&form, 0);
            assert_innocent(&form, 1);
        }
    }
}

/// Returns what Codex prints, with and without `--json`, for a run whose tool output and answer contain the
/// text.
fn codex_outputs(text: &str) -> [String; 3] {
    let item = |kind: &str, more: &Value| {
        let mut item = json!({ "id": "item_1", "type": kind });
        item.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        json!({ "type": "item.completed", "item": item })
    };
    let events = [
        json!({ "type": "thread.started", "thread_id": "x" }),
        json!({ "type": "turn.started" }),
        item("command_execution", &json!({ "command": text, "aggregated_output": text, "exit_code": 1 })),
        item("agent_message", &json!({ "text": text })),
        json!({ "type": "turn.completed", "usage": { "input_tokens": 1 } }),
    ];
    let log = |end: &str| {
        format!(
            "OpenAI Codex v0.171.0\n--------\nmodel: x\n--------\nuser\n{text}\nexec\n/bin/bash -lc 'cat x'\n{text}\n\
             codex\n{text}\n{end}"
        )
    };
    [lines(&events), log("ERROR: Input too odd.\ntokens used\n1,234\n"), log("codex\nI am done.\n")]
}

/// Returns what Gemini CLI prints for that run: as an object, as lines, and as text with stack traces.
fn gemini_outputs(text: &str) -> [String; 3] {
    let object = json!({ "session_id": "x", "response": text, "stats": {} });
    let events = [
        json!({ "type": "init", "session_id": "x", "model": "auto" }),
        json!({ "type": "message", "role": "user", "content": text }),
        json!({ "type": "tool_result", "status": "error", "output": text }),
        json!({ "type": "message", "role": "assistant", "content": text, "delta": true }),
        json!({ "type": "result", "status": "success", "stats": {} }),
    ];
    let trace = format!(
        "Attempt 1 failed with status 429. Retrying with backoff... _ApiError: {{\"error\":{{\"code\":429}}}}\n    \
         at throwErrorIfNotOK (file:///opt/chunk.js:1:16) {{\n  status: 429\n}}\n\
         Error executing tool run_shell_command: {text}\nIt ended.\n"
    );
    [format!("{object:#}\n"), lines(&events), trace]
}

#[test]
fn an_output_of_another_agent_about_limits_is_not_a_limit() {
    for text in samples() {
        for (agent, forms) in [("codex", codex_outputs(text)), ("gemini", gemini_outputs(text))] {
            for (form, exit) in forms.iter().flat_map(|form| [(form, 0), (form, 1)]) {
                for named in [Some(agent), None] {
                    let (verdict, why) = detect(named, form, exit);
                    assert!(
                        matches!(verdict, Verdict::Succeeded | Verdict::AgentFailed),
                        "{verdict:?} by {why}\nexit {exit} of {agent}:\n{form}"
                    );
                }
            }
        }
    }
}

#[test]
fn a_plain_text_of_another_agent_is_not_a_limit_with_any_exit_status() {
    let mut known = Vec::new();
    for text in LINES.lines().chain(TEXTS.trim_end().split("\n%%\n")) {
        for (agent, exit) in [("codex", 0), ("codex", 1), ("gemini", 0), ("gemini", 1)] {
            let (verdict, why) = detect(Some(agent), text, exit);
            let is_innocent = match verdict {
                Verdict::Succeeded | Verdict::AgentFailed => true,
                Verdict::NotStarted | Verdict::Unreachable | Verdict::TimedOut => exit != 0,
                _ => false,
            };
            if !is_innocent {
                known.push(format!("{verdict:?} by {why}, exit {exit} of {agent}: {text}"));
            }
        }
    }
    assert!(known.is_empty(), "{known:#?}");
}

/// Words of the sample sentences, whole sentences, and other words.
fn word() -> impl Strategy<Value = String> {
    let known = EXACT.split_whitespace().chain(LINES.split_whitespace()).map(str::to_owned);
    prop_oneof![
        4 => prop::sample::select(known.collect::<Vec<_>>()),
        1 => prop::sample::select(EXACT.lines().map(str::to_owned).collect::<Vec<_>>()),
        1 => "\\PC{0,12}",
    ]
}

proptest! {
    #[test]
    fn no_text_of_a_run_that_succeeded_is_a_limit(words in prop::collection::vec(word(), 0..12), any in ".{0,200}") {
        for text in [words.join(" "), words.join("\n"), any] {
            prop_assert_eq!(check(&text, 0), Ok(()));
        }
    }

    #[test]
    fn no_prose_of_several_lines_is_a_limit(lines in prop::collection::vec(word(), 2..8), exit in 0..3) {
        let filled: Vec<_> = lines.into_iter().filter(|line| !line.trim().is_empty()).collect();
        prop_assume!(filled.len() > 1);
        prop_assert_eq!(check(&filled.join("\n"), exit), Ok(()));
    }

    #[test]
    fn no_text_inside_an_answer_is_a_limit(words in prop::collection::vec(word(), 0..8), exit in 0..2) {
        for form in wrapped(&words.join(" ")) {
            prop_assert_eq!(check(&form, exit), Ok(()));
        }
    }

    #[test]
    fn no_bytes_cause_a_panic(bytes in prop::collection::vec(any::<u8>(), 0..400), exit in -1..300) {
        let now: Zoned = "2026-11-22T10:10:00[UTC]".parse().unwrap();
        let saved = Saved { text: &bytes, exit: Exit::Code(exit), at: &now };
        Agents::default().detect(None, saved);
    }
}
