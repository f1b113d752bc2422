//! How to start an agent: its arguments, environment and settings, and where its records will be. Made by the
//! agents' modules, carried out by the run.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::PathBuf;

use jiff::Timestamp;

use super::{Grant, Job, Others, Watch};
use crate::pool::{Lease, Record, Visit};

/// How to start the agent.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct LaunchPlan {
    pub args: Vec<OsString>,
    /// Variables of kage's environment that must not reach the child.
    pub remove: Vec<String>,
    pub set: Vec<(String, OsString)>,
    /// A file that must exist before the start: its path and its text.
    pub settings: Option<(PathBuf, String)>,
    /// Where the records of the attempt will be, if known.
    pub watch: Option<Watch>,
    /// Whether the arguments ask for JSON output. If not, all output is an answer, even if it quotes such
    /// JSON.
    pub prints_json: bool,
    /// Keys of the agent's settings that would override the credential, and are switched off for the run.
    pub switched_off: Vec<String>,
    /// Whether the arguments make the agent ignore this kind of credential. An authentication error then says
    /// nothing about the subscription.
    pub ignores_credential: bool,
    /// What kage could not set up, as text for standard error.
    pub warnings: Vec<String>,
}

impl LaunchPlan {
    /// The part that is the same for all agents: removes the variables that compete with the credential, and
    /// sets the variable of the login directory and the subscription's own variables.
    pub(super) fn new(
        args: Vec<OsString>,
        job: &Job<'_>,
        competes: impl Fn(&str) -> bool,
        home_variable: &str,
    ) -> Self {
        let inherited = job.environment.iter().filter(|(_, value)| !value.is_empty());
        let names = inherited.filter_map(|(name, _)| name.to_str());
        let remove = names.filter(|name| competes(name) && !job.keeps(name)).map(str::to_owned).collect();
        let home = match job.grant {
            Grant::Home(home) => Some((home_variable.to_owned(), home.into())),
            Grant::Secret(..) => None,
        };
        let own = job.own_env.iter().map(|(name, value)| (name.clone(), value.into()));
        Self { args, remove, set: home.into_iter().chain(own).collect(), ..Self::default() }
    }

    /// The same plan, with the visits that the agent's hooks have reported since.
    pub fn with_visits(&self, visits: &[Visit]) -> Self {
        let mut plan = self.clone();
        if let Some(watch) = &mut plan.watch {
            watch.visits = visits.to_vec();
        }
        plan
    }

    /// The same plan, with what is known about other attempts.
    pub fn with_others(mut self, others: Others) -> Self {
        if let Some(watch) = &mut self.watch {
            watch.others = others;
        }
        self
    }

    /// Returns a plan for reading the records of an attempt whose kage is no longer running.
    pub fn from_lost_lease(lease: &Lease, record: &Record, ended: Option<Timestamp>) -> Self {
        let watch = Watch {
            records: PathBuf::from(&record.dir),
            session: record.session.clone(),
            cwd: PathBuf::from(&record.cwd),
            // Rows have times in whole milliseconds.
            began: Timestamp::from_millisecond(lease.since.as_millisecond()).unwrap_or(lease.since),
            ended,
            lengths: BTreeMap::new(),
            visits: lease.visits.clone(),
            others: Others::default(),
        };
        Self { watch: Some(watch), ..Self::default() }
    }
}
