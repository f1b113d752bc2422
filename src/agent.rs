//! What kage knows of agents: how to start one with a credential, and what its records mean afterwards.
//!
//! Called by the config (names) and `exec`. One module an agent; it knows the pool's types, nothing else.

mod appended;
mod claude;
mod codex;
mod custom;
mod detect;
mod evidence;
mod gemini;
mod install;
mod markers;
mod records;
pub mod redact;
mod registry;
pub mod reset;
mod said;
mod verdict;
mod watch;

#[cfg(test)]
mod innocent;

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::{Path, PathBuf};

use jiff::{Timestamp, Zoned};

use crate::pool::{Delivery, Outcome, Reading, Visit};
use crate::secret::Secret;

pub use custom::Definition;
pub use detect::{Detected, Saved};
pub use evidence::{Captured, Evidence, Exit, Kind, Line, ProviderError, Work};
pub use install::{Effect, InstallInfo, Setting};
pub use markers::{Marker, RawMarker};
pub use registry::Agents;
pub use verdict::Case;
pub use watch::{Others, Watch};

/// The agent a subscription belongs to when none is named.
pub const DEFAULT_AGENT: &str = "claude";

/// A coding agent.
pub trait Agent: Sync {
    /// The word in `agent = "..."`.
    fn name(&self) -> &str;

    /// The name of its program.
    fn program(&self) -> &str {
        self.name()
    }

    /// First arguments with which it looks after itself and asks no model anything: with them it needs no
    /// subscription, and a login that it makes or asks for must be its own.
    fn maintenance_commands(&self) -> &'static [&'static str] {
        &["--help", "--version"]
    }

    /// Arguments for one short question that costs next to nothing, to see whether a subscription works.
    fn trial(&self) -> Option<&'static [&'static str]> {
        None
    }

    /// The kind of a secret, if it looks like one of the agent's.
    fn kind_of(&self, secret: &Secret) -> Option<&'static SecretKind>;

    /// What a secret of an unknown look is taken for (`--force`).
    fn default_kind(&self) -> &'static SecretKind;

    /// What the agent's secrets look like, for a person.
    fn looks(&self) -> &str;

    /// How to get a secret, for a person.
    fn how_to_get(&self) -> &str;

    /// Whether the agent can be pointed at a directory with its login.
    fn has_login_dirs(&self) -> bool {
        true
    }

    /// How to log in to a login directory, for a person; `None` where the agent knows none.
    fn login_hint(&self, home: &Path) -> Option<String>;

    /// Whether a login directory has a login in it, by the names of its files; `None` where they do not tell.
    fn is_logged_in(&self, _home: &Path) -> Option<bool> {
        None
    }

    /// How its program is had, where kage knows that.
    fn install_info(&self) -> Option<&'static InstallInfo> {
        None
    }

    /// What in its own settings files matters to a run.
    fn settings(&self, _job: &Job<'_>) -> Vec<Setting> {
        Vec::new()
    }

    /// Whether a variable of the environment would make it take another credential, another provider or another
    /// address than the chosen subscription's.
    fn competes(&self, variable: &str) -> bool;

    /// Variables of the environment that make a provider refuse subscriptions, as `NAME=value`.
    fn harmful(&self) -> &'static [&'static str] {
        &[]
    }

    /// What its arguments ask for; `environment` looks a variable up, and `to_terminal` says where standard
    /// output goes.
    fn read(
        &self,
        args: &[OsString],
        environment: &dyn Fn(&str) -> Option<OsString>,
        to_terminal: bool,
    ) -> Intent;

    /// How to start it, or another program that may start it.
    fn prepare(&self, job: &Job<'_>) -> LaunchPlan;

    /// A command line for going on with a conversation, with the user's own options; `None` where the agent has
    /// no such thing.
    fn resuming(&self, _args: &[OsString], _session: &str, _prompt: &str) -> Option<Vec<OsString>> {
        None
    }

    /// Whether a conversation of an earlier attempt can be gone on with in this job: its record must be where
    /// the agent will look.
    fn can_resume(&self, session: &str, job: &Job<'_>) -> bool;

    /// Whether the evidence may be on standard error alone, so that kage must see it also at a terminal.
    fn speaks_on_stderr(&self) -> bool {
        false
    }

    /// What a line of its JSON lines is.
    fn classifier(&self) -> fn(&[u8]) -> Line {
        |_| Line::Progress
    }

    /// Reads the records that the attempt left, and what was seen of its output.
    fn collect(&self, plan: &LaunchPlan, captured: &Captured, now: &Zoned) -> Evidence;

    /// What a saved output or record says, for `kage detect`. Words only where the text is no record.
    fn examine(&self, text: &[u8], now: &Zoned) -> Evidence;

    /// What it hands to its status line, where it has one that runs a command.
    fn read_statusline(&self, _input: &[u8]) -> Option<StatuslineReading> {
        None
    }

    /// The texts by which it says that it was refused.
    fn markers(&self) -> &'static [Marker];

    /// The variable in which the agent tells its hooks its process id.
    fn hooked_pid_variable(&self) -> Option<&'static str> {
        None
    }

    /// What one of the hooks tells that kage had put into its settings; `None` where it is nothing to kage.
    fn parse_hook(&self, _told: &[u8]) -> Option<HookEvent> {
        None
    }

    /// What the conversation stands at since a moment, from the end of its record, while the agent runs.
    fn evidence_at_end(&self, _record: &Path, _since: Timestamp, _now: &Zoned) -> Evidence {
        Evidence::default()
    }

    /// What the evidence means. Pure.
    fn judge(&self, case: &Case<'_>) -> Outcome {
        verdict::judge(case, || self.markers())
    }
}

