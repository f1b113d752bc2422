//! Leases: which process runs an agent on which subscription, and what its agent's hooks have told of it.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::{Level, Name, Verdict};

/// Names one run of kage, and the leases it holds: one, and while it changes over, a second.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct LeaseId(pub String);

/// "This process runs an agent on this subscription now."
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Lease {
    pub id: LeaseId,
    pub pid: u32,
    /// When the process started, in the kernel's clock ticks since boot; tells a reused pid apart.
    pub started: u64,
    pub subscription: Name,
    pub agent: String,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub namespace: Option<Name>,
    #[serde(default)]
    pub level: Level,
    /// The process of the agent that runs its hooks, where it says which it is.
    #[serde(skip_serializing_if = "Option::is_none", default, rename = "speaker")]
    pub hooked_pid: Option<u32>,
    /// The conversations that the agent has been in, as its hooks told, the latest last.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub visits: Vec<Visit>,
    /// That the conversation stands at a refusal of the provider's.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub refused: Option<Refused>,
    /// Where the agent's records of it will be, where that is known.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub record: Option<Record>,
    /// The tmux pane.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub pane: Option<String>,
    /// As it is shown: a directory's name need not be text.
    pub cwd: String,
    pub since: Timestamp,
}

/// By what the next kage counts a run whose own was killed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Record {
    /// The agent's directory of records.
    pub dir: String,
    /// The conversation, where it is known before the start.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub session: Option<String>,
    /// The directory by which the agent files it.
    pub cwd: String,
}

/// A conversation, and from when to when an agent was in it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Visit {
    pub session: String,
    pub since: Timestamp,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub until: Option<Timestamp>,
}

/// A refusal that was settled while the agent ran.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Refused {
    pub at: Timestamp,
    /// The word of the verdict.
    pub verdict: String,
}

impl Lease {
    /// The conversation that the agent is in now, as far as its hooks told.
    pub fn session(&self) -> Option<&str> {
        self.visits.last().filter(|visit| visit.until.is_none()).map(|visit| visit.session.as_str())
    }

    /// The conversations that its agent is or was in, as far as they are known.
    pub fn sessions(&self) -> Vec<&str> {
        let expected = self.record.iter().filter_map(|record| record.session.as_deref());
        self.visits.iter().map(|visit| visit.session.as_str()).chain(expected).collect()
    }

    /// Whether such a refusal is settled already.
    pub(super) fn is_refused_by(&self, verdict: &Verdict) -> bool {
        self.refused.as_ref().is_some_and(|refused| refused.verdict == verdict.word())
    }

    /// Whether this is that lease, whatever has been noted on it since.
    pub(super) fn is(&self, other: &Self) -> bool {
        self.id == other.id && self.since == other.since
    }
}

/// The agent of the subscriptions and leases that tests make.
pub const TEST_AGENT: &str = "claude";

impl Lease {
    /// Some lease on a subscription. For tests and benches.
    pub fn on(subscription: &str) -> Self {
        Self {
            id: LeaseId(format!("lease-{subscription}")),
            pid: 1,
            started: 1,
            subscription: subscription.parse().expect("a test names it well"),
            agent: TEST_AGENT.into(),
            namespace: None,
            level: Level::Normal,
            hooked_pid: None,
            visits: Vec::new(),
            refused: None,
            record: None,
            pane: None,
            cwd: "/".into(),
            since: Timestamp::UNIX_EPOCH,
        }
    }
}
