//! What can be told of an agent without running it: how it is had, and what its settings do to a run. Asked for by
//! `kage doctor`.

use std::path::PathBuf;

/// How the program of an agent is had.
#[derive(Debug, PartialEq, Eq)]
pub struct InstallInfo {
    pub install: &'static str,
    pub update: &'static str,
    /// The oldest version that serves, and what is wrong with those before it.
    pub oldest: Option<([u32; 3], &'static str)>,
}

/// A key in a settings file of an agent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Setting {
    pub file: PathBuf,
    pub key: String,
    pub effect: Effect,
}

/// What a setting does to a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Effect {
    /// It would win over the credential; kage switches it off for the run.
    SwitchedOff,
    /// It wins over the credential, and kage cannot switch it off.
    Wins,
    /// The agent calls no hooks, so that kage is not told of its conversations.
    Silences,
}
