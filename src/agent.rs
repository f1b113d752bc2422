//! What kage knows of agents: how to start one with a credential, and what its records mean afterwards.
//!
//! Called by the config (names) and `exec`. One module an agent; it knows the pool's types, nothing else.

mod claude;

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};

use jiff::Timestamp;

use crate::pool::{Delivery, Outcome};
use crate::secret::Secret;

/// A coding agent.
pub(crate) trait Agent: Sync {
    /// The word in `agent = "..."`, which is also the program's name.
    fn name(&self) -> &'static str;

    /// The kind of a secret, if it looks like one of the agent's.
    fn kind_of(&self, secret: &Secret) -> Option<&'static SecretKind>;

    /// What a secret of an unknown look is taken for (`--force`).
    fn default_kind(&self) -> &'static SecretKind;

    /// What the agent's secrets look like, for a person.
    fn looks(&self) -> &'static str;

    /// How to get a secret, for a person.
    fn how_to_get(&self) -> &'static str;

    /// What its arguments ask for; `environment` looks a variable up.
    fn read(&self, args: &[OsString], environment: &dyn Fn(&str) -> Option<OsString>) -> Intent;

    /// How to start it, or another program that may start it.
    fn prepare(&self, job: &Job<'_>) -> LaunchPlan;

    /// Reads the records that the attempt left.
    fn collect(&self, watch: &Watch) -> Evidence;

    /// What the evidence means. Pure.
    fn judge(&self, exit: Exit, evidence: &Evidence) -> Outcome;
}

const AGENTS: [&dyn Agent; 1] = [&claude::Claude];

/// The agent of a name.
pub(crate) fn find(name: &str) -> Option<&'static dyn Agent> {
    AGENTS.into_iter().find(|agent| agent.name() == name)
}

/// The agent whose program this is, by its file name.
pub(crate) fn of_program(program: &OsStr) -> Option<&'static dyn Agent> {
    find(Path::new(program).file_name()?.to_str()?)
}

/// The names of all agents, for a person.
pub(crate) fn names() -> String {
    AGENTS.map(Agent::name).join(", ")
}

/// One kind of secret and the variables that carry it.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct SecretKind {
    pub prefix: &'static str,
    pub variable: &'static str,
    /// The variable that holds the number of a pipe with the secret in it.
    pub descriptor: &'static str,
}

impl SecretKind {
    /// The variable that is set under a way of delivery.
    pub(crate) fn carrier(&self, deliver: Delivery) -> &'static str {
        match deliver {
            Delivery::Env => self.variable,
            Delivery::Fd => self.descriptor,
        }
    }
}

/// What the arguments ask for, as far as choosing a subscription needs it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Intent {
    /// The model family that is asked for by name.
    pub model: Option<String>,
    /// Which conversation is gone on with.
    pub resumes: Option<Resumed>,
}

/// A conversation that is gone on with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Resumed {
    Session(String),
    /// The latest of the directory.
    Latest,
}

/// What the child gets for a credential.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Grant<'a> {
    /// A secret of this kind, delivered this way.
    Secret(&'static SecretKind, Delivery),
    /// The agent's own login directory.
    Home(&'a Path),
}

/// All that `prepare` goes by.
pub(crate) struct Job<'a> {
    /// The arguments behind the program's name.
    pub args: &'a [OsString],
    /// Whether the program is the agent itself; another one gets no arguments.
    pub is_agent: bool,
    pub grant: Grant<'a>,
    /// The subscription's own variables.
    pub own_env: &'a BTreeMap<String, String>,
    /// Variables that the user keeps with `--keep-env`.
    pub keep: &'a [String],
    pub cwd: &'a Path,
    pub home: &'a Path,
    /// The environment that kage was started with.
    pub environment: &'a [(OsString, OsString)],
    /// Where a merged settings file goes, should one be needed.
    pub settings_file: &'a Path,
    pub began: Timestamp,
}

impl Job<'_> {
    /// What the child will see of a variable that kage does not set itself.
    fn variable(&self, name: &str) -> Option<OsString> {
        let own = self.own_env.get(name).map(OsString::from);
        let inherited =
            || self.environment.iter().find(|(known, _)| known == name).map(|(_, value)| value.clone());
        own.or_else(inherited)
    }

    fn keeps(&self, name: &str) -> bool {
        self.keep.iter().any(|kept| kept == name)
    }
}

/// How to start the agent.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct LaunchPlan {
    pub args: Vec<OsString>,
    /// Variables that were set and must not reach the child.
    pub remove: Vec<String>,
    pub set: Vec<(String, OsString)>,
    /// A file to write before the start and remove after the end.
    pub settings: Option<(PathBuf, String)>,
    /// Where the records of the attempt will be, where that is known.
    pub watch: Option<Watch>,
    /// Keys of the agent's settings that would have won over the credential.
    pub switched_off: Vec<String>,
    /// What kage could not arrange, for stderr.
    pub warnings: Vec<String>,
}

/// Which records belong to an attempt.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Watch {
    /// The agent's directory of projects.
    pub projects: PathBuf,
    pub session: String,
    pub cwd: PathBuf,
    /// Rows from before are not of this attempt, wherever they stand.
    pub began: Timestamp,
    /// How long each file of the session was before: nothing before that is read again.
    pub lengths: BTreeMap<PathBuf, u64>,
}

/// How the agent ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Exit {
    Code(i32),
    Signal(i32),
}

/// What an attempt left behind, as the agent's module reads it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Evidence {
    pub usage: crate::pool::Usage,
    /// Errors of the provider in the main conversation, oldest first.
    pub errors: Vec<ProviderError>,
}

/// A row that says that the provider refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ProviderError {
    pub at: Timestamp,
    /// The agent's class of it: `rate_limit`, `authentication_failed`.
    pub class: String,
    pub is_usage_limit: bool,
    /// The provider's word for the limit's window.
    pub window: Option<String>,
    pub resets_at: Option<Timestamp>,
    /// The line that the user saw.
    pub text: String,
    /// Whether the provider answered again afterwards.
    pub answered_since: bool,
}
