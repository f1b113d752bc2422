//! kage's own table of prices, `src/prices.toml`, parsed on first use.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use serde::Deserialize;

use super::{Period, Table};

/// The built-in table.
pub(super) static TABLE: LazyLock<BuiltIn> = LazyLock::new(|| {
    let file: File = toml::from_str(TEXT).expect("a test parses the built-in table");
    let mut prices: BTreeMap<String, Vec<Period>> = BTreeMap::new();
    for row in file.rows {
        for model in row.models {
            prices.entry(model).or_default().push(row.price);
        }
    }
    BuiltIn { version: file.version, prices: Table::new(prices) }
});

const TEXT: &str = include_str!("../prices.toml");

/// The parsed file.
pub(super) struct BuiltIn {
    /// The day on which the table was last compared with its sources.
    pub(super) version: String,
    pub(super) prices: Table,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct File {
    pub(super) version: String,
    pub(super) rows: Vec<Row>,
}

/// One entry of the table: a model, or several that cost the same.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Row {
    pub(super) models: Vec<String>,
    pub(super) price: Period,
    /// The page that publishes the price.
    #[allow(dead_code)] // for readers of the file; a test checks that it is there
    pub(super) source: String,
}

#[cfg(test)]
pub(super) fn file() -> File {
    toml::from_str(TEXT).unwrap()
}
