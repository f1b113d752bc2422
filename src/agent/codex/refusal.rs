//! Interprets an error of Codex, from its records or its JSON lines.

use std::sync::LazyLock;

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp, Zoned};
use serde_json::Value;

use crate::agent::{Kind, Marker, ProviderError, markers};
use crate::pool::Reading;

/// Compiled on first use: most attempts have no error.
pub(super) static MARKERS: LazyLock<Vec<Marker>> =
    LazyLock::new(|| markers::built_in(include_str!("../codex.toml")));

/// The longest text of an error that is kept, in characters.
const LONGEST_TEXT: usize = 200;

/// The agent's error code, and the HTTP status in it: `"usage_limit_exceeded"`, or
/// `{"http_connection_failed": {"http_status_code": 401}}`.
#[derive(Debug, Default, Clone, Copy)]
struct Code<'a> {
    word: &'a str,
    status: Option<u64>,
}

impl<'a> Code<'a> {
    fn of(info: &'a Value) -> Self {
        match info {
            Value::String(word) => Self { word, status: None },
            Value::Object(fields) => fields.iter().next().map_or_else(Self::default, |(word, more)| Self {
                word,
                status: more.get("http_status_code").and_then(Value::as_u64),
            }),
            _ => Self::default(),
        }
    }
}

/// Interprets an error. `info` is the agent's `codex_error_info`, null if there is none; `readings` contain
/// the reset time of the full window, to the second; `at` is the time of the error, in the user's time zone;
/// `rule` names the source.
pub(super) fn refusal(
    info: &Value,
    text: &str,
    readings: &BTreeMap<String, Reading>,
    at: &Zoned,
    rule: &'static str,
) -> ProviderError {
    let text: String = text.chars().take(LONGEST_TEXT).collect();
    let rendered = markers::find([text.clone()].iter(), &[&MARKERS], at);
    let kind = kind(Code::of(info), rendered.as_ref().map(|error| error.kind));
    let known = ProviderError::new(kind, text, rule);
    let matching = rendered.filter(|error| error.kind == kind);
    let error = matching.map_or_else(
        || known.clone(),
        |error| ProviderError { text: known.text.clone(), rule: known.rule.clone(), ..error },
    );
    match Code::of(info).word {
        _ if kind != Kind::UsageLimit => error,
        // A cap of the organization, not a window of the plan.
        "organization_spend_limit_exceeded" if error.window.is_none() => {
            let window = markers::window("org_spend".into(), error.resets_at, at.timestamp());
            ProviderError { window: Some(window), ..error }
        }
        _ => with_window(error, readings, at.timestamp()),
    }
}

/// Adds the window that is full, unless the text names one. The text contains the reset time only to the
/// minute.
fn with_window(error: ProviderError, readings: &BTreeMap<String, Reading>, at: Timestamp) -> ProviderError {
    let named = error.window.as_ref().is_some_and(|window| window.name != "usage");
    let full = readings.iter().filter(|(_, reading)| reading.value >= 1.0);
    let last = full.max_by_key(|(_, reading)| reading.resets_at);
    let same_minute =
        || readings.iter().find(|(_, reading)| is_minute_of(error.resets_at, reading.resets_at));
    match last.or_else(same_minute).filter(|_| !named) {
        Some((name, reading)) => {
            let window = markers::window(name.clone(), reading.resets_at, at);
            ProviderError { window: Some(window), resets_at: reading.resets_at.or(error.resets_at), ..error }
        }
        None => error,
    }
}

/// Whether an exact reset time is within the minute of a reset time without seconds.
fn is_minute_of(minute: Option<Timestamp>, exact: Option<Timestamp>) -> bool {
    let within = SignedDuration::ZERO..SignedDuration::from_secs(60);
    minute.zip(exact).is_some_and(|(minute, exact)| within.contains(&exact.duration_since(minute)))
}

/// Returns the kind of an error. The agent's code decides first, but one code covers several kinds that only
/// the text distinguishes: a limit of the plan, no credit left, a plan without Codex.
fn kind(code: Code<'_>, rendered: Option<Kind>) -> Kind {
    let text_kind = rendered.filter(|kind| *kind != Kind::None);
    match code.word {
        "usage_limit_exceeded" => text_kind.unwrap_or(Kind::UsageLimit),
        "organization_spend_limit_exceeded" | "organization_usage_limit_exceeded" => Kind::UsageLimit,
        "rate_limit_exceeded" => Kind::Throttled,
        "server_overloaded" | "internal_server_error" => Kind::Overloaded,
        "unauthorized" => Kind::Auth,
        "http_connection_failed"
        | "response_stream_connection_failed"
        | "response_stream_disconnected"
        | "response_too_many_failed_attempts" => {
            let by_status = code.status.and_then(status_kind);
            // The text tells a refusal of the provider from one of the network between.
            let blocked = by_status.filter(|kind| *kind == Kind::Auth).and(text_kind);
            blocked.or(by_status).or(text_kind).unwrap_or(Kind::Network)
        }
        "" | "other" => text_kind.unwrap_or(Kind::None),
        // `context_window_exceeded`, `bad_request`, `sandbox_error`: another subscription would not help.
        _ => Kind::None,
    }
}

/// Returns the kind that an HTTP status indicates.
fn status_kind(status: u64) -> Option<Kind> {
    match status {
        429 => Some(Kind::Throttled),
        401 | 403 => Some(Kind::Auth),
        402 => Some(Kind::Billing),
        407 | 451 => Some(Kind::Network),
        408 | 504 => Some(Kind::Timeout),
        500..=599 => Some(Kind::Overloaded),
        400..=499 => Some(Kind::None),
        _ => None,
    }
}

#[cfg(test)]
mod tests;
