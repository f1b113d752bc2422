//! Parses the JSON that Gemini CLI prints: the lines of `-o stream-json`, the object of `-o json`, and the
//! error object at the end of standard error.

use std::collections::BTreeMap;

use jiff::Zoned;
use memchr::memmem;
use serde::Deserialize;
use serde_json::Value;

use super::refusal;
use crate::agent::{Line, ProviderError, Work, records, said};
use crate::pool::{TokenCount, Usage};

/// A line of the stream, or a separate object.
#[derive(Deserialize, Default)]
#[serde(default)]
struct Event {
    r#type: String,
    session_id: Option<String>,
    model: Option<String>,
    role: String,
    status: String,
    response: Option<Value>,
    error: Option<EventError>,
    stats: Stats,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct EventError {
    message: String,
    /// The HTTP status, or one of the agent's own statuses.
    code: Option<Value>,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Stats {
    models: BTreeMap<String, Value>,
}

/// Every line that is not progress contains one of these words. Most lines contain none and need no parsing.
const SIGNIFICANT: [&[u8]; 4] = [b"\"init\"", b"\"user\"", b"\"error\"", b"\"result\""];

/// Returns the role of a line in the stream.
pub(super) fn classify(line: &[u8]) -> Line {
    if line.trim_ascii().is_empty() {
        return Line::Neutral;
    }
    let is_significant = SIGNIFICANT.iter().any(|word| memmem::find(line, word).is_some());
    if !is_significant || !records::may_be_object(line) {
        return Line::Progress;
    }
    let Ok(event) = serde_json::from_slice::<Event>(line) else { return Line::Progress };
    match (event.r#type.as_str(), event.status.as_str()) {
        ("init", _) => Line::Opening,
        // The agent echoes the prompt before it does anything.
        ("message", _) if event.role == "user" => Line::Neutral,
        ("result", "error") => Line::Failure,
        ("result" | "error", _) => Line::Neutral,
        _ => Line::Progress,
    }
}

/// The evidence in the printed JSON.
#[derive(Default)]
pub(super) struct Printed {
    pub known: bool,
    pub work: Work,
    pub model: Option<String>,
    pub session: Option<String>,
    pub usage: Usage,
    /// The error in a line of the stream.
    pub error: Option<ProviderError>,
    /// The error in a separate object, which any program may have printed.
    pub error_in_object: Option<ProviderError>,
    /// Whether the output ended with an answer.
    pub answered: bool,
}

/// Reads an object or the lines of a stream. Lines of progress may be missing.
pub(super) fn read<'a>(texts: impl Iterator<Item = &'a [u8]>, now: &Zoned) -> Printed {
    let mut printed = Printed::default();
    for event in texts.filter_map(|text| serde_json::from_slice::<Event>(text).ok()) {
        printed.add(event, now);
    }
    printed
}

/// Returns the object at the end of standard error.
pub(super) fn ending(stderr: &[u8]) -> Option<&[u8]> {
    let begins = memmem::rfind(stderr, b"\n{\n").map(|at| at + 1);
    let begins = begins.or_else(|| stderr.starts_with(b"{\n").then_some(0))?;
    Some(&stderr[begins..])
}

/// Returns the object at the end of a saved text, if the agent's own error message precedes it. The text may
/// come from any program.
pub(super) fn saved_ending(text: &[u8]) -> Option<&[u8]> {
    let object = ending(text)?;
    let before = &text[..text.len() - object.len()];
    let is_own = said::non_blank(before).any(|line| line.starts_with(refusal::ENDED.as_bytes()));
    let has_session =
        || serde_json::from_slice::<Event>(object).is_ok_and(|event| event.session_id.is_some());
    Some(object).filter(|_| is_own && has_session())
}

impl Printed {
    fn add(&mut self, event: Event, now: &Zoned) {
        match event.r#type.as_str() {
            "init" => self.model = event.model,
            "message" if event.role == "assistant" => {
                (self.work, self.error, self.answered) = (Work::Done, None, true);
            }
            "tool_use" | "tool_result" => (self.work, self.answered) = (Work::Done, false),
            "message" => {}
            // Only lines of the stream have a type.
            "" if event.error.is_none() && event.response.is_none() => return,
            "" => self.error_in_object = self.end(event.error, event.stats, event.response.is_some(), now),
            "result" => self.error = self.end(event.error, event.stats, false, now),
            _ => return,
        }
        self.known = true;
        self.session = event.session_id.or(self.session.take());
    }

    fn end(
        &mut self,
        error: Option<EventError>,
        stats: Stats,
        answered: bool,
        now: &Zoned,
    ) -> Option<ProviderError> {
        self.usage = usage(&stats, now);
        self.answered = error.is_none() || answered;
        if answered || self.usage.total().output_tokens > 0 {
            self.work = Work::Done;
        }
        let error = error.filter(|_| !answered)?;
        let code = error.code.as_ref().and_then(Value::as_i64);
        Some(refusal::error(&error.message, code, now))
    }
}

/// Returns the usage in the totals of a run. Models without a successful request are listed too, with no
/// tokens.
fn usage(stats: &Stats, now: &Zoned) -> Usage {
    let mut usage = Usage::default();
    for (model, sums) in &stats.models {
        let count = if sums.get("tokens").is_some() { count_in_object(sums) } else { count_in_line(sums) };
        let requests = number(sums, "/api/totalRequests").saturating_sub(number(sums, "/api/totalErrors"));
        usage.requests = usage.requests.saturating_add(requests);
        usage.summed(now, model, count);
    }
    usage
}

fn number(sums: &Value, path: &str) -> u64 {
    sums.pointer(path).and_then(Value::as_u64).unwrap_or(0)
}

/// Returns the counts in an object. Its `input` does not include tokens from the cache.
fn count_in_object(sums: &Value) -> TokenCount {
    TokenCount {
        input_tokens: number(sums, "/tokens/input").saturating_add(number(sums, "/tokens/tool")),
        output_tokens: number(sums, "/tokens/candidates").saturating_add(number(sums, "/tokens/thoughts")),
        cache_read_tokens: number(sums, "/tokens/cached"),
        reasoning_tokens: number(sums, "/tokens/thoughts"),
        ..TokenCount::default()
    }
}

/// Returns the counts in a line of the stream. It has no count of reasoning tokens: they are the part of the
/// total that is neither input nor output.
fn count_in_line(sums: &Value) -> TokenCount {
    let output = number(sums, "/total_tokens").saturating_sub(number(sums, "/input_tokens"));
    let visible = number(sums, "/output_tokens");
    TokenCount {
        input_tokens: number(sums, "/input"),
        output_tokens: output.max(visible),
        cache_read_tokens: number(sums, "/cached"),
        reasoning_tokens: output.saturating_sub(visible),
        ..TokenCount::default()
    }
}

#[cfg(test)]
mod tests;
