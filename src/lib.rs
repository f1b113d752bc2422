//! kage as a library: everything except `main`. Used by the program, the fuzz targets, the benches and the
//! tests. It is not published, and its interface may change with any commit.
//!
//! `tests/project/layout.rs` holds the table of allowed imports between modules.

pub mod agent;
pub mod cli;
mod clock;
pub mod cmd;
pub mod complete;
pub mod config;
pub mod credentials;
mod engine;
pub mod error;
pub mod files;
mod help;
pub mod ledger;
mod man;
pub mod paths;
pub mod pool;
pub mod prices;
mod process;
pub mod report;
pub mod run;
pub mod secret;
pub mod shell;
pub mod store;
mod terminal;
pub mod text;
