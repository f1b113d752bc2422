//! Reads the JSON that Claude Code prints: the lines of `--output-format stream-json`, and the result of
//! `--output-format json`, alone or in a list.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use jiff::{Timestamp, Zoned};
use memchr::memmem;
use serde::Deserialize;
use serde_json::Value;

use super::refusal::{ErrorFields, Params, RateLimitInfo, lenient, refusal};
use super::transcript;
use crate::agent::{Evidence, Kind, Line, ProviderError, Work, records};
use crate::pool::{Reading, Usage};

/// The fields of an event.
#[derive(Deserialize, Default)]
#[serde(default)]
struct Event {
    #[serde(deserialize_with = "lenient")]
    r#type: String,
    #[serde(deserialize_with = "lenient")]
    subtype: String,
    #[serde(deserialize_with = "lenient")]
    timestamp: Option<Timestamp>,
    /// In a message of a subagent, the tool use that started it.
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
    api_error_type: Option<String>,
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
    /// The tokens of this run, without subagents.
    usage: Option<Value>,
    /// The tokens of the whole session by model. A resumed session continues the earlier count, so this is
    /// used only to find the main model.
    #[serde(rename = "modelUsage", deserialize_with = "lenient")]
    model_usage: BTreeMap<String, Value>,
}

/// The fields of an event that classify its line.
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

/// Finds the field that marks a refusal. An answer contains it only if its text quotes it. Built once,
/// because it searches every answer.
static REFUSED: LazyLock<memmem::Finder<'static>> =
    LazyLock::new(|| memmem::Finder::new("is_api_error_message"));

/// Classifies a line of the stream. Nearly all lines are progress. They are recognized quickly by their type,
/// which comes first.
pub(super) fn classify(line: &[u8]) -> Line {
    if line.trim_ascii().is_empty() {
        return Line::Neutral;
    }
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

/// Reads the events of an attempt; progress events may be missing. Returns `None` if no line is an event.
pub(super) fn read<'a>(lines: impl Iterator<Item = &'a [u8]>, now: &Zoned) -> Option<Evidence> {
    let mut events = Collector::default();
    for line in lines {
        match serde_json::from_slice(line) {
            Ok(Value::Array(list)) => list.into_iter().for_each(|event| events.add(event, now)),
            Ok(event) => events.add(event, now),
            Err(_) => {}
        }
    }
    events.found.then(|| events.evidence())
}

/// Collects the evidence of a sequence of events.
#[derive(Default)]
struct Collector {
    /// Whether there was any event.
    found: bool,
    work: Work,
    model: Option<String>,
    usage: Usage,
    readings: BTreeMap<String, Reading>,
    /// The last refusal because of a plan limit.
    limit: Option<RateLimitInfo>,
    /// The error that the conversation currently ends with.
    error: Option<ProviderError>,
}

impl Collector {
    fn add(&mut self, event: Value, now: &Zoned) {
        let Ok(event) = serde_json::from_value::<Event>(event) else { return };
        match event.r#type.as_str() {
            "system" if event.subtype == "init" => self.model = event.model,
            "rate_limit_event" => self.add_limits(event.rate_limit_info.unwrap_or_default(), now),
            "assistant" if event.is_api_error_message => self.add_refusal(&event, now),
            "assistant" if event.message.is_some() => {
                (self.work, self.error, self.limit) = (Work::Done, None, None);
            }
            // Other agents also print a `result`, without a subtype.
            "result" if !event.subtype.is_empty() => self.add_result(&event, now),
            _ => return,
        }
        self.found = true;
    }

    fn add_limits(&mut self, info: RateLimitInfo, now: &Zoned) {
        self.readings.extend(info.readings());
        if info.is_limit() {
            let fields = ErrorFields { code: Some("usage_limit_reached"), ..ErrorFields::default() };
            self.error = Some(refusal(&fields, Some(&info), now, "rate_limit_event"));
            self.limit = Some(info);
        } else if info.refuses() {
            let fields = ErrorFields { class: Some("rate_limit"), ..ErrorFields::default() };
            self.error = Some(refusal(&fields, None, now, "rate_limit_event"));
        } else if info.allows() {
            (self.error, self.limit) = (None, None);
        }
    }

    /// Records an error message. Errors of a subagent are skipped: the conversation that started it handles
    /// them.
    fn add_refusal(&mut self, event: &Event, now: &Zoned) {
        if event.parent_tool_use_id.is_some() {
            return;
        }
        let text = event.message.as_ref().and_then(|message| message.pointer("/content/0/text"));
        let fields = ErrorFields {
            class: event.error.as_deref(),
            code: event.api_error.as_deref(),
            status: event.api_error_status,
            error_type: event.api_error_type.as_deref(),
            text: text.and_then(Value::as_str).unwrap_or_default(),
        };
        let info = self.limit.as_ref().or(event.api_error_params.rate_limit_info.as_ref());
        self.error = Some(refusal(&fields, info, &at(event, now), "assistant error"));
    }

    /// Records the result, which sums up the run. Its text is an error message only if the provider refused.
    fn add_result(&mut self, event: &Event, now: &Zoned) {
        let count = event.usage.as_ref().map(transcript::count).unwrap_or_default();
        if event.num_turns > 1 || count.output_tokens > 0 {
            self.work = Work::Done;
        }
        let model = self.model.as_deref().or_else(|| main_model(event)).unwrap_or("unknown");
        self.usage.summed(now, model, count);
        if !event.is_error {
            self.error = None;
        }
        let is_provider_error = event.terminal_reason.as_deref().is_none_or(|reason| reason == "api_error");
        if !event.is_error || event.subtype != "success" || !is_provider_error {
            return;
        }
        let fields = ErrorFields {
            class: None,
            code: event.api_error.as_deref(),
            status: event.api_error_status,
            error_type: event.api_error_type.as_deref(),
            text: event.result.as_deref().unwrap_or_default(),
        };
        let error = refusal(&fields, self.limit.as_ref(), &at(event, now), "result");
        // An earlier event describes the error in more detail.
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

/// Returns the model with the most output. Other models write titles and the like.
fn main_model(event: &Event) -> Option<&str> {
    let output = |usage: &Value| usage.get("outputTokens").and_then(Value::as_u64);
    event.model_usage.iter().max_by_key(|(_, usage)| output(usage)).map(|(model, _)| model.as_str())
}

/// Returns the time of an event in the user's time zone, or `now` if it has none.
fn at(event: &Event, now: &Zoned) -> Zoned {
    event.timestamp.map_or_else(|| now.clone(), |at| at.to_zoned(now.time_zone().clone()))
}

#[cfg(test)]
mod tests;
