//! The project itself: its layout, its dependencies, and what a start costs.

// A failed unwrap is a failed test.
#![allow(clippy::unwrap_used)]

#[path = "../../benches/bench/chart.rs"]
mod chart;
#[path = "../../benches/bench/figures.rs"]
mod figures;
#[path = "../../benches/bench/overhead.rs"]
mod overhead;
#[path = "../../benches/bench/page.rs"]
mod page;
#[path = "../../benches/bench/peers.rs"]
mod peers;
#[path = "../../benches/bench/rounds.rs"]
#[allow(dead_code)]
mod rounds;
#[path = "../support/secret_service.rs"]
mod secret_service;
#[path = "../support/mod.rs"]
mod support;
#[path = "../../benches/bench/table.rs"]
mod table;

mod bench_figures;
mod dependencies;
mod docs;
mod instructions;
mod layout;
