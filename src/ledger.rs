//! The ledger: one line an attempt, by month, append-only. Totals are derived from it.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, Write as _};
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use jiff::{Timestamp, tz::TimeZone};
use serde::{Deserialize, Serialize};

use crate::files;
use crate::pool::{Level, Name, TokenCount};

/// One attempt, as it is written.
#[derive(Debug, Serialize)]
pub(crate) struct Attempt<'a> {
    pub time: Timestamp,
    pub run: &'a str,
    /// Counted from 1 within the run.
    pub attempt: u32,
    pub subscription: &'a Name,
    pub agent: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub namespace: Option<&'a Name>,
    pub level: Level,
    pub cwd: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub session: Option<&'a str>,
    pub verdict: &'a str,
    /// The agent's status, or 128 + the signal that ended it.
    pub exit: i32,
    pub duration_ms: u64,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub models: &'a BTreeMap<String, TokenCount>,
}

/// The ledger of one user.
#[derive(Debug, Clone)]
pub(crate) struct Ledger {
    dir: PathBuf,
}

impl Ledger {
    /// The ledger below the state directory.
    pub(crate) fn new(state: &Path) -> Self {
        Self { dir: state.join("usage") }
    }

    /// Appends an attempt: one write of one line, which stays whole between any number of writers.
    pub(crate) fn append(&self, attempt: &Attempt<'_>) -> Result<()> {
        files::make_private_dir(&self.dir)?;
        let month = attempt.time.to_zoned(TimeZone::UTC).strftime("%Y-%m").to_string();
        let path = self.dir.join(month).with_extension("jsonl");
        let mut line = serde_json::to_vec(attempt)?;
        line.push(b'\n');
        let file = files::private().create(true).read(true).append(true).open(&path);
        file.and_then(|mut file| {
            if is_torn(&file)? {
                line.insert(0, b'\n');
            }
            file.write_all(&line)
        })
        .with_context(|| format!("could not write {}", path.display()))
    }

    /// The subscription that ran a session last.
    pub(crate) fn last_of_session(&self, session: &str) -> Option<Name> {
        self.last_row(session, |row| row.session.as_deref() == Some(session))
    }

    /// The subscription that ran the last conversation in a directory.
    pub(crate) fn last_in(&self, cwd: &Path) -> Option<Name> {
        self.last_row("\"session\"", |row| row.session.is_some() && Path::new(&row.cwd) == cwd)
    }

    /// Looks back through this month and the one before it, parsing only lines that hold `word`.
    fn last_row(&self, word: &str, is_it: impl Fn(&Row) -> bool) -> Option<Name> {
        let entries = fs::read_dir(&self.dir).ok()?.flatten().map(|entry| entry.path());
        let mut months: Vec<_> =
            entries.filter(|path| path.extension().is_some_and(|is| is == "jsonl")).collect();
        months.sort_unstable();
        months.iter().rev().take(2).find_map(|month| {
            let text = fs::read_to_string(month).ok()?;
            let mut rows = text.lines().rev().filter(|line| line.contains(word));
            rows.find_map(|line| serde_json::from_str(line).ok().filter(&is_it).map(|row| row.subscription))
        })
    }
}

/// Whether the last line has no end: a full disk took only a part of it, or its writer was killed where
/// the line crosses a page. Such a line may cost itself, not the one behind it.
fn is_torn(file: &File) -> io::Result<bool> {
    let Some(last) = file.metadata()?.len().checked_sub(1) else { return Ok(false) };
    let mut byte = [0];
    file.read_exact_at(&mut byte, last)?;
    Ok(byte != *b"\n")
}

/// What looking back needs of a line.
#[derive(Deserialize)]
struct Row {
    subscription: Name,
    session: Option<String>,
    cwd: String,
}
