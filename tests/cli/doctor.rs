//! `kage doctor` finds each problem that a test creates, and its fix works.

// A failed unwrap is a failed test.
#![allow(clippy::unwrap_used)]

mod agents;
mod config;
mod credentials;
mod directories;
mod environment;
mod fixture;
mod health;
#[cfg(target_os = "linux")]
mod keychain;
mod shell;
mod state;
mod tools;
