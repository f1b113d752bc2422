//! kage in the shell: functions, shims, completions, direnv and tmux.

// A failed unwrap is a failed test.
#![allow(clippy::unwrap_used)]

#[path = "../support/shell.rs"]
mod shell;
#[path = "../support/mod.rs"]
mod support;
#[path = "../support/tmux.rs"]
mod tmux;

mod completions;
mod direnv;
mod in_tmux;
mod shells;
mod shims;
