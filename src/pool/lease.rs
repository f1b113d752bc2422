//! Leases: which process runs an agent on which subscription, and what the agent's hooks reported.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::{Level, Name, Verdict};

/// The id of one run and of the leases it holds: one, or two during a switch.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct LeaseId(pub String);

/// The record that a process is running an agent on a subscription.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Lease {
    pub id: LeaseId,
    pub pid: u32,
    /// When the process started, in the kernel's clock ticks since boot. Distinguishes a reused pid.
    pub started: u64,
    pub subscription: Name,
    pub agent: String,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub namespace: Option<Name>,
    #[serde(default)]
    pub level: Level,
    /// The process of the agent that runs its hooks, if the agent reports it.
    #[serde(skip_serializing_if = "Option::is_none", default, rename = "speaker")]
    pub hooked_pid: Option<u32>,
    /// The conversations of the agent, as its hooks reported them, the latest last.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub visits: Vec<Visit>,
    /// The provider's refusal that stopped the conversation.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub refused: Option<Refused>,
    /// Where the agent's records of the run will be, if that is known.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub record: Option<Record>,
    /// The tmux pane.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub pane: Option<String>,
    /// The working directory as text for display; the real path may not be UTF-8.
    pub cwd: String,
    pub since: Timestamp,
}

/// What another kage needs to count a run whose own kage was killed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Record {
    /// The agent's directory of records.
    pub dir: String,
    /// The conversation, if it is known before the start.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub session: Option<String>,
    /// The working directory under which the agent stores the records.
    pub cwd: String,
}

/// A conversation, and when an agent was in it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Visit {
    pub session: String,
    pub since: Timestamp,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub until: Option<Timestamp>,
}

/// A refusal that was booked while the agent ran.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Refused {
    pub at: Timestamp,
    /// The verdict, as `Verdict::word` returns it.
    pub verdict: String,
}

impl Lease {
    /// Returns the conversation that the agent is in now, if its hooks reported it.
    pub fn session(&self) -> Option<&str> {
        self.visits.last().filter(|visit| visit.until.is_none()).map(|visit| visit.session.as_str())
    }

    /// Returns the known conversations that the agent is or was in.
    pub fn sessions(&self) -> Vec<&str> {
        let expected = self.record.iter().filter_map(|record| record.session.as_deref());
        self.visits.iter().map(|visit| visit.session.as_str()).chain(expected).collect()
    }

    /// Whether a refusal with this verdict is already booked.
    pub(super) fn is_refused_by(&self, verdict: &Verdict) -> bool {
        self.refused.as_ref().is_some_and(|refused| refused.verdict == verdict.word())
    }

    /// Whether both are the same lease, regardless of what was recorded on it since.
    pub(super) fn is(&self, other: &Self) -> bool {
        self.id == other.id && self.since == other.since
    }
}

/// The agent of the subscriptions and leases that tests create.
pub const TEST_AGENT: &str = "claude";

impl Lease {
    /// Returns a lease on a subscription. For tests and benches.
    pub fn on(subscription: &str) -> Self {
        Self {
            id: LeaseId(format!("lease-{subscription}")),
            pid: 1,
            started: 1,
            subscription: subscription.parse().expect("tests pass valid names"),
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
