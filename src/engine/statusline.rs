//! The run that a status line belongs to: its lease, and the utilization of the windows that its agent
//! reports.

use std::collections::BTreeMap;
use std::env;
use std::time::Duration;

use anyhow::Result;

use super::context::Context;
use crate::pool::{Lease, LeaseId, Name, Observation, Reading, State};
use crate::process::Stat;

/// How long this kage waits for the lock on the state before it skips the write.
const LOCK_PATIENCE: Duration = Duration::from_millis(30);
/// How many ancestors are checked at most. No real process tree is this deep.
const MAX_ANCESTORS: u32 = 64;

/// The run whose agent calls this status line.
pub(crate) struct StatuslineRun {
    pub state: State,
    pub lease: Lease,
    /// The subscription that the agent was started with.
    name: Name,
}

impl StatuslineRun {
    /// Whether this process has the variables of a run.
    pub(crate) fn is_marked() -> bool {
        marks().is_some()
    }

    /// Returns the run that this process belongs to; `None` if no kage runs the agent.
    pub(crate) fn find(context: &Context) -> Result<Option<Self>> {
        let Some((run, name)) = marks() else { return Ok(None) };
        let state = context.view()?;
        let held = state.held(&run, &name).filter(|lease| is_below(lease.pid)).cloned();
        Ok(held.map(|lease| Self { state, lease, name }))
    }

    /// Returns the utilization that the agent's input reports for the windows of the lease's subscription.
    pub(crate) fn readings(&self, context: &Context, input: &[u8]) -> WindowReadings {
        // After a switch the run holds a different subscription from the one this agent was started with.
        let agent = context.config.agents.find(&self.lease.agent);
        let agent = agent.filter(|_| self.lease.subscription == self.name);
        let Some(reading) = agent.and_then(|agent| agent.read_statusline(input)) else {
            return WindowReadings::default();
        };
        // Only readings of the lease's own conversation count: an agent that this agent started may use
        // another login.
        let is_proven = self.lease.session() == Some(reading.session.as_str());
        let known = self.state.of(&self.lease.subscription);
        let now = context.now().timestamp();
        let news = if is_proven { known.news(&reading.readings, now) } else { BTreeMap::new() };
        WindowReadings { all: reading.readings, news }
    }

    /// Records the utilization of the windows, for later choices. If another kage holds the lock on the
    /// state, nothing is written: the next redraw reports the same values.
    pub(crate) fn record(&self, context: &Context, readings: &WindowReadings) {
        if !readings.news.is_empty() {
            let windows = Observation::Windows(&readings.news);
            let _ = context.observe_within(LOCK_PATIENCE, &self.lease, windows);
        }
    }
}

/// The utilization of the windows, by the provider's name for each window.
#[derive(Default)]
pub(crate) struct WindowReadings {
    pub all: BTreeMap<String, Reading>,
    /// Those that differ enough from the state to be recorded.
    news: BTreeMap<String, Reading>,
}

/// Returns the run and the subscription from the variables that `kage exec` set for its agent.
fn marks() -> Option<(LeaseId, Name)> {
    let run = env::var("KAGE_RUN").ok()?;
    let name = env::var("KAGE_SUBSCRIPTION").ok()?.parse().ok()?;
    Some((LeaseId(run), name))
}

/// Whether the kage with this process id is an ancestor of this process. The variables alone do not prove it:
/// a tmux server that was started below kage passes them to everything in its panes. If the system does not
/// report this process's parent, the variables are trusted.
fn is_below(pid: u32) -> bool {
    let Some(mut process) = Stat::of(std::process::id()) else { return true };
    for _ in 0..MAX_ANCESTORS {
        let Ok(parent) = u32::try_from(process.parent) else { return false };
        if parent == pid {
            return true;
        }
        let Some(next) = Stat::of(parent) else { return false };
        process = next;
    }
    false
}
