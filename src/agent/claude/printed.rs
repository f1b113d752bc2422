//! What Claude Code prints as JSON: the lines of `--output-format stream-json`, and the result, alone or in
//! a list, of `--output-format json`.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use jiff::{Timestamp, Zoned};
use memchr::memmem;
use serde::Deserialize;
use serde_json::Value;

use super::refusal::{RateLimitInfo, Said, lenient, refusal};
use super::transcript;
use crate::agent::{Evidence, Kind, Line, ProviderError, Work, records};
use crate::pool::{Reading, Usage};

/// What an event says of itself.
#[derive(Deserialize, Default)]
#[serde(default)]
struct Event {
    #[serde(deserialize_with = "lenient")]
    r#type: String,
    #[serde(deserialize_with = "lenient")]
    subtype: String,
    #[serde(deserialize_with = "lenient")]
    timestamp: Option<Timestamp>,
    /// Of whom a message is: a subagent's has the tool that started it.
    #[serde(deserialize_with = "lenient")]
    parent_tool_use_id: Option<String>,
    #[serde(deserialize_with = "lenient")]
    is_error: bool,
    #[serde(deserialize_with = "lenient")]
    is_api_error_message: bool,
    #[serde(deserialize_with = "lenient")]
    rate_limit_info: Option<RateLimitInfo>,
    #[serde(deserialize_with = "lenient")]
    error: Option<String>,
    #[serde(deserialize_with = "lenient")]
    api_error: Option<String>,
    #[serde(deserialize_with = "lenient")]
    api_error_status: Option<u16>,
    #[serde(deserialize_with = "lenient")]
    api_error_params: Params,
    #[serde(deserialize_with = "lenient")]
    terminal_reason: Option<String>,
    #[serde(deserialize_with = "lenient")]
    result: Option<String>,
    message: Option<Value>,
    #[serde(deserialize_with = "lenient")]
    model: Option<String>,
    #[serde(deserialize_with = "lenient")]
    num_turns: u64,
    /// Of this run, without subagents.
    usage: Option<Value>,
    /// By model, of the session since it began. It goes on where a session is resumed, so that only the names
    /// are of use.
    #[serde(rename = "modelUsage", deserialize_with = "lenient")]
    model_usage: BTreeMap<String, Value>,
}

/// What an error message says beside its text.
#[derive(Deserialize, Default)]
struct Params {
    rate_limit_info: Option<RateLimitInfo>,
}

/// Of an event, what tells the kind of its line.
#[derive(Deserialize, Default)]
#[serde(default)]
struct Head {
    #[serde(deserialize_with = "lenient")]
    r#type: String,
    #[serde(deserialize_with = "lenient")]
    subtype: String,
    #[serde(deserialize_with = "lenient")]
    is_error: bool,
    #[serde(deserialize_with = "lenient")]
    is_api_error_message: bool,
    #[serde(deserialize_with = "lenient")]
    rate_limit_info: Option<RateLimitInfo>,
}

/// What a refusal has, and an answer but in its text. Made once: it looks at every answer.
static REFUSED: LazyLock<memmem::Finder<'static>> =
    LazyLock::new(|| memmem::Finder::new("is_api_error_message"));

/// What a line is to whoever reads the stream. Nearly all lines are progress, and fast to tell: their type
/// comes first.
pub(super) fn classify(line: &[u8]) -> Line {
    let begins = |with: &[u8]| line.starts_with(with);
    if begins(br#"{"type":"user""#) || begins(br#"{"type":"stream_event""#) {
        return Line::Progress;
    }
    let is_answer = begins(br#"{"type":"assistant""#);
    if is_answer && REFUSED.find(line).is_none() {
        return Line::Progress;
    }
    if !records::may_be_object(line) {
        return Line::Progress;
    }
    let Ok(event) = serde_json::from_slice::<Head>(line) else { return Line::Progress };
    match event.r#type.as_str() {
        "system" if event.subtype == "init" => Line::Opening,
        "system" => Line::Neutral,
        "rate_limit_event" => {
            let refused = event.rate_limit_info.is_some_and(|info| info.refuses());
            if refused { Line::Failure } else { Line::Neutral }
        }
        "assistant" if event.is_api_error_message => Line::Failure,
        "result" if event.is_error => Line::Failure,
        "result" => Line::Sum,
        _ => Line::Progress,
    }
}

/// What the events of an attempt say, of which those that are mere progress may be missing. `None` where
/// nothing is an event.
pub(super) fn read<'a>(lines: impl Iterator<Item = &'a [u8]>, now: &Zoned) -> Option<Evidence> {
    let mut story = Story::default();
    for line in lines {
        match serde_json::from_slice(line) {
            Ok(Value::Array(events)) => events.into_iter().for_each(|event| story.take(event, now)),
            Ok(event) => story.take(event, now),
            Err(_) => {}
        }
    }
    story.known.then(|| story.evidence())
}

