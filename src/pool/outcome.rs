//! What an attempt came to: the verdict on its evidence.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use super::Usage;

/// What the evidence of one attempt means.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    Succeeded,
    /// The agent ended with a failure that is not the account's fault.
    AgentFailed,
    /// The agent refused its arguments or settings, and asked the provider nothing.
    NotStarted,
    /// A signal ended it.
    Interrupted,
    /// The account's own limit is reached.
    UsageLimit {
        scope: Scope,
        window: Window,
        resets_at: Option<Timestamp>,
    },
    /// Too many requests at once; not the plan's limit.
    Throttled {
        retry_after: Option<SignedDuration>,
    },
    /// The provider is out of capacity or out of order, whatever the account.
    Overloaded,
    /// The provider was not reached.
    Unreachable,
    /// The provider did not answer in time.
    TimedOut,
    AuthRejected,
    /// The account's organisation does not allow this use.
    OrganisationRefused,
    BillingRejected,
}

impl Verdict {
    /// Whether it is about the account, so that another one helps.
    pub fn is_of_the_account(&self) -> bool {
        match self {
            Self::UsageLimit { .. }
            | Self::Throttled { .. }
            | Self::AuthRejected
            | Self::OrganisationRefused
            | Self::BillingRejected => true,
            Self::Succeeded
            | Self::AgentFailed
            | Self::NotStarted
            | Self::Interrupted
            | Self::Overloaded
            | Self::Unreachable
            | Self::TimedOut => false,
        }
    }

    /// The word for it in the ledger.
    pub fn word(&self) -> &'static str {
        match self {
            Self::Succeeded => "succeeded",
            Self::AgentFailed => "agent_failed",
            Self::NotStarted => "not_started",
            Self::Interrupted => "interrupted",
            Self::UsageLimit { .. } => "usage_limit",
            Self::Throttled { .. } => "throttled",
            Self::Overloaded => "overloaded",
            Self::Unreachable => "unreachable",
            Self::TimedOut => "timed_out",
            Self::AuthRejected => "auth_rejected",
            Self::OrganisationRefused => "organisation_refused",
            Self::BillingRejected => "billing_rejected",
        }
    }
}

/// The period over which a provider counts a limit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Window {
    /// The provider's own word: `five_hour`, `seven_day`.
    pub name: String,
    /// Whether it spans days, or is a quota; a shorter one is hours.
    pub long: bool,
}

/// What a limit covers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "String", into = "String")]
pub enum Scope {
    All,
    /// One family of models, such as `opus`.
    Model(String),
}

impl From<String> for Scope {
    fn from(text: String) -> Self {
        match text.strip_prefix("model:") {
            Some(model) => Self::Model(model.to_owned()),
            None => Self::All,
        }
    }
}

impl From<Scope> for String {
    fn from(scope: Scope) -> Self {
        scope.to_string()
    }
}

impl fmt::Display for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::All => f.write_str("all"),
            Self::Model(model) => write!(f, "model:{model}"),
        }
    }
}

/// How much of a provider's window is gone, as an attempt saw it in passing.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Reading {
    /// 0.0-1.0.
    pub value: f64,
    pub resets_at: Option<Timestamp>,
}

/// A verdict with what it rests on.
#[derive(Debug, Clone, PartialEq)]
pub struct Outcome {
    pub verdict: Verdict,
    pub usage: Usage,
    /// By the provider's word for the window.
    pub readings: BTreeMap<String, Reading>,
    /// Which rule came to the verdict: `transcript`, `exit`, or a marker's name.
    pub rule: Cow<'static, str>,
    /// A short piece of what was seen, without secrets.
    pub evidence: Option<String>,
}
