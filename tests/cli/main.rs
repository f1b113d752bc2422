//! The verbs: their output and their exit status.

// A failed unwrap is a failed test.
#![allow(clippy::unwrap_used)]

#[path = "../support/netns.rs"]
mod netns;
#[path = "../support/secret_service.rs"]
mod secret_service;
#[path = "../support/shell.rs"]
mod shell;
#[path = "../support/mod.rs"]
mod support;
#[path = "../support/tmux.rs"]
mod tmux;

mod config;
mod doctor;
mod hints;
mod prompt;
mod setup;
mod usage;
mod verbs;
mod watch;