/// What an agent tells while it runs.
#[derive(Debug, PartialEq)]
pub struct StatuslineReading {
    /// The conversation that it is in.
    pub session: String,
    /// By the provider's word for the window.
    pub readings: BTreeMap<String, Reading>,
}

/// One kind of secret and the variables that carry it.
#[derive(Debug, PartialEq, Eq)]
pub struct SecretKind {
    pub prefix: &'static str,
    pub variable: &'static str,
    /// The variable that holds the number of a pipe with the secret in it, where the agent reads one.
    pub descriptor: Option<&'static str>,
    /// The model that the agent takes by itself with such a secret.
    pub model: Option<&'static str>,
    /// How many days such a secret lasts, where its end is known.
    pub lasts: Option<i64>,
}

impl SecretKind {
    /// The variable that is set under a way of delivery.
    pub fn carrier(&self, deliver: Delivery) -> &'static str {
        match (deliver, self.descriptor) {
            (Delivery::Fd, Some(descriptor)) => descriptor,
            _ => self.variable,
        }
    }
}

/// What the arguments ask for, as far as choosing a subscription needs it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Intent {
    pub form: Form,
    /// The model family that is asked for by name.
    pub model: Option<String>,
    /// Whether a model is named, so that it does not change with the credential.
    pub names_model: bool,
    /// Whether it talks on after its answer, with whoever feeds its standard input. Nothing that it says may
    /// be held back then: the other side waits for it.
    pub converses: bool,
    /// Which conversation is gone on with.
    pub resumes: Option<Resumed>,
    /// Whether the command may be run once more as it was typed, each time as a new conversation.
    pub repeatable: bool,
    /// Why no other attempt can go on with the conversation, for a person.
    pub not_resumable: Option<&'static str>,
}

/// How the agent will talk.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Form {
    /// No conversation: help, an update, a login.
    #[default]
    Other,
    /// A session at the terminal.
    Interactive,
    /// One answer that comes in one piece at the end: text, a JSON object.
    Whole,
    /// One answer as JSON lines, as they happen.
    Lines,
}

impl Form {
    /// Whether the agent answers once and ends.
    pub fn is_print(self) -> bool {
        matches!(self, Self::Whole | Self::Lines)
    }
}

/// A conversation that is gone on with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Resumed {
    Session(String),
    /// The latest of the directory.
    Latest,
}

