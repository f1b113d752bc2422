//! The ledger: one line an attempt, by month, append-only. Totals are derived from it.

mod line;
mod query;
mod rollup;

use std::fs::{self, File};
use std::io::{self, Write as _};
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use jiff::tz::TimeZone;

use self::line::Line;
use self::rollup::{Grain, Rollup};
use crate::files;
use crate::pool::Name;
use crate::prices::Prices;

pub(crate) use line::Attempt;
pub(crate) use query::{Answer, By, Key, Keys, Query, Tally};

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
        let mut line = attempt.line()?;
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

    /// Answers a query.
    pub(crate) fn usage(&self, query: &Query, prices: &Prices) -> Result<Answer> {
        let mut answer = Answer::default();
        for month in self.months()? {
            let mut rollup = Rollup::new(Grain::of(query));
            let text = fs::read(&month).with_context(|| format!("could not read {}", month.display()))?;
            text.split(|&byte| byte == b'\n').for_each(|line| rollup.take(line, &query.zone));
            rollup.answer(query, prices, &mut answer);
            if rollup.damaged > 0 {
                answer.damaged.push((month.display().to_string(), rollup.damaged));
            }
        }
        Ok(answer)
    }

    /// The files of months, oldest first.
    fn months(&self) -> Result<Vec<PathBuf>> {
        let entries = match fs::read_dir(&self.dir) {
            Ok(entries) => entries,
            Err(missing) if missing.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(other) => {
                return Err(other).with_context(|| format!("could not read {}", self.dir.display()));
            }
        };
        let paths = entries.flatten().map(|entry| entry.path());
        let mut months: Vec<_> =
            paths.filter(|path| path.extension().is_some_and(|is| is == "jsonl")).collect();
        months.sort_unstable();
        Ok(months)
    }

    /// The subscription that ran a session last.
    pub(crate) fn last_of_session(&self, session: &str) -> Option<Name> {
        self.last_row(session, |row| row.session.as_deref() == Some(session))
    }

    /// The subscription that ran the last conversation in a directory.
    pub(crate) fn last_in(&self, cwd: &Path) -> Option<Name> {
        self.last_row("\"session\"", |row| row.session.is_some() && Path::new(row.cwd.as_ref()) == cwd)
    }

    /// Looks back through this month and the one before it, parsing only lines that hold `word`.
    fn last_row(&self, word: &str, is_it: impl Fn(&Line<'_>) -> bool) -> Option<Name> {
        self.months().ok()?.iter().rev().take(2).find_map(|month| {
            let text = fs::read_to_string(month).ok()?;
            let mut rows = text.lines().rev().filter(|line| line.contains(word));
            rows.find_map(|line| Line::parse(line.as_bytes()).filter(&is_it)?.subscription.parse().ok())
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
