//! Determines which of an agent's records belong to an attempt.

use std::collections::BTreeMap;
use std::ops::Range;
use std::path::{Path, PathBuf};

use jiff::Timestamp;

use crate::pool::{Record, Visit};

/// Where the records of an attempt are, and how to recognize them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Watch {
    /// The agent's directory of records.
    pub records: PathBuf,
    /// The conversation, if kage knows it before the start.
    pub session: Option<String>,
    pub cwd: PathBuf,
    /// Rows from before this time do not belong to the attempt.
    pub began: Timestamp,
    /// Rows from this time on do not belong to the attempt; `None` if no later attempt has begun.
    pub ended: Option<Timestamp>,
    /// The length in bytes of each file of the session before the attempt. That part is not read again.
    pub lengths: BTreeMap<PathBuf, u64>,
    /// The conversations that the agent was in, as its hooks reported; empty if they reported none.
    pub visits: Vec<Visit>,
    /// Other attempts whose records may be in the same directory.
    pub others: Others,
}

/// What is known about other attempts of the same agent in the same directory.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Others {
    /// Their known conversations.
    pub sessions: Vec<String>,
    /// The start times of attempts that began after this one and still run: their conversations are not known
    /// yet.
    pub later: Vec<Timestamp>,
}

impl Watch {
    /// Returns what a later kage needs to find these records; `None` if a path is not UTF-8.
    pub fn record(&self) -> Option<Record> {
        let text = |path: &Path| path.to_str().map(str::to_owned);
        Some(Record { dir: text(&self.records)?, session: self.session.clone(), cwd: text(&self.cwd)? })
    }

    /// Returns the time span of the attempt's rows.
    pub(super) fn span(&self) -> Range<Timestamp> {
        self.began..self.ended.unwrap_or(Timestamp::MAX)
    }
}
