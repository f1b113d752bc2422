//! A run from start to end: choosing, the agent's process, failover, and what is booked.

// A failed unwrap is a failed test.
#![allow(clippy::unwrap_used)]

#[path = "../support/dice.rs"]
mod dice;
#[path = "../support/pty.rs"]
mod pty;
#[path = "../support/shell.rs"]
mod shell;
#[path = "../support/mod.rs"]
mod support;

mod budgets;
mod choosing;
mod crowd;
mod exec;
mod failover;
mod hangup;
mod idle;
mod killed;
mod midnight;
mod modes;
mod recovered;
mod replaced;
mod running;
mod signals;
mod stop;
mod terminal;
