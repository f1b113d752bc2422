//! `kage doctor`: each planted fault is found, with the mend that mends it.

// A failed unwrap is a failed test.
#![allow(clippy::unwrap_used)]

#[path = "support/secret_service.rs"]
#[allow(dead_code, unreachable_pub)]
mod secret_service;
mod support;

#[path = "doctor/agents.rs"]
mod agents;
#[path = "doctor/clinic.rs"]
mod clinic;
#[path = "doctor/config.rs"]
mod config;
#[path = "doctor/credentials.rs"]
mod credentials;
#[path = "doctor/environment.rs"]
mod environment;
#[path = "doctor/health.rs"]
mod health;
#[cfg(target_os = "linux")]
#[path = "doctor/keychain.rs"]
mod keychain;
#[path = "doctor/shell.rs"]
mod shell;
#[path = "doctor/state.rs"]
mod state;
#[path = "doctor/tools.rs"]
mod tools;
