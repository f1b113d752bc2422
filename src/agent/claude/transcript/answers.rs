//! The answers of the provider that rows tell of, each counted once.

use std::collections::HashMap;

use jiff::Timestamp;
use jiff::tz::TimeZone;
use serde_json::Value;

use crate::pool::{TokenCount, Usage};

/// One answer of the provider.
pub(super) struct Answer {
    pub(super) at: Timestamp,
    pub(super) model: String,
    pub(super) count: TokenCount,
}

impl Answer {
    /// Of rows of one answer, those written while it still came tell less.
    fn told(&self) -> (u64, u64) {
        (self.count.output_tokens, self.count.prompt())
    }
}

/// Answers by the ids of message and request. One of several blocks is as many rows with the same ids, and
/// a row may stand in the files of the conversation and of a subagent.
#[derive(Default)]
pub(super) struct Answers(HashMap<(String, String), Answer>);

impl Answers {
    pub(super) fn take(&mut self, message: Option<String>, request: Option<String>, answer: Answer) {
        // Nothing says of a row without any id that it is a copy.
        let alone = || format!("row {}", self.0.len());
        let message = message.unwrap_or_else(|| if request.is_none() { alone() } else { String::new() });
        let key = (message, request.unwrap_or_default());
        if self.0.get(&key).is_none_or(|known| answer.told() >= known.told()) {
            self.0.insert(key, answer);
        }
    }

    pub(super) fn usage(&self, zone: &TimeZone) -> Usage {
        let mut usage = Usage::default();
        for Answer { at, model, count } in self.0.values() {
            usage.answered(&at.to_zoned(zone.clone()), model, *count);
        }
        usage
    }
}

/// The counts of an answer; what is missing or no whole number counts as none.
pub(in super::super) fn count(usage: &Value) -> TokenCount {
    let number = |path: &str| usage.pointer(path).and_then(Value::as_u64).unwrap_or(0);
    let long = number("/cache_creation/ephemeral_1h_input_tokens");
    let short = number("/cache_creation/ephemeral_5m_input_tokens");
    TokenCount {
        input_tokens: number("/input_tokens"),
        output_tokens: number("/output_tokens"),
        cache_read_tokens: number("/cache_read_input_tokens"),
        // The total counts where it is not told apart; the short-lived kind is the older one.
        cache_write_5m_tokens: short.max(number("/cache_creation_input_tokens").saturating_sub(long)),
        cache_write_1h_tokens: long,
        ..TokenCount::default() // reasoning is not told apart
    }
}
