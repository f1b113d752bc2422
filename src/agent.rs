//! What kage knows about agents: how to start one with a credential, and what its records mean afterwards.
//!
//! Called by the config (names), the engine, the run and the verbs. One module per agent; each knows only the
//! pool's types.

mod appended;
mod claude;
mod codex;
mod custom;
mod detect;
mod evidence;
mod gemini;
mod install;
mod launch_plan;
mod markers;
mod records;
pub mod redact;
mod registry;
pub mod reset;
mod said;
mod verdict;
mod watch;

#[cfg(test)]
mod false_positives;
#[cfg(test)]
mod refusals;

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::{Path, PathBuf};

use jiff::{Timestamp, Zoned};

use crate::pool::{Delivery, Outcome, Reading};
use crate::secret::Secret;

pub use custom::Definition;
pub use detect::{Detected, Saved};
pub use evidence::{Captured, Evidence, Exit, Kind, Line, ProviderError, Work};
pub use install::{Effect, InstallInfo, Setting};
pub use launch_plan::LaunchPlan;
pub use markers::{Marker, RawMarker};
pub use registry::Agents;
pub use verdict::Case;
pub use watch::{Others, Watch};

/// The agent a subscription belongs to when none is named.
pub const DEFAULT_AGENT: &str = "claude";

/// A coding agent.
pub trait Agent: Sync {
    /// The name in `agent = "..."`.
    fn name(&self) -> &str;

    /// The file name of its program.
    fn program(&self) -> &str {
        self.name()
    }

    /// First arguments of maintenance commands. These send nothing to a model, so they run without a
    /// subscription and with the agent's own login.
    fn maintenance_commands(&self) -> &'static [&'static str] {
        &["--help", "--version"]
    }

    /// Arguments for one short, cheap question that shows whether a subscription works.
    fn trial(&self) -> Option<&'static [&'static str]> {
        None
    }

    /// The kind of a secret, if the agent recognizes its format.
    fn kind_of(&self, secret: &Secret) -> Option<&'static SecretKind>;

    /// The kind assumed for a secret of an unknown format (`--force`).
    fn default_kind(&self) -> &'static SecretKind;

    /// The formats of the agent's secrets, as text for the user.
    fn secret_formats(&self) -> &str;

    /// How to get a secret, as text for the user.
    fn how_to_get(&self) -> &str;

    /// Whether the agent supports login directories.
    fn has_login_dirs(&self) -> bool {
        true
    }

    /// The command that logs in to a login directory; `None` if the agent does not support them.
    fn login_hint(&self, home: &Path) -> Option<String>;

    /// Whether a login directory contains a login, judged by its file names; `None` if they do not show it.
    fn is_logged_in(&self, _home: &Path) -> Option<bool> {
        None
    }

    /// How to install its program, if kage knows.
    fn install_info(&self) -> Option<&'static InstallInfo> {
        None
    }

    /// The keys in its own settings files that affect a run.
    fn settings(&self, _job: &Job<'_>) -> Vec<Setting> {
        Vec::new()
    }

    /// Whether an environment variable would make the agent use a credential, provider or address other than
    /// the chosen subscription's.
    fn competes(&self, variable: &str) -> bool;

    /// Environment variables that make a provider refuse subscriptions, as `NAME=value`.
    fn harmful_variables(&self) -> &'static [&'static str] {
        &[]
    }

    /// Reads the agent's arguments. `environment` looks up a variable; `to_terminal` is whether standard
    /// output is a terminal.
    fn read(
        &self,
        args: &[OsString],
        environment: &dyn Fn(&str) -> Option<OsString>,
        to_terminal: bool,
    ) -> Intent;

    /// Plans how to start the agent, or another program that may start the agent.
    fn prepare(&self, job: &Job<'_>) -> LaunchPlan;

    /// The arguments that resume a conversation, with the user's own options; `None` if the agent cannot
    /// resume one.
    fn resume_args(&self, _args: &[OsString], _session: &str, _prompt: &str) -> Option<Vec<OsString>> {
        None
    }

    /// Whether this job can resume a conversation of an earlier attempt: its record must be where the agent
    /// looks for it.
    fn can_resume(&self, session: &str, job: &Job<'_>) -> bool;

    /// Whether standard error may be the only evidence, so that kage must read it even when it is a terminal.
    fn errors_on_stderr(&self) -> bool {
        false
    }

    /// Returns the function that recognizes a line of standard error about a retry that cannot succeed. kage then
    /// ends the agent and continues on another subscription.
    fn useless_retry(&self) -> Option<fn(&[u8]) -> bool> {
        None
    }

    /// Returns the function that classifies one line of the agent's JSON lines.
    fn classifier(&self) -> fn(&[u8]) -> Line {
        |_| Line::Progress
    }

    /// Reads the records of the attempt and its captured output.
    fn collect(&self, plan: &LaunchPlan, captured: &Captured, now: &Zoned) -> Evidence;

    /// Reads a saved output or record, for `kage detect`. Treats the input as plain text only if it contains
    /// no record.
    fn examine(&self, text: &[u8], now: &Zoned) -> Evidence;

    /// Reads the input of the agent's status line command, if the agent has one.
    fn read_statusline(&self, _input: &[u8]) -> Option<StatuslineReading> {
        None
    }

    /// The texts that report a refusal.
    fn markers(&self) -> &'static [Marker];

    /// The variable that passes the agent's process id to its hooks.
    fn hooked_pid_variable(&self) -> Option<&'static str> {
        None
    }

    /// Parses the input of a hook that kage added to its settings; `None` if kage has no use for it.
    fn parse_hook(&self, _input: &[u8]) -> Option<HookEvent> {
        None
    }

    /// Reads the end of a conversation's record while the agent runs: what happened since a time.
    fn evidence_at_end(&self, _record: &Path, _since: Timestamp, _now: &Zoned) -> Evidence {
        Evidence::default()
    }

    /// Turns the evidence into an outcome. Pure.
    fn judge(&self, case: &Case<'_>) -> Outcome {
        verdict::judge(case, || self.markers())
    }
}

