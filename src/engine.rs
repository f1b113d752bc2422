//! A run: chooses a subscription, starts the agent with it, reads the evidence of the attempt, books the
//! outcome, and decides what follows.
//!
//! Called by the verbs. It imports neither `cli` nor `report`: its messages are `Said` values, which the
//! `Voice` turns into sentences with a function that the verb passes in. Only `books` writes the ledger. Only
//! `books` and `choose`, which reserves places, write the state.

mod after;
mod books;
mod choose;
mod context;
mod events;
mod hooks;
mod host;
mod launch;
mod model;
mod next;
mod pane;
mod run;
mod said;
mod session;
mod settings;
mod statusline;
mod voice;
mod wait;
mod withheld;

pub(crate) use books::{Answer, Books, By, Query, unpriced_models};
pub(crate) use context::{Context, strict_state};
pub(crate) use events::SCHEMA;
pub(crate) use hooks::handle_hook;
pub(crate) use host::System;
pub(crate) use launch::{
    DEPTH, MAX_DEPTH, NO_CREDENTIAL, depth, started_mark, too_deep, wrapper_that_execed_us,
};
pub(crate) use model::{Arguments, RequestArgs, Run, WaitLimit, likely_typos, request};
pub(crate) use run::{Beginning, DryRun, RunEnd};
pub(crate) use said::{NoSuccessor, Refusal, Said};
pub(crate) use statusline::{StatuslineRun, WindowReadings};
pub(crate) use voice::{Voice, print_hint, print_line};
pub(crate) use withheld::withheld;

#[cfg(test)]
mod tests;
