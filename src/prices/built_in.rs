//! kage's own table of prices, `src/prices.toml`: read when the first price is asked for.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use serde::Deserialize;

use super::{Period, Table};

/// The table as it was built in.
pub(super) static TABLE: LazyLock<BuiltIn> = LazyLock::new(|| {
    let file: File = toml::from_str(TEXT).expect("a test reads the table");
    let mut prices: BTreeMap<String, Vec<Period>> = BTreeMap::new();
    for row in file.rows {
        for model in row.models {
            prices.entry(model).or_default().push(row.price);
        }
    }
    BuiltIn { version: file.version, prices: Table::new(prices) }
});

const TEXT: &str = include_str!("../prices.toml");

/// What the file says.
pub(super) struct BuiltIn {
    /// The day on which it was last compared with its sources.
    pub(super) version: String,
    pub(super) prices: Table,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct File {
    pub(super) version: String,
    pub(super) rows: Vec<Row>,
}

/// One price list entry, of one model or of several that cost the same.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Row {
    pub(super) models: Vec<String>,
    pub(super) price: Period,
    /// Where it can be looked up.
    #[allow(dead_code)] // for readers of the file, and held by a test
    pub(super) source: String,
}

#[cfg(test)]
pub(super) fn file() -> File {
    toml::from_str(TEXT).unwrap()
}
