//! The interfaces that scripts depend on: all JSON, CSV and metrics output, the events, everything stored,
//! and the exit status in every kind of situation. They must equal the checked-in files in tests/golden
//! exactly:
//!
//! - `shapes/`: the standard output of each command;
//! - `exits.txt`: a table of the exit statuses;
//! - `stderr/`: the standard error of each command, which may be reworded;
//! - `states/`: states that earlier versions stored, which must stay readable.
//!
//! `UPDATE=1 cargo test --test golden` rewrites the first three.

// A failed unwrap is a failed test.
#![allow(clippy::unwrap_used)]

#[path = "golden/compare.rs"]
mod compare;
#[path = "golden/complete.rs"]
mod complete;
#[path = "golden/config.rs"]
mod config;
#[path = "golden/detect.rs"]
mod detect;
#[path = "golden/doctor.rs"]
mod doctor;
#[path = "golden/exits.rs"]
mod exits;
#[path = "golden/failover.rs"]
mod failover;
#[path = "golden/given.rs"]
mod given;
#[path = "golden/golden_file.rs"]
mod golden_file;
#[path = "golden/json.rs"]
mod json;
#[path = "golden/ledger.rs"]
mod ledger;
#[path = "golden/placeholders.rs"]
mod placeholders;
#[path = "golden/pool.rs"]
mod pool;
#[path = "support/pty.rs"]
mod pty;
#[path = "golden/running.rs"]
mod running;
#[path = "golden/stored.rs"]
mod stored;
mod support;

/// The golden files: each is a file in `shapes/`, and with output on standard error also one in `stderr/`.
const GOLDEN_FILES: &[&str] = &[
    "config",
    "detect",
    "doctor",
    "doctor-faults",
    "doctor-fresh",
    "empty",
    "failover",
    "failover-alone",
    "failover-paused",
    "failover-resumed",
    "fresh",
    "given",
    "metrics",
    "pool-runs",
    "pool-show",
    "pool-status",
    "pool-stored",
    "pool-usage",
    "pool-why",
    "recovered",
    "running",
    "usage",
    "usage-csv",
    "usage-filtered",
    "version-1",
    "version-2",
    "why",
];
