//! A function for each fuzz target. It takes any bytes and checks what must always hold.
//!
//! Called by libFuzzer (`tests/fuzz.sh`) and, with the corpus, by `tests/corpus.rs`.

mod config;
mod dbus;
mod input;
mod ledger;
mod markers;
mod quoting;
mod report;
mod reset;
mod state;
mod stream;
mod transcript;

use kage::shell;

pub fn config(data: &[u8]) {
    config::check(data);
}

pub fn dbus(data: &[u8]) {
    dbus::check(data);
}

pub fn ledger(data: &[u8]) {
    ledger::check(data);
}

pub fn markers(data: &[u8]) {
    markers::check(data);
}

pub fn quoting(data: &[u8]) {
    quoting::check(data);
}

pub fn report(data: &[u8]) {
    report::check(data);
}

pub fn reset(data: &[u8]) {
    reset::check(data);
}

pub fn state(data: &[u8]) {
    state::check(data);
}

pub fn transcript(data: &[u8]) {
    transcript::check(data);
}

pub fn stream(data: &[u8]) {
    stream::check(data);
}

/// A word, quoted for bash, zsh or fish.
pub fn word_for(shell: &str, word: &str) -> String {
    shell::Shell::of_program(shell).expect("kage supports the shell").quoted(word)
}

/// The command that kage suggests for resuming on another subscription.
pub fn pasted_command(words: &[&[u8]]) -> String {
    quoting::pasted(words)
}

/// The line for tmux's configuration, for a kage at this path.
pub fn line_for_tmux(kage: &str) -> String {
    shell::tmux_line(kage)
}