#[derive(Default)]
struct Story {
    /// Whether anything was an event.
    known: bool,
    work: Work,
    model: Option<String>,
    usage: Usage,
    readings: BTreeMap<String, Reading>,
    /// The last refusal by the plan.
    limit: Option<RateLimitInfo>,
    /// The error that the conversation stands at.
    error: Option<ProviderError>,
}

impl Story {
    fn take(&mut self, event: Value, now: &Zoned) {
        let Ok(event) = serde_json::from_value::<Event>(event) else { return };
        match event.r#type.as_str() {
            "system" if event.subtype == "init" => self.model = event.model,
            "rate_limit_event" => self.limits(event.rate_limit_info.unwrap_or_default(), now),
            "assistant" if event.is_api_error_message => self.refused(&event, now),
            "assistant" if event.message.is_some() => {
                (self.work, self.error, self.limit) = (Work::Done, None, None);
            }
            // Other agents have a line of that name, without the subtype.
            "result" if !event.subtype.is_empty() => self.ended(&event, now),
            _ => return,
        }
        self.known = true;
    }

    fn limits(&mut self, info: RateLimitInfo, now: &Zoned) {
        self.readings.extend(info.readings());
        if info.is_limit() {
            let said = Said { code: Some("usage_limit_reached"), ..Said::default() };
            self.error = Some(refusal(&said, Some(&info), now, "rate_limit_event"));
            self.limit = Some(info);
        } else if info.refuses() {
            let said = Said { class: Some("rate_limit"), ..Said::default() };
            self.error = Some(refusal(&said, None, now, "rate_limit_event"));
        } else if info.allows() {
            (self.error, self.limit) = (None, None);
        }
    }

    /// A subagent's error is the business of the conversation that started it.
    fn refused(&mut self, event: &Event, now: &Zoned) {
        if event.parent_tool_use_id.is_some() {
            return;
        }
        let text = event.message.as_ref().and_then(|message| message.pointer("/content/0/text"));
        let said = Said {
            class: event.error.as_deref(),
            code: event.api_error.as_deref(),
            status: event.api_error_status,
            text: text.and_then(Value::as_str).unwrap_or_default(),
        };
        let info = self.limit.as_ref().or(event.api_error_params.rate_limit_info.as_ref());
        self.error = Some(refusal(&said, info, &at(event, now), "assistant error"));
    }

    /// The result sums up: its text is the agent's own only where the provider refused.
    fn ended(&mut self, event: &Event, now: &Zoned) {
        let count = event.usage.as_ref().map(transcript::count).unwrap_or_default();
        if event.num_turns > 1 || count.output_tokens > 0 {
            self.work = Work::Done;
        }
        let model = self.model.as_deref().or_else(|| main_model(event)).unwrap_or("unknown");
        self.usage.summed(now, model, count);
        if !event.is_error {
            self.error = None;
        }
        let of_provider = event.terminal_reason.as_deref().is_none_or(|reason| reason == "api_error");
        if !event.is_error || event.subtype != "success" || !of_provider {
            return;
        }
        let said = Said {
            class: None,
            code: event.api_error.as_deref(),
            status: event.api_error_status,
            text: event.result.as_deref().unwrap_or_default(),
        };
        let error = refusal(&said, self.limit.as_ref(), &at(event, now), "result");
        // What came before it is told in more detail.
        if self.error.as_ref().is_none_or(|known| known.kind == Kind::None) {
            self.error = Some(error);
        } else if let Some(known) = self.error.as_mut().filter(|known| known.text.is_empty()) {
            known.text = error.text;
        }
    }

    fn evidence(self) -> Evidence {
        Evidence {
            usage: self.usage,
            work: self.work,
            model: self.model,
            readings: self.readings,
            errors: self.error.into_iter().collect(),
            ..Evidence::default()
        }
    }
}

/// The model that wrote most: others are asked for titles and the like.
fn main_model(event: &Event) -> Option<&str> {
    let output = |usage: &Value| usage.get("outputTokens").and_then(Value::as_u64);
    event.model_usage.iter().max_by_key(|(_, usage)| output(usage)).map(|(model, _)| model.as_str())
}

/// When it happened, in the user's time zone; not every event says.
fn at(event: &Event, now: &Zoned) -> Zoned {
    event.timestamp.map_or_else(|| now.clone(), |at| at.to_zoned(now.time_zone().clone()))
}

#[cfg(test)]
mod tests;
