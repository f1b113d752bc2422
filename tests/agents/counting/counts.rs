//! Tokens by model, and the independent counts of them.

use std::collections::BTreeMap;
use std::ops::Sub;
use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::counting::tree::Tree;
use crate::support::has_all;

/// Tokens: input, output, read from the cache, written to it for five minutes and for an hour.
pub(crate) type Count = [u64; 5];

/// The fields of a [`Count`] in the ledger.
const KEYS: [&str; 5] =
    ["input_tokens", "output_tokens", "cache_read_tokens", "cache_write_5m_tokens", "cache_write_1h_tokens"];

#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Counts(BTreeMap<String, Count>);

impl Counts {
    pub(crate) fn add(&mut self, model: &str, count: Count) {
        let sum = self.0.entry(model.to_owned()).or_default();
        sum.iter_mut().zip(count).for_each(|(sum, more)| *sum += more);
    }

    pub(crate) fn add_all(&mut self, more: &Self) {
        more.0.iter().for_each(|(model, &count)| self.add(model, count));
    }

    /// The tokens in a line of the ledger.
    pub(crate) fn of_line(line: &Value) -> Self {
        let mut counts = Self::default();
        for (model, count) in line["models"].as_object().into_iter().flatten() {
            counts.add(model, KEYS.map(|key| count[key].as_u64().unwrap()));
        }
        counts
    }

    /// These counts with all cache writes in one number, as ccusage reports them.
    pub(crate) fn merged(&self) -> Self {
        let merged = |&[input, output, read, short, long]: &Count| [input, output, read, short + long, 0];
        Self(self.0.iter().map(|(model, count)| (model.clone(), merged(count))).collect())
    }
}

impl Sub for Counts {
    type Output = Self;

    /// What was added since the count `before`.
    fn sub(mut self, before: Self) -> Self {
        for (model, count) in before.0 {
            let sum = self.0.get_mut(&model).unwrap();
            sum.iter_mut().zip(count).for_each(|(sum, less)| *sum -= less);
        }
        self.0.retain(|_, count| *count != Count::default());
        self
    }
}

/// The count of a script that shares no code with kage.
pub(crate) fn by_script(tree: &Tree) -> Counts {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/agents/counting/count.js");
    let records = tree.sandbox.path("home/.claude/projects");
    let ran = tree.sandbox.call("node".as_ref(), [script, records]).run().success();
    serde_json::from_str(&ran.stdout()).map(Counts).unwrap()
}

/// The count of ccusage.
pub(crate) fn by_ccusage(tree: &Tree) -> Counts {
    let args = ["claude", "daily", "--json", "--offline", "--breakdown"];
    let ran = tree
        .sandbox
        .call(&ccusage(), args)
        .env("CLAUDE_CONFIG_DIR", tree.sandbox.path("home/.claude"))
        .run()
        .success();
    let report: Value = serde_json::from_str(&ran.stdout()).unwrap();
    let mut counts = Counts::default();
    let days = report["daily"].as_array().unwrap();
    for model in days.iter().flat_map(|day| day["modelBreakdowns"].as_array().unwrap()) {
        let number = |key: &str| model[key].as_u64().unwrap();
        let written = number("cacheCreationTokens");
        let count = [number("inputTokens"), number("outputTokens"), number("cacheReadTokens"), written, 0];
        counts.add(model["modelName"].as_str().unwrap(), count);
    }
    counts
}

pub(crate) fn has_ccusage() -> bool {
    has_all(&[ccusage().to_str().unwrap()])
}

/// Where `bash tests/run.sh` installs ccusage.
fn ccusage() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("target/agents/node_modules/.bin/ccusage")
}
