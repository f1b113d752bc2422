//! The real Claude Code under `kage exec`, against a stand-in provider in a network namespace.

// A failed unwrap is a failed test.
#![allow(clippy::unwrap_used)]

mod counting;
mod credential;
mod failover;
mod killed;
mod limits;
mod live;
mod refusals;
mod scene;
mod session;
mod settings;
mod shim;
