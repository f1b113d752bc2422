//! `kage usage --json`.

use serde_json::{Map, Value, json};

use super::amount::Worth;
use super::{Usage, word};
use crate::ledger::{Key, Tally};
use crate::pool::Cost;
use crate::report::SCHEMA;

impl Usage<'_> {
    /// The answer as JSON.
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

/// The value of a key. An empty key is null: for example, an attempt without a namespace.
fn value(key: &Key) -> Value {
    match key {
        Key::Day(day) => json!(day),
        Key::Hour(hour) => json!(hour),
        Key::Text(text) => json!(Some(text).filter(|text| !text.is_empty())),
    }
}

fn numbers(tally: &Tally) -> impl Iterator<Item = (String, Value)> {
    let before = [
        ("runs", json!(tally.runs)),
        ("attempts", json!(tally.attempts)),
        ("limits", json!(tally.limits)),
        ("duration_ms", json!(u64::try_from(tally.duration.as_millis()).unwrap_or(0))),
    ];
    let tokens = tally.tokens.by_kind().map(|(kind, count)| (kind.key, json!(count)));
    let after = [
        ("tokens", json!(tally.tokens.tokens())),
        ("cost_usd", json!(Worth::of(tally).known().map(Cost::dollars))),
        ("unpriced_tokens", json!(tally.unpriced)),
        ("estimated_cost_usd", json!(tally.estimated.dollars())),
    ];
    let numbers = before.into_iter().chain(tokens).chain(after);
    numbers.map(|(name, number)| (name.to_owned(), number))
}
