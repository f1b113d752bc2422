//! The results of a benchmark run, as stored in JSON. Knows neither how they were measured nor how they are
//! shown.

use serde::{Deserialize, Serialize};

/// The version of the file's schema.
pub(crate) const SCHEMA: u32 = 1;

/// All results. A part that was not measured is empty.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Figures {
    pub schema: u32,
    /// The day, in UTC.
    pub taken: String,
    pub machine: Machine,
    /// Rounds of the overhead, the same for each of its rows; 0 if it was not measured.
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

/// The machine. Times are valid for one machine; only ratios can be compared.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Machine {
    pub cores: usize,
    pub processor: String,
    pub memory_gb: u64,
    pub system: String,
    /// The load average over one minute when the measurement started.
    pub load: f64,
}

/// One program in the rounds of the overhead.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Row {
    pub name: String,
    pub kind: Kind,
    /// Where its credential comes from, or how it differs from other rows.
    pub note: String,
    /// Whether it runs at its own terminal; it is compared with the base that does so too.
    pub at_terminal: bool,
    /// The highest acceptable ratio.
    pub target: Option<f64>,
    #[serde(flatten)]
    pub result: Measured,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Kind {
    /// The row that the following rows are compared with.
    Base,
    Kage,
    /// Another wrapper that prepares an environment.
    Peer,
    /// An interpreter: the least that a tool written for it costs.
    Interpreter,
}

/// Milliseconds from spawn to wait, or why they are missing.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Measured {
    Times {
        median_ms: f64,
        p90_ms: f64,
        /// The median divided by that of the base.
        ratio: f64,
    },
    Missing(String),
}

/// Whole processes on a pool of this size; medians in milliseconds.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Scale {
    pub subscriptions: usize,
    pub exec_ms: f64,
    pub why_ms: f64,
    pub base_ms: f64,
}

/// Concurrent processes that change one state for some seconds.
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
        /// The minimum and maximum number of changes of one process.
        least: u64,
        most: u64,
        /// Changes that were reported as done but are not in the state.
        lost: u64,
    },
    Missing(String),
}

/// An agent's JSON lines through kage, and through `cat` instead.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Relayed {
    pub megabytes: u64,
    pub cat_mb_per_s: f64,
    pub kage_mb_per_s: f64,
    /// The peak resident memory of kage while it relayed `memory_megabytes`.
    pub memory_megabytes: u64,
    pub memory_kb: u64,
}

/// A kage whose agent sleeps.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Idle {
    pub mode: String,
    pub seconds: u64,
    pub resident_kb: u64,
    /// The private part of it.
    pub own_kb: u64,
    /// `None` if they could not be traced.
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

/// Rounds to thousandths, which is finer than the clock's precision.
pub(crate) fn rounded(value: f64) -> f64 {
    (value * 1e3).round() / 1e3
}
