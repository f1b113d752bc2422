//! Tokens by subscription, as recorded in the ledger.

// A failed unwrap is a failed test.
#![allow(dead_code, unreachable_pub, clippy::unwrap_used)]

use std::collections::BTreeMap;

use serde_json::Value;

use crate::support::Sandbox;

/// Uncached input, output, cache reads, and the reasoning part of the output.
pub type Count = [u64; 4];

/// The sums by name, without names whose sum is zero.
pub fn sums(counts: impl Iterator<Item = (String, Count)>) -> BTreeMap<String, Count> {
    let mut sums = BTreeMap::<_, Count>::new();
    for (name, count) in counts.filter(|(_, count)| *count != Count::default()) {
        sums.entry(name).or_default().iter_mut().zip(count).for_each(|(sum, more)| *sum += more);
    }
    sums
}

/// The count at a JSON pointer; 0 if there is none.
pub fn number(value: &Value, path: &str) -> u64 {
    value.pointer(path).and_then(Value::as_u64).unwrap_or(0)
}

/// The sums of the ledger, by subscription.
pub fn booked(sandbox: &Sandbox) -> BTreeMap<String, Count> {
    const PATHS: [&str; 4] = ["/input_tokens", "/output_tokens", "/cache_read_tokens", "/reasoning_tokens"];
    let ledger = sandbox.ledger();
    sums(ledger.iter().flat_map(|line| {
        let name = line["subscription"].as_str().unwrap();
        let counts = line["models"].as_object().into_iter().flat_map(|models| models.values());
        counts.map(|count| (name.to_owned(), PATHS.map(|path| number(count, path))))
    }))
}