/// What an agent reports to its status line while it runs.
#[derive(Debug, PartialEq)]
pub struct StatuslineReading {
    /// The current conversation.
    pub session: String,
    /// By the provider's name for the window.
    pub readings: BTreeMap<String, Reading>,
}

/// One kind of secret and the variables that carry it.
#[derive(Debug, PartialEq, Eq)]
pub struct SecretKind {
    pub prefix: &'static str,
    pub variable: &'static str,
    /// The variable that names the file descriptor of a pipe with the secret, if the agent supports this.
    pub descriptor: Option<&'static str>,
    /// The model that the agent uses by default with this kind of secret.
    pub model: Option<&'static str>,
    /// The lifetime of this kind of secret in days, if known.
    pub lifetime_days: Option<i64>,
}

impl SecretKind {
    /// The variable that is set for a kind of delivery.
    pub fn variable_for(&self, deliver: Delivery) -> &'static str {
        match (deliver, self.descriptor) {
            (Delivery::Fd, Some(descriptor)) => descriptor,
            _ => self.variable,
        }
    }
}

/// What the arguments ask for: the parts that kage needs to choose a subscription and to continue later.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Intent {
    pub form: Form,
    /// The model family that the arguments name.
    pub model: Option<String>,
    /// Whether the arguments name a model. If not, the model depends on the credential.
    pub names_model: bool,
    /// Whether the conversation stays open after an answer, so that another process can send more input. kage
    /// must not hold back any output then: that process waits for it.
    pub stays_open: bool,
    /// Which conversation the command resumes.
    pub resumes: Option<Resumed>,
    /// Whether the command can be run again as typed, each time as a new conversation.
    pub repeatable: bool,
    /// Why no later attempt can resume the conversation, as text for the user.
    pub not_resumable: Option<&'static str>,
}

/// The form of the agent's output.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Form {
    /// No conversation: help, an update, a login.
    #[default]
    Other,
    /// A terminal session.
    Interactive,
    /// One answer, in one piece at the end: text, or a JSON object.
    Whole,
    /// One answer as JSON lines, printed as events happen.
    Lines,
}

impl Form {
    /// Whether the agent answers once and exits.
    pub fn is_print(self) -> bool {
        matches!(self, Self::Whole | Self::Lines)
    }
}

/// A conversation that the command resumes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Resumed {
    Session(String),
    /// The latest conversation in the directory.
    Latest,
}

/// How an attempt begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Opening<'a> {
    /// The command as the user typed it.
    AsTyped,
    /// The conversation of an earlier attempt is resumed, with this prompt instead of the user's.
    Resuming { session: &'a str, prompt: &'a str },
}

/// The credential that the child gets.
#[derive(Debug, Clone, Copy)]
pub enum Grant<'a> {
    /// A secret of this kind, delivered this way.
    Secret(&'static SecretKind, Delivery),
    /// The agent's own login directory.
    Home(&'a Path),
}

/// The input of `prepare`.
pub struct Job<'a> {
    /// The arguments after the program's name.
    pub args: &'a [OsString],
    /// Whether the program is the agent itself; kage adds no arguments to any other program.
    pub is_agent: bool,
    pub opening: Opening<'a>,
    /// The model to name in the arguments, so that it does not change with the subscription.
    pub model: Option<&'a str>,
    /// How long the agent retries on its own.
    pub patience: Patience,
    pub grant: Grant<'a>,
    /// The subscription's own variables.
    pub own_env: &'a BTreeMap<String, String>,
    /// The variables of `--keep-env`.
    pub keep: &'a [String],
    pub cwd: &'a Path,
    pub home: &'a Path,
    /// The environment of kage itself.
    pub environment: &'a [(OsString, OsString)],
    /// The path of the merged settings file, if one is needed.
    pub settings_file: &'a Path,
    /// The command that the agent calls while it runs, if kage handles hooks.
    pub hook: Option<Hook<'a>>,
    pub began: Timestamp,
}

/// How long the agent retries on its own before it gives up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Patience {
    /// As long as it always does: nothing follows.
    Own,
    /// Some seconds: this is kage's retry after an error of the provider.
    Bounded,
    /// One or two requests: kage continues the run.
    Short,
}

/// The command that reports the events of a running agent to kage.
#[derive(Debug, Clone, Copy)]
pub struct Hook<'a> {
    /// A shell command line.
    pub command: &'a str,
    /// The path of a settings file that contains only the hooks. It is the same for all runs and is not
    /// removed: the agent prints its path when it exits.
    pub file: &'a Path,
}

/// What a running agent reports through a hook.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum HookEvent {
    /// It has entered this conversation.
    Began { session: String },
    /// The user submitted a prompt.
    Prompted { session: String },
    /// A turn ended with an error, which the record of the conversation contains.
    Failed { session: String, record: PathBuf },
    /// It has left this conversation.
    Ended { session: String },
}

impl Job<'_> {
    /// The value that the child sees for a variable that kage does not set itself.
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
