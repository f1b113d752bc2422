//! The real Codex under `kage exec`, against a provider on the loopback of a network namespace.

// A failed unwrap is a failed test.
#![allow(clippy::unwrap_used)]

#[path = "support/counts.rs"]
mod counts;
#[path = "support/netns.rs"]
mod netns;
#[path = "support/responses.rs"]
mod responses;
mod support;
#[path = "support/tmux.rs"]
mod tmux;

#[path = "codex/counting.rs"]
mod counting;
#[path = "codex/credential.rs"]
mod credential;
#[path = "codex/failover.rs"]
mod failover;
#[path = "codex/limits.rs"]
mod limits;
#[path = "codex/live.rs"]
mod live;
#[path = "codex/scene.rs"]
mod scene;
