//! What a run of the benchmarks measured, as it is kept in JSON. Knows neither how it was measured nor how it is shown.

use serde::{Deserialize, Serialize};

/// The form of the file.
pub(crate) const SCHEMA: u32 = 1;

/// All of it. A part that was not asked for is empty.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Figures {
    pub schema: u32,
    /// The day, in UTC.
    pub taken: String,
    pub machine: Machine,
    /// Rounds of the overhead, the same for each of its rows; 0 where it was not measured.
    pub rounds: usize,
    /// Subscriptions in the pool of the overhead.
    pub subscriptions: usize,
    #[serde(default)]
    pub overhead: Vec<Row>,
    #[serde(default)]
    pub scale: Vec<Scale>,
    #[serde(default)]
    pub contention: Vec<Contended>,
    #[serde(default)]
    pub relay: Option<Relayed>,
    #[serde(default)]
    pub idle: Vec<Idle>,
}

/// Figures count for one machine; only ratios travel.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Machine {
    pub cores: usize,
    pub processor: String,
    pub memory_gb: u64,
    pub system: String,
    /// How many processes wanted to run when the measuring began, over a minute. Idle machines have none.
    pub load: f64,
}

/// One program in the rounds of the overhead.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Row {
    pub name: String,
    pub kind: Kind,
    /// Where its credential comes from, or what else sets it apart.
    pub note: String,
    /// At a terminal of its own; compared with the base that is, too.
    pub at_terminal: bool,
    /// The highest ratio that it should have.
    pub target: Option<f64>,
    #[serde(flatten)]
    pub result: Measured,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Kind {
    /// What the rows behind it are compared with.
    Base,
    Kage,
    /// Another wrapper that prepares an environment.
    Peer,
    /// What a tool pays at least that is written for it.
    Interpreter,
}

/// Milliseconds from spawn to wait, or why there are none.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Measured {
    Times {
        median_ms: f64,
        p90_ms: f64,
        /// Of the median to that of the base in front of it.
        ratio: f64,
    },
    Missing(String),
}

/// Whole processes on a pool of so many subscriptions; medians in milliseconds.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Scale {
    pub subscriptions: usize,
    pub exec_ms: f64,
    pub why_ms: f64,
    pub base_ms: f64,
}

/// Processes that change one state at once for some seconds.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Contended {
    pub way: String,
    pub processes: usize,
    #[serde(flatten)]
    pub result: Contest,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Contest {
    Counted {
        per_second: f64,
        p50_ms: f64,
        p99_ms: f64,
        /// What the process did that did least, and the one that did most.
        least: u64,
        most: u64,
        /// Changes that were reported as done and are not in the state.
        lost: u64,
    },
    Missing(String),
}

/// An agent's JSON lines through kage, and through `cat` in its place.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Relayed {
    pub megabytes: u64,
    pub cat_mb_per_s: f64,
    pub kage_mb_per_s: f64,
    /// The highest resident memory of kage while it relayed `memory_megabytes`.
    pub memory_megabytes: u64,
    pub memory_kb: u64,
}

/// A kage whose agent sleeps.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Idle {
    pub mode: String,
    pub seconds: u64,
    pub resident_kb: u64,
    /// Of it what is kage's alone.
    pub own_kb: u64,
    /// Where they could be traced.
    pub system_calls: Option<u64>,
    pub wake_ups: u64,
}

impl Row {
    pub(crate) fn ratio(&self) -> Option<f64> {
        match self.result {
            Measured::Times { ratio, .. } => Some(ratio),
            Measured::Missing(_) => None,
        }
    }
}

/// To thousandths, which is more than the clock can tell.
pub(crate) fn rounded(value: f64) -> f64 {
    (value * 1e3).round() / 1e3
}
