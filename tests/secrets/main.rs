//! Where secrets are stored, and which processes can read them.

// A failed unwrap is a failed test.
#![allow(clippy::unwrap_used)]

#[path = "../support/dice.rs"]
mod dice;
#[path = "../support/false_bus.rs"]
mod false_bus;
#[path = "../support/secret_service.rs"]
mod secret_service;
#[path = "../support/mod.rs"]
mod support;
#[path = "../support/tmux.rs"]
mod tmux;

mod credentials;
mod keychain;
mod plain_session;
mod security;
