//! What an attempt leaves behind, in words that are the same for all agents.

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

/// What a line of an agent's JSON lines is to whoever reads them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Line {
    /// Opens the stream. A run has one, however many attempts it takes.
    Opening,
    /// The conversation has moved on: the attempt was good for something.
    Progress,
    /// Progress, and sums up what came before it.
    Sum,
    /// Says that the attempt failed.
    Failure,
    /// Neither: a notice.
    Neutral,
}

/// What kage saw of an attempt's output while it passed it on.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Captured {
    /// All of standard output, where it comes in one piece and is not too long; `None` where it was longer,
    /// or not looked at.
    pub whole: Option<Vec<u8>>,
    /// Of JSON lines: those that are not mere progress, in order. The oldest are dropped where they grow many.
    pub lines: Vec<Vec<u8>>,
    /// Whether a line of progress came.
    pub progressed: bool,
    /// The end of standard error.
    pub stderr: Vec<u8>,
}

/// What an attempt left behind, as the agent's module reads it.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Evidence {
    pub usage: Usage,
    pub work: Work,
    /// The conversation, where its records exist.
    pub session: Option<String>,
    /// The model that was asked.
    pub model: Option<String>,
    /// How full the provider's windows are, by its words for them.
    pub readings: BTreeMap<String, Reading>,
    /// Errors in the main conversation, as records and structured output tell them, oldest first.
    pub errors: Vec<ProviderError>,
    /// One that structured output tells, and that is over, or was never the agent's, where the attempt did not
    /// fail.
    pub of_failure: Option<ProviderError>,
    /// Lines that may be the agent's rendering of an error. They count only where nothing above tells one,
    /// and only of a failed attempt.
    pub said: Vec<String>,
}

impl Evidence {
    /// The same with those errors only that the conversation stands at: neither has the provider answered since,
    /// nor has the user gone on.
    pub fn final_errors(mut self) -> Self {
        self.errors.retain(|error| !error.answered_since && !error.overtaken);
        self
    }
}

/// Whether an attempt did anything that must not be done twice.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Work {
    /// Nothing but the error came back.
    #[default]
    None,
    Done,
    /// The agent keeps no record of it.
    Unknown,
}

/// An error that ended a request, or the agent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProviderError {
    pub kind: Kind,
    /// What a usage limit covers.
    pub scope: Scope,
    pub window: Option<Window>,
    pub resets_at: Option<Timestamp>,
    pub retry_after: Option<SignedDuration>,
    /// The line that the user saw.
    pub text: String,
    /// What it was read by: `transcript`, a marker's name.
    pub rule: Cow<'static, str>,
    /// Whether the provider answered again afterwards.
    pub answered_since: bool,
    /// When it came, where the records tell.
    pub at: Option<Timestamp>,
    /// Whether the user has gone on with the conversation since.
    pub overtaken: bool,
}

impl ProviderError {
    /// One of which no more is known.
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
            overtaken: false,
        }
    }
}

/// What an error is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// The account's own limit.
    UsageLimit,
    /// Too many requests at once.
    Throttled,
    /// The provider is out of capacity or out of order.
    Overloaded,
    Network,
    Timeout,
    Auth,
    /// The account's organisation forbids it.
    Organisation,
    Billing,
    /// The agent did not accept its arguments or settings.
    Startup,
    /// Reads like one of the others and is none: a warning, a notice.
    None,
}
