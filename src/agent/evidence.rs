//! The evidence of an attempt, in types that are the same for all agents.

use std::borrow::Cow;
use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};
use serde::Deserialize;

use crate::pool::{Reading, Scope, Usage, Window};

/// How the agent ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exit {
    Code(i32),
    Signal(i32),
}

/// The role of one line in an agent's JSON lines.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Line {
    /// Opens the stream. A run relays only one such line, even if it has several attempts.
    Opening,
    /// The conversation has advanced, so the attempt was useful.
    Progress,
    /// Progress, and a summary of the lines before it.
    Sum,
    /// Reports that the attempt failed.
    Failure,
    /// A notice.
    Neutral,
}

/// The part of an attempt's output that kage kept while it relayed the output.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Captured {
    /// All of standard output, if the agent prints it in one piece; `None` if it was too long or not
    /// captured.
    pub whole: Option<Vec<u8>>,
    /// The JSON lines that are more than progress, in order. If there are too many, the oldest are dropped.
    pub lines: Vec<Vec<u8>>,
    /// Whether there was a line of progress.
    pub progressed: bool,
    /// The end of standard error.
    pub stderr: Vec<u8>,
}

/// The evidence of an attempt, as the agent's module reads it.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Evidence {
    pub usage: Usage,
    pub work: Work,
    /// The conversation, if its records exist.
    pub session: Option<String>,
    /// The model that was used.
    pub model: Option<String>,
    /// The utilization of the provider's windows, by the provider's names for them.
    pub readings: BTreeMap<String, Reading>,
    /// Errors in the main conversation, from records and structured output, oldest first.
    pub errors: Vec<ProviderError>,
    /// Limits that only subagents met. They do not change the verdict, but their windows are full.
    pub met_by_subagents: Vec<ProviderError>,
    /// An error in structured output that counts only if the attempt failed. If the attempt succeeded, the
    /// agent recovered from the error, or the error was not its own.
    pub if_failed: Option<ProviderError>,
    /// Lines of output that may be the agent's text for an error. They count only if the attempt failed and
    /// the fields above contain no error.
    pub said: Vec<String>,
}

impl Evidence {
    /// Keeps the errors at which the conversation stopped: drops those after which the provider answered or
    /// the user continued.
    pub fn final_errors(mut self) -> Self {
        self.errors.retain(|error| !error.answered_since && !error.superseded);
        self
    }
}

/// Whether an attempt did anything that must not be done twice.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Work {
    /// The attempt produced nothing but the error.
    #[default]
    None,
    Done,
    /// The agent keeps no record that would show it.
    Unknown,
}

/// An error that ended a request, or the agent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProviderError {
    pub kind: Kind,
    /// The models that a usage limit covers.
    pub scope: Scope,
    pub window: Option<Window>,
    pub resets_at: Option<Timestamp>,
    pub retry_after: Option<SignedDuration>,
    /// The line that the user saw.
    pub text: String,
    /// The rule that recognized it: `transcript`, or the name of a marker.
    pub rule: Cow<'static, str>,
    /// Whether the provider answered again afterwards.
    pub answered_since: bool,
    /// When it occurred, if the records show it.
    pub at: Option<Timestamp>,
    /// Whether the user has continued the conversation since.
    pub superseded: bool,
    /// What a person must do before the provider accepts the account again, as text for the user. Without
    /// this, a rejected account is tried again after some time.
    pub act: Option<Cow<'static, str>>,
    /// Whether a limit covers only the model of the request, although the message does not name it.
    pub limits_requested_model: bool,
}

impl ProviderError {
    /// Returns an error without further details.
    pub fn new(kind: Kind, text: impl Into<String>, rule: impl Into<Cow<'static, str>>) -> Self {
        Self {
            kind,
            scope: Scope::All,
            window: None,
            resets_at: None,
            retry_after: None,
            text: text.into(),
            rule: rule.into(),
            answered_since: false,
            at: None,
            superseded: false,
            act: None,
            limits_requested_model: false,
        }
    }
}

/// The kind of an error.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// A usage limit of the subscription.
    UsageLimit,
    /// Too many requests at the same time.
    Throttled,
    /// The provider has no capacity or is down.
    Overloaded,
    Network,
    Timeout,
    Auth,
    /// The organization of the subscription does not allow this use.
    #[serde(rename = "organisation", alias = "organization")]
    Organization,
    Billing,
    /// The agent rejected its arguments or settings.
    Startup,
    /// None of the kinds above: a warning or a notice, or an error of another or an unknown kind.
    None,
}
