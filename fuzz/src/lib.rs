//! kage's own modules, each with a function that takes any bytes and holds what must be true of them.
//!
//! Called by libFuzzer (`tests/fuzz.sh`) and, with the corpus, by `tests/corpus.rs`. kage is a program without a
//! library, so its modules are taken in here by their paths; they are the same files, and know nothing of this.

#![allow(dead_code, unused_imports, unfulfilled_lint_expectations)]

// Between braces the directory is the path's, and below it modules are found as in kage itself.
#[path = "../../src"]
mod kage {
    pub(crate) mod agent;
    pub(crate) mod config;
    pub(crate) mod error;
    pub(crate) mod files;
    pub(crate) mod ledger;
    pub(crate) mod paths;
    pub(crate) mod pool;
    pub(crate) mod prices;
    pub(crate) mod process;
    pub(crate) mod report;
    pub(crate) mod secret;
    pub(crate) mod shell;
    pub(crate) mod store;
}

mod input;
#[path = "config.rs"]
mod of_config;
#[path = "ledger.rs"]
mod of_ledger;
#[path = "markers.rs"]
mod of_markers;
#[path = "quoting.rs"]
mod of_quoting;
#[path = "report.rs"]
mod of_report;
#[path = "reset.rs"]
mod of_reset;
#[path = "state.rs"]
mod of_state;
#[path = "transcript.rs"]
mod of_transcript;

// So that `crate::pool` is what it is in kage.
use kage::{agent, config, error, files, ledger, paths, pool, prices, process, report, secret, shell, store};

/// Modules that only their parents see, once more and by themselves.
#[path = "../../src"]
mod alone {
    #[path = "agent"]
    pub(crate) mod agent {
        mod redact;
        pub(crate) mod reset;

        pub(crate) fn redacted(text: &str) -> String {
            redact::redacted(text)
        }
    }
    #[path = "report"]
    pub(crate) mod report {
        mod width;

        fn shows_unicode() -> bool {
            true
        }

        pub(crate) fn width(text: &str) -> usize {
            width::width(text)
        }

        pub(crate) fn clipped(line: &str, columns: usize) -> String {
            width::clipped(line, columns)
        }

        pub(crate) fn end_of(text: &str, columns: usize) -> String {
            width::end_of(text, columns)
        }

        pub(crate) fn start_of(text: &str, columns: usize) -> String {
            width::start_of(text, columns)
        }
    }
}

// What the relay has behind its visibility can only be seen from a module of that name.
#[path = "."]
mod run {
    #[path = "../../src/run/relay"]
    pub(crate) mod relay {
        mod hold;
        #[path = "../../../fuzz/src/stream.rs"]
        pub(crate) mod stream;
    }
}

pub fn config(data: &[u8]) {
    of_config::check(data);
}

pub fn ledger(data: &[u8]) {
    of_ledger::check(data);
}

pub fn markers(data: &[u8]) {
    of_markers::check(data);
}

pub fn quoting(data: &[u8]) {
    of_quoting::check(data);
}

pub fn report(data: &[u8]) {
    of_report::check(data);
}

pub fn reset(data: &[u8]) {
    of_reset::check(data);
}

pub fn state(data: &[u8]) {
    of_state::check(data);
}

pub fn transcript(data: &[u8]) {
    of_transcript::check(data);
}

pub fn stream(data: &[u8]) {
    run::relay::stream::check(data);
}

/// A word, quoted for bash, zsh or fish.
pub fn word_for(shell: &str, word: &str) -> String {
    shell::Shell::of_program(shell).expect("kage has functions for it").quoted(word)
}

/// The command that kage offers for going on elsewhere.
pub fn pasted_command(words: &[&[u8]]) -> String {
    of_quoting::pasted(words)
}

/// The line for tmux's configuration, for a kage at this path.
pub fn line_for_tmux(kage: &str) -> String {
    shell::tmux_line(kage)
}
