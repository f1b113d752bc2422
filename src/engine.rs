//! What a run is: choose a subscription, start the agent on it, read how it ended, book it, and decide what is next.
//!
//! Called by the verbs. It imports neither `cli` nor `report`: what it has to say are values of `Said`, which its
//! `Voice` turns into sentences by a function that it is given. `books` is the only writer of state and ledger.

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

pub(crate) use books::{Answer, Books, By, Key, Query};
pub(crate) use context::{Context, undamaged_state};
pub(crate) use events::SCHEMA;
pub(crate) use hooks::handle_hook;
pub(crate) use host::System;
pub(crate) use launch::{
    DEEPEST, DEPTH, NO_CREDENTIAL, depth, started_mark, too_deep, wrapper_that_execed_us,
};
pub(crate) use model::{Arguments, Ask, Patience, Run, likely_typos, request};
pub(crate) use run::{Beginning, Rehearsal, RunEnd};
pub(crate) use said::{NoSuccessor, Refusal, Said};
pub(crate) use statusline::{StatuslineRun, WindowReadings};
pub(crate) use voice::{Voice, print_hint, print_line};
pub(crate) use withheld::withheld;

#[cfg(test)]
mod tests;
