//! Facts about an agent that are known without running it: how to install it, and how its settings affect a
//! run. Used by `kage doctor`.

use std::path::PathBuf;

/// How to install an agent.
#[derive(Debug, PartialEq, Eq)]
pub struct InstallInfo {
    /// The command that installs it.
    pub install: &'static str,
    /// The command that updates it.
    pub update: &'static str,
    /// The version with which the facts about the agent were measured.
    pub measured: [u32; 3],
    /// The oldest supported version, and the problem with older ones.
    pub oldest: Option<([u32; 3], &'static str)>,
}

/// A key in a settings file of an agent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Setting {
    pub file: PathBuf,
    pub key: String,
    pub effect: Effect,
}

/// The effect of a setting on a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Effect {
    /// It would override the credential; kage switches it off for the run.
    SwitchedOff,
    /// It overrides the credential, and kage cannot switch it off.
    Overrides,
    /// The agent calls no hooks, so kage gets no reports about its conversations.
    DisablesHooks,
}
