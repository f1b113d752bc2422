//! The outcome of an attempt: the verdict on its evidence, and its usage.

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
    /// The agent failed for a reason that does not concern the subscription.
    AgentFailed,
    /// The agent refused its arguments or settings, and sent no request to the provider.
    NotStarted,
    /// A signal ended the agent.
    Interrupted,
    /// The subscription reached its own usage limit.
    UsageLimit {
        scope: Scope,
        window: Window,
        resets_at: Option<Timestamp>,
    },
    /// Too many requests in a short time; not a limit of the plan.
    Throttled {
        retry_after: Option<SignedDuration>,
    },
    /// The provider is out of capacity or has an outage, for all subscriptions.
    Overloaded,
    /// The provider was not reached.
    Unreachable,
    /// The provider did not answer in time.
    TimedOut,
    AuthRejected,
    /// The subscription's organization does not allow this use.
    OrganizationRefused,
    BillingRejected,
}

impl Verdict {
    /// Whether the verdict concerns this subscription only, so that another subscription can help.
    pub fn concerns_subscription(&self) -> bool {
        match self {
            Self::UsageLimit { .. }
            | Self::Throttled { .. }
            | Self::AuthRejected
            | Self::OrganizationRefused
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

    /// Whether the provider refused the account, not only its usage.
    pub fn is_refused_account(&self) -> bool {
        matches!(self, Self::AuthRejected | Self::OrganizationRefused | Self::BillingRejected)
    }

    /// The word used in the ledger.
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
            Self::OrganizationRefused => "organisation_refused",
            Self::BillingRejected => "billing_rejected",
        }
    }
}

/// The period over which a provider counts a limit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Window {
    /// The provider's name: `five_hour`, `seven_day`.
    pub name: String,
    /// Whether it spans days or is a quota; if not, it spans hours.
    pub long: bool,
}

impl Window {
    /// Whether it is a cap on paid usage, which is reset each month.
    pub fn is_cap(&self) -> bool {
        self.name.contains("spend") || self.name == "group_pool"
    }

    /// Whether someone must change the plan before the limit can end, so that it is tried again rarely.
    pub fn is_rarely_reset(&self) -> bool {
        self.is_cap() || ["seat", "allocation", "org_usage"].contains(&self.name.as_str())
    }

    /// Returns the model family that a window covers, from its name: `opus` for `seven_day_opus`.
    pub fn model_of(name: &str) -> Option<&str> {
        ["five_hour_", "seven_day_"].into_iter().find_map(|plan| name.strip_prefix(plan))
    }
}

/// What a limit covers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "String", into = "String")]
pub enum Scope {
    All,
    /// One family of models, such as `opus`.
    Model(String),
}

impl Scope {
    /// Returns the family of models, if the limit covers only one.
    pub fn model(&self) -> Option<&str> {
        match self {
            Self::All => None,
            Self::Model(model) => Some(model),
        }
    }
}

/// The name of a model family as its provider writes it: `Opus`. Other names stay as they are.
pub fn family_name(model: &str) -> String {
    if !model.bytes().all(|byte| byte.is_ascii_lowercase()) {
        return model.to_owned();
    }
    let (first, rest) = model.split_at(model.len().min(1));
    first.to_ascii_uppercase() + rest
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

/// How full a provider's window is, as an attempt reported it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Reading {
    /// 0.0-1.0.
    pub value: f64,
    pub resets_at: Option<Timestamp>,
}

/// The verdict on an attempt, with its usage, readings and evidence.
#[derive(Debug, Clone, PartialEq)]
pub struct Outcome {
    pub verdict: Verdict,
    pub usage: Usage,
    /// The readings by the provider's name for the window.
    pub readings: BTreeMap<String, Reading>,
    /// The rule that produced the verdict: `transcript`, `exit`, or the name of a marker.
    pub rule: Cow<'static, str>,
    /// A short excerpt of the evidence, without secrets.
    pub evidence: Option<String>,
    /// Limits that only subagents met. They do not change the verdict.
    pub also: Vec<Verdict>,
    /// What a person must do before the provider accepts the account again, as text for the user. Until then
    /// no attempt can succeed.
    pub act: Option<Cow<'static, str>>,
}

impl Outcome {
    /// Whether the request was refused with the HTTP status 403 for no known reason. A network between the agent
    /// and the provider sends it too, with any text.
    pub fn is_forbidden(&self) -> bool {
        let is_refused = matches!(self.verdict, Verdict::AuthRejected | Verdict::Unreachable);
        is_refused && self.act.is_none() && self.evidence.as_ref().is_some_and(|text| text.contains(" 403"))
    }

    /// Whether the provider refused the request with a 400 that nothing recognizes.
    pub fn is_unknown_refusal(&self) -> bool {
        self.verdict == Verdict::AgentFailed
            && self.evidence.as_ref().is_some_and(|text| text.contains(" 400 "))
    }
}
