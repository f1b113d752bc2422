//! The run around a status line: which lease it belongs to, and what its agent reports of the windows.

use std::collections::BTreeMap;
use std::env;
use std::time::Duration;

use anyhow::Result;

use super::context::Context;
use crate::pool::{Lease, LeaseId, Name, Observation, Reading, State};
use crate::process::Stat;

/// How long another kage may keep the state from being written before this one leaves it alone.
const LOCK_PATIENCE: Duration = Duration::from_millis(30);
/// How many parents are looked at: no tree of processes is as deep.
const DEEPEST: u32 = 64;

/// A run whose agent draws its status line.
pub(crate) struct StatuslineRun {
    pub state: State,
    pub lease: Lease,
    /// The subscription that the agent was started with.
    name: Name,
}

impl StatuslineRun {
    /// Whether this process carries the marks of a run.
    pub(crate) fn is_marked() -> bool {
        marks().is_some()
    }

    /// `None` where no kage runs the agent.
    pub(crate) fn find(context: &Context) -> Result<Option<Self>> {
        let Some((run, name)) = marks() else { return Ok(None) };
        let state = context.view()?;
        let held = state.held(&run, &name).filter(|lease| is_below(lease.pid)).cloned();
        Ok(held.map(|lease| Self { state, lease, name }))
    }

    /// What the agent's input says of the windows of the lease's subscription.
    pub(crate) fn readings(&self, context: &Context, input: &[u8]) -> WindowReadings {
        // A run that has moved on holds another subscription than this agent was started with.
        let agent = context.config.agents.find(&self.lease.agent);
        let agent = agent.filter(|_| self.lease.subscription == self.name);
        let Some(reading) = agent.and_then(|agent| agent.read_statusline(input)) else {
            return WindowReadings::default();
        };
        // Only of the conversation that this very lease is in: an agent below the agent may have another login.
        let is_proven = self.lease.session() == Some(reading.session.as_str());
        let known = self.state.of(&self.lease.subscription);
        let now = context.now().timestamp();
        let news = if is_proven { known.news(&reading.readings, now) } else { BTreeMap::new() };
        WindowReadings { all: reading.readings, news }
    }

    /// Keeps how full the windows are, for the runs that choose next. Where another kage holds the state just now it
    /// is left alone: the next redraw reports the same.
    pub(crate) fn record(&self, context: &Context, readings: &WindowReadings) {
        if !readings.news.is_empty() {
            let windows = Observation::Windows(&readings.news);
            let _ = context.observe_within(LOCK_PATIENCE, &self.lease, windows);
        }
    }
}

/// How full the windows are, by the provider's word for them.
#[derive(Default)]
pub(crate) struct WindowReadings {
    pub all: BTreeMap<String, Reading>,
    /// Those that are worth writing down.
    news: BTreeMap<String, Reading>,
}

/// What `kage exec` marked its agent with.
fn marks() -> Option<(LeaseId, Name)> {
    let run = env::var("KAGE_RUN").ok()?;
    let name = env::var("KAGE_SUBSCRIPTION").ok()?.parse().ok()?;
    Some((LeaseId(run), name))
}

/// Whether the kage of a lease started this process, over however many others. The marks alone do not tell: a
/// tmux server that was started below kage hands them to all that ever runs in its panes. Where the system
/// does not tell the parent of a process, the marks must do.
fn is_below(pid: u32) -> bool {
    let Some(mut process) = Stat::of(std::process::id()) else { return true };
    for _ in 0..DEEPEST {
        let Ok(parent) = u32::try_from(process.parent) else { return false };
        if parent == pid {
            return true;
        }
        let Some(next) = Stat::of(parent) else { return false };
        process = next;
    }
    false
}
