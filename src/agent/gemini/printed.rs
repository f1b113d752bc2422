//! What Gemini CLI prints as JSON: the lines of `-o stream-json`, the object of `-o json`, and the object of
//! an error, which ends standard error.

use std::collections::BTreeMap;

use jiff::Zoned;
use memchr::memmem;
use serde::Deserialize;
use serde_json::Value;

use super::refusal;
use crate::agent::{Line, ProviderError, Work, records, said};
use crate::pool::{TokenCount, Usage};

/// A line of the stream, or an object that stands alone.
#[derive(Deserialize, Default)]
#[serde(default)]
struct Event {
    r#type: String,
    session_id: Option<String>,
    model: Option<String>,
    role: String,
    status: String,
    response: Option<Value>,
    error: Option<Refused>,
    stats: Stats,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Refused {
    message: String,
    /// The HTTP status, or a status of the agent's own.
    code: Option<Value>,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Stats {
    models: BTreeMap<String, Value>,
}

/// Words of lines that may be something else than progress. Most lines have none of them, and only these
/// are parsed.
const TELLING: [&[u8]; 4] = [b"\"init\"", b"\"user\"", b"\"error\"", b"\"result\""];

/// What a line is to whoever reads the stream.
pub(super) fn classify(line: &[u8]) -> Line {
    let is_telling = TELLING.iter().any(|word| memmem::find(line, word).is_some());
    if !is_telling || !records::may_be_object(line) {
        return Line::Progress;
    }
    let Ok(event) = serde_json::from_slice::<Event>(line) else { return Line::Progress };
    match (event.r#type.as_str(), event.status.as_str()) {
        ("init", _) => Line::Opening,
        // The prompt comes back before anything is done.
        ("message", _) if event.role == "user" => Line::Neutral,
        ("result", "error") => Line::Failure,
        ("result" | "error", _) => Line::Neutral,
        _ => Line::Progress,
    }
}

/// What was printed, as far as it tells anything.
#[derive(Default)]
pub(super) struct Printed {
    pub known: bool,
    pub work: Work,
    pub model: Option<String>,
    pub session: Option<String>,
    pub usage: Usage,
    /// What a line of the stream says went wrong.
    pub error: Option<ProviderError>,
    /// What an object says went wrong, which anything may have printed.
    pub of_object: Option<ProviderError>,
    /// Whether it ended with an answer.
    pub answered: bool,
}

/// Reads the lines of a stream, of which those that are mere progress may be missing, or an object.
pub(super) fn read<'a>(texts: impl Iterator<Item = &'a [u8]>, now: &Zoned) -> Printed {
    let mut printed = Printed::default();
    for event in texts.filter_map(|text| serde_json::from_slice::<Event>(text).ok()) {
        printed.take(event, now);
    }
    printed
}

/// The object that ends standard error.
pub(super) fn ending(stderr: &[u8]) -> Option<&[u8]> {
    let begins = memmem::rfind(stderr, b"\n{\n").map(|at| at + 1);
    let begins = begins.or_else(|| stderr.starts_with(b"{\n").then_some(0))?;
    Some(&stderr[begins..])
}

/// The same behind the agent's own words for the error, in a text that may be anybody's.
pub(super) fn ending_of_own(text: &[u8]) -> Option<&[u8]> {
    let object = ending(text)?;
    let before = &text[..text.len() - object.len()];
    let is_own = said::filled(before).any(|line| line.starts_with(refusal::ENDED.as_bytes()));
    let has_session =
        || serde_json::from_slice::<Event>(object).is_ok_and(|event| event.session_id.is_some());
    Some(object).filter(|_| is_own && has_session())
}

impl Printed {
    fn take(&mut self, event: Event, now: &Zoned) {
        match event.r#type.as_str() {
            "init" => self.model = event.model,
            "message" if event.role == "assistant" => {
                (self.work, self.error, self.answered) = (Work::Done, None, true);
            }
            "tool_use" | "tool_result" => (self.work, self.answered) = (Work::Done, false),
            "message" => {}
            // Only lines have a type.
            "" if event.error.is_none() && event.response.is_none() => return,
            "" => self.of_object = self.ended(event.error, event.stats, event.response.is_some(), now),
            "result" => self.error = self.ended(event.error, event.stats, false, now),
            _ => return,
        }
        self.known = true;
        self.session = event.session_id.or(self.session.take());
    }

    fn ended(
        &mut self,
        error: Option<Refused>,
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

/// The sums of a run. Models that only failed are there too, with nothing.
fn usage(stats: &Stats, now: &Zoned) -> Usage {
    let mut usage = Usage::default();
    for (model, sums) in &stats.models {
        let count = if sums.get("tokens").is_some() { of_object(sums) } else { of_lines(sums) };
        let requests = number(sums, "/api/totalRequests").saturating_sub(number(sums, "/api/totalErrors"));
        usage.requests = usage.requests.saturating_add(requests);
        usage.summed(now, model, count);
    }
    usage
}

fn number(sums: &Value, path: &str) -> u64 {
    sums.pointer(path).and_then(Value::as_u64).unwrap_or(0)
}

/// `input` is what did not come from the cache.
fn of_object(sums: &Value) -> TokenCount {
    TokenCount {
        input_tokens: number(sums, "/tokens/input").saturating_add(number(sums, "/tokens/tool")),
        output_tokens: number(sums, "/tokens/candidates").saturating_add(number(sums, "/tokens/thoughts")),
        cache_read_tokens: number(sums, "/tokens/cached"),
        reasoning_tokens: number(sums, "/tokens/thoughts"),
        ..TokenCount::default()
    }
}

/// Thoughts have no number of their own here: they are what the total has beside what went in.
fn of_lines(sums: &Value) -> TokenCount {
    let output = number(sums, "/total_tokens").saturating_sub(number(sums, "/input_tokens"));
    let spoken = number(sums, "/output_tokens");
    TokenCount {
        input_tokens: number(sums, "/input"),
        output_tokens: output.max(spoken),
        cache_read_tokens: number(sums, "/cached"),
        reasoning_tokens: output.saturating_sub(spoken),
        ..TokenCount::default()
    }
}

#[cfg(test)]
mod tests;
