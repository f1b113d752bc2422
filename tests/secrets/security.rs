//! What SECURITY.md says, tried: other users, other processes, the agent, repositories, hostile words.

// A failed unwrap is a failed test.
#![allow(clippy::unwrap_used)]

mod helpers;
mod memory;
mod model;
mod places;
mod repository;
mod somebody;
mod words;
