//! The real Claude Code under `kage exec`, against a provider on the loopback of a network namespace.

// A failed unwrap is a failed test.
#![allow(clippy::unwrap_used)]

#[path = "support/netns.rs"]
mod netns;
#[path = "support/provider.rs"]
mod provider;
mod support;
#[path = "support/tmux.rs"]
mod tmux;

#[path = "claude/counting.rs"]
mod counting;
#[path = "claude/credential.rs"]
mod credential;
#[path = "claude/failover.rs"]
mod failover;
#[path = "claude/killed.rs"]
mod killed;
#[path = "claude/limits.rs"]
mod limits;
#[path = "claude/live.rs"]
mod live;
#[path = "claude/scene.rs"]
mod scene;
#[path = "claude/session.rs"]
mod session;
#[path = "claude/settings.rs"]
mod settings;
#[path = "claude/shim.rs"]
mod shim;
