//! Tests of SECURITY.md: other users, other processes, the agent, repositories, hostile text.

// A failed unwrap is a failed test.
#![allow(clippy::unwrap_used)]

mod helpers;
mod memory;
mod model;
mod places;
mod repository;
mod somebody;
mod words;
