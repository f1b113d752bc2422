//! Which records belong to an attempt.

use std::collections::BTreeMap;
use std::ops::Range;
use std::path::{Path, PathBuf};

use jiff::Timestamp;

use super::LaunchPlan;
use crate::pool::{Lease, Record, Visit};

/// Which records belong to an attempt.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Watch {
    /// The agent's directory of records.
    pub records: PathBuf,
    /// The conversation, where kage knows it before the start.
    pub session: Option<String>,
    pub cwd: PathBuf,
    /// Rows from before are not of this attempt, wherever they stand.
    pub began: Timestamp,
    /// Nor are those from then on; `None` while nothing has come behind it.
    pub ended: Option<Timestamp>,
    /// How long each file of the session was before: nothing before that is read again.
    pub lengths: BTreeMap<PathBuf, u64>,
    /// The conversations that the agent was in, as its hooks told; none where they told nothing.
    pub visits: Vec<Visit>,
    /// Whose records may lie among those of the attempt.
    pub others: Others,
}

/// What is known of other attempts by the same agent in the same directory.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Others {
    /// The conversations that are told to be theirs.
    pub sessions: Vec<String>,
    /// When those began that began after the attempt and still run, so that their conversation is not known.
    pub later: Vec<Timestamp>,
}

impl Watch {
    /// What the next kage is to know of the attempt, where all of it is text.
    pub fn record(&self) -> Option<Record> {
        let text = |path: &Path| path.to_str().map(str::to_owned);
        Some(Record { dir: text(&self.records)?, session: self.session.clone(), cwd: text(&self.cwd)? })
    }

    /// When rows are the attempt's.
    pub(super) fn span(&self) -> Range<Timestamp> {
        self.began..self.ended.unwrap_or(Timestamp::MAX)
    }
}

impl LaunchPlan {
    /// One that was carried out by a kage that is gone, as far as its records go.
    pub fn from_lost_lease(lease: &Lease, record: &Record, ended: Option<Timestamp>) -> Self {
        let watch = Watch {
            records: PathBuf::from(&record.dir),
            session: record.session.clone(),
            cwd: PathBuf::from(&record.cwd),
            // Rows have milliseconds.
            began: Timestamp::from_millisecond(lease.since.as_millisecond()).unwrap_or(lease.since),
            ended,
            lengths: BTreeMap::new(),
            visits: lease.visits.clone(),
            others: Others::default(),
        };
        Self { watch: Some(watch), ..Self::default() }
    }
}
