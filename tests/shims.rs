//! Shims: kage under an agent's name, for scripts, cron and editors.

// A failed unwrap is a failed test.
#![allow(clippy::unwrap_used)]

mod support;

#[path = "shims/acting.rs"]
mod acting;
#[path = "shims/endless.rs"]
mod endless;
#[path = "shims/place.rs"]
mod place;
#[path = "shims/recipes.rs"]
mod recipes;
#[path = "shims/scene.rs"]
mod scene;
#[path = "shims/verbs.rs"]
mod verbs;
