//! The real Gemini CLI under `kage exec`, against a service on the loopback of a network namespace.

// A failed unwrap is a failed test.
#![allow(clippy::unwrap_used)]

#[path = "support/counts.rs"]
mod counts;
#[path = "support/generate.rs"]
mod generate;
#[path = "support/netns.rs"]
mod netns;
#[path = "support/provider.rs"]
mod provider;
mod support;

#[path = "gemini/counting.rs"]
mod counting;
#[path = "gemini/credential.rs"]
mod credential;
#[path = "gemini/failover.rs"]
mod failover;
#[path = "gemini/limits.rs"]
mod limits;
#[path = "gemini/scene.rs"]
mod scene;
#[path = "gemini/session.rs"]
mod session;
