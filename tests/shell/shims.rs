//! Shims: programs with an agent's name that call kage, for scripts, cron and editors.

// A failed unwrap is a failed test.
#![allow(clippy::unwrap_used)]

mod acting;
mod endless;
mod place;
mod recipes;
mod scene;
mod verbs;
