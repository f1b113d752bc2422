//! Tests of SECURITY.md: other users, other processes, the agent, repositories, hostile text.

// A failed unwrap is a failed test.
#![allow(clippy::unwrap_used)]

mod files;
mod helpers;
mod hostile_text;
mod memory;
mod model;
mod repository;
mod unprivileged_user;
