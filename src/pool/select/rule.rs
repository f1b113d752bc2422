//! The rules that exclude a subscription from a request, and the exclusion that names one.

use jiff::Timestamp;

use crate::pool::Request;

/// A rule that excludes a subscription from a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rule {
    Agent,
    Route,
    Tag,
    Disabled,
    Limited,
    Unhealthy,
    /// The provider refused the account, and a person must act before it is tried again.
    Refused,
    Parallel,
    Budget,
    Tried,
}

impl Rule {
    /// The word used in `kage why` and its JSON.
    pub fn word(self) -> &'static str {
        match self {
            Self::Agent => "agent",
            Self::Route => "route",
            Self::Tag => "tag",
            Self::Disabled => "disabled",
            Self::Limited => "limited",
            Self::Unhealthy | Self::Refused => "unhealthy",
            Self::Parallel => "parallel",
            Self::Budget => "budget",
            Self::Tried => "tried",
        }
    }

    /// Whether the exclusion ends on its own.
    pub(super) fn is_temporary(self) -> bool {
        matches!(self, Self::Limited | Self::Unhealthy | Self::Parallel | Self::Budget)
    }
}

impl Request {
    /// Whether `--over-budget` or `-s NAME` overrules a rule.
    pub(super) fn overrules(&self, rule: Rule) -> bool {
        if self.over_budget && rule == Rule::Budget {
            return true;
        }
        self.only.is_some()
            && match rule {
                Rule::Route | Rule::Tag => true,
                Rule::Limited | Rule::Unhealthy | Rule::Refused | Rule::Budget => !self.waits,
                Rule::Agent | Rule::Disabled | Rule::Parallel | Rule::Tried => false,
            }
    }
}

/// Why a subscription is not eligible, and until when, if that is known.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Exclusion {
    pub rule: Rule,
    pub until: Option<Timestamp>,
    /// A clause for the user: `2 of 2 agents are running`.
    pub detail: String,
    /// Whether the clause is about the namespace of the request and not about this subscription.
    pub of_namespace: bool,
}

impl Exclusion {
    pub(super) fn new(rule: Rule, detail: impl Into<String>) -> Self {
        Self { rule, until: None, detail: detail.into(), of_namespace: false }
    }

    pub(super) fn until(mut self, until: Option<Timestamp>) -> Self {
        self.until = until;
        self
    }
}
