//! `kage usage --json`.

use serde_json::{Map, Value, json};

use super::amount::Worth;
use super::{Usage, word};
use crate::ledger::{Key, Tally};
use crate::report::SCHEMA;

impl Usage<'_> {
    /// The answer for a program.
    pub fn json(&self) -> Value {
        let row = |(keys, tally): (&Vec<Key>, &Tally)| {
            let named = self.query.by.iter().zip(keys).map(|(&by, key)| (word(by).to_owned(), value(key)));
            named.chain(numbers(tally)).collect::<Map<_, _>>()
        };
        json!({
            "schema": SCHEMA,
            "since": self.query.since,
            "until": self.query.until,
            "zone": self.zone,
            "prices": self.prices,
            "rows": self.rows().into_iter().map(row).collect::<Vec<_>>(),
            "total": numbers(&self.answer.total).collect::<Map<_, _>>(),
        })
    }
}

/// What is not known is null: an attempt without a namespace.
fn value(key: &Key) -> Value {
    match key {
        Key::Day(day) => json!(day),
        Key::Hour(hour) => json!(hour),
        Key::Text(text) => json!(Some(text).filter(|text| !text.is_empty())),
    }
}

fn numbers(tally: &Tally) -> impl Iterator<Item = (String, Value)> {
    let tokens = tally.tokens;
    let numbers = [
        ("runs", json!(tally.runs)),
        ("attempts", json!(tally.attempts)),
        ("limits", json!(tally.limits)),
        ("duration_ms", json!(u64::try_from(tally.duration.as_millis()).unwrap_or(0))),
        ("input_tokens", json!(tokens.input_tokens)),
        ("output_tokens", json!(tokens.output_tokens)),
        ("cache_read_tokens", json!(tokens.cache_read_tokens)),
        ("cache_write_5m_tokens", json!(tokens.cache_write_5m_tokens)),
        ("cache_write_1h_tokens", json!(tokens.cache_write_1h_tokens)),
        ("reasoning_tokens", json!(tokens.reasoning_tokens)),
        ("tokens", json!(tokens.tokens())),
        ("cost_usd", json!(Worth::of(tally).known().map(crate::pool::Cost::dollars))),
        ("unpriced_tokens", json!(tally.unpriced)),
    ];
    numbers.into_iter().map(|(name, number)| (name.to_owned(), number))
}
