//! The provider's answers in the rows of a transcript, each counted once.

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
    /// The counts that order the rows of one answer: rows written before the answer is complete have lower
    /// counts.
    fn completeness(&self) -> (u64, u64) {
        (self.count.output_tokens, self.count.prompt())
    }
}

/// Answers by message id and request id. An answer with several blocks has several rows with the same ids,
/// and a row may appear in the files of both the conversation and a subagent.
#[derive(Default)]
pub(super) struct Answers(HashMap<(String, String), Answer>);

impl Answers {
    pub(super) fn add(&mut self, message: Option<String>, request: Option<String>, answer: Answer) {
        // A row without any id cannot be recognized as a copy, so it counts.
        let alone = || format!("row {}", self.0.len());
        let message = message.unwrap_or_else(|| if request.is_none() { alone() } else { String::new() });
        let key = (message, request.unwrap_or_default());
        if self.0.get(&key).is_none_or(|known| answer.completeness() >= known.completeness()) {
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

/// Returns the counts of an answer. A count that is missing or not a whole number is 0.
pub(in super::super) fn count(usage: &Value) -> TokenCount {
    let number = |path: &str| usage.pointer(path).and_then(Value::as_u64).unwrap_or(0);
    let long = number("/cache_creation/ephemeral_1h_input_tokens");
    let short = number("/cache_creation/ephemeral_5m_input_tokens");
    TokenCount {
        input_tokens: number("/input_tokens"),
        output_tokens: number("/output_tokens"),
        cache_read_tokens: number("/cache_read_input_tokens"),
        // A total that is not split counts as the 5-minute kind, which is the older one.
        cache_write_5m_tokens: short.max(number("/cache_creation_input_tokens").saturating_sub(long)),
        cache_write_1h_tokens: long,
        ..TokenCount::default() // reasoning is not reported separately
    }
}
