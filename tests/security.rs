//! What SECURITY.md says, tried: other users, other processes, the agent, repositories, hostile words.

// A failed unwrap is a failed test.
#![allow(clippy::unwrap_used)]

#[path = "support/tmux.rs"]
mod driver;
mod support;

#[path = "security/helpers.rs"]
mod helpers;
#[path = "security/memory.rs"]
mod memory;
#[path = "security/model.rs"]
mod model;
#[path = "security/places.rs"]
mod places;
#[path = "security/repository.rs"]
mod repository;
#[path = "security/somebody.rs"]
mod somebody;
#[path = "security/words.rs"]
mod words;