/// How an attempt begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Opening<'a> {
    /// The command as the user typed it.
    AsTyped,
    /// The conversation of an earlier attempt goes on, with this prompt instead of the user's.
    Resuming { session: &'a str, prompt: &'a str },
}

/// What the child gets for a credential.
#[derive(Debug, Clone, Copy)]
pub enum Grant<'a> {
    /// A secret of this kind, delivered this way.
    Secret(&'static SecretKind, Delivery),
    /// The agent's own login directory.
    Home(&'a Path),
}

/// All that `prepare` goes by.
pub struct Job<'a> {
    /// The arguments behind the program's name.
    pub args: &'a [OsString],
    /// Whether the program is the agent itself; another one gets no arguments.
    pub is_agent: bool,
    pub opening: Opening<'a>,
    /// The model to name, so that it stays what it was.
    pub model: Option<&'a str>,
    /// Whether kage goes on where the agent gives up, so that the agent may give up early.
    pub takes_over: bool,
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
    /// What the agent is to call while it runs, where somebody listens.
    pub hook: Option<Hook<'a>>,
    pub began: Timestamp,
}

/// The command by which a running agent tells kage what happens.
#[derive(Debug, Clone, Copy)]
pub struct Hook<'a> {
    /// For a shell.
    pub command: &'a str,
    /// Where settings go that hold nothing but the hooks. They are the same for all runs, and stay: the agent
    /// names the file in what it says at its end.
    pub file: &'a Path,
}

/// What a running agent tells.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum HookEvent {
    /// It is in this conversation now.
    Began { session: String },
    /// The user goes on with the conversation.
    Prompted { session: String },
    /// A turn ended with an error, which the record of the conversation tells.
    Failed { session: String, record: PathBuf },
    /// It has left this conversation.
    Ended { session: String },
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
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct LaunchPlan {
    pub args: Vec<OsString>,
    /// Variables that were set and must not reach the child.
    pub remove: Vec<String>,
    pub set: Vec<(String, OsString)>,
    /// A file that must be there at the start.
    pub settings: Option<(PathBuf, String)>,
    /// Where the records of the attempt will be, where that is known.
    pub watch: Option<Watch>,
    /// Whether JSON was asked for. Any other output is an answer, be it a sample of such JSON.
    pub prints_json: bool,
    /// Keys of the agent's settings that would have won over the credential.
    pub switched_off: Vec<String>,
    /// Whether the agent was told to take no credential of this kind, so that being without one is not the
    /// account's fault.
    pub ignores_credential: bool,
    /// What kage could not arrange, for stderr.
    pub warnings: Vec<String>,
}

impl LaunchPlan {
    /// What all agents need: the variables that compete with the credential are taken out, the variable of
    /// the login directory and the subscription's own ones are set.
    fn new(args: Vec<OsString>, job: &Job<'_>, competes: impl Fn(&str) -> bool, home_variable: &str) -> Self {
        let inherited = job.environment.iter().filter(|(_, value)| !value.is_empty());
        let names = inherited.filter_map(|(name, _)| name.to_str());
        let remove = names.filter(|name| competes(name) && !job.keeps(name)).map(str::to_owned).collect();
        let home = match job.grant {
            Grant::Home(home) => Some((home_variable.to_owned(), home.into())),
            Grant::Secret(..) => None,
        };
        let own = job.own_env.iter().map(|(name, value)| (name.clone(), value.into()));
        Self { args, remove, set: home.into_iter().chain(own).collect(), ..Self::default() }
    }

    /// The same with what the agent's hooks have told since.
    pub fn with_visits(&self, visits: &[Visit]) -> Self {
        let mut plan = self.clone();
        if let Some(watch) = &mut plan.watch {
            watch.visits = visits.to_vec();
        }
        plan
    }

    /// The same with what is known of others.
    pub fn with_others(mut self, others: Others) -> Self {
        if let Some(watch) = &mut self.watch {
            watch.others = others;
        }
        self
    }
}
