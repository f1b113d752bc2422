//! kage with real agents, and what it reads from them.

// A failed unwrap is a failed test.
#![allow(clippy::unwrap_used)]

#[path = "../support/counts.rs"]
mod counts;
#[path = "../support/generate.rs"]
mod generate;
#[path = "../support/netns.rs"]
mod netns;
#[path = "../support/provider.rs"]
mod provider;
#[path = "../support/responses.rs"]
mod responses;
#[path = "../support/mod.rs"]
mod support;
#[path = "../support/tmux.rs"]
mod tmux;

mod claude;
mod codex;
mod counting;
mod detect;
mod gemini;
mod named;
mod stand_in_generate;
mod stand_in_provider;
