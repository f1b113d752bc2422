//! The ledger: one line per attempt, one file per month, append-only. Totals are derived from it.

mod history;
mod line;
mod lines;
mod query;
mod rollup;
mod sums;

use std::fs::{self, File};
use std::io::{self, BufWriter, Write as _};
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use jiff::Timestamp;
use jiff::civil::Date;
use jiff::tz::TimeZone;

use self::line::Line;
use self::rollup::Grain;
use self::sums::Sums;
use crate::files::{self, LOCK_PATIENCE, Lock};
use crate::prices::Prices;

pub use history::Trace;
pub use line::Attempt;
pub use query::{Answer, By, Key, Keys, Query, Tally};

/// The ledger of one user.
#[derive(Debug, Clone)]
pub struct Ledger {
    dir: PathBuf,
}

impl Ledger {
    /// Returns the ledger in the state directory.
    pub fn new(state: &Path) -> Self {
        Self { dir: state.join("usage") }
    }

    /// Appends an attempt as one line in one write, synced to the disk. An attempt that used no tokens is not
    /// synced: a power cut would lose no usage.
    pub fn append(&self, attempt: &Attempt<'_>) -> Result<()> {
        files::make_private_dir(&self.dir)?;
        let path = self.month(attempt.lease.since);
        let mut line = attempt.line()?;
        line.push(b'\n');
        let file = {
            // Without the lock, a line that another process is writing would look torn, and `prune` would
            // drop a line that is appended while it runs.
            let _lock = self.lock()?;
            let file = files::private().create(true).read(true).append(true).open(&path);
            file.and_then(|mut file| {
                let before = file.metadata()?.len();
                if is_torn(&file, before)? {
                    line.insert(0, b'\n');
                }
                // If the disk is full, remove the part of the line that was written.
                file.write_all(&line).inspect_err(|_| drop(file.set_len(before)))?;
                Ok(file)
            })
        };
        let has_used = !attempt.usage.slices.is_empty();
        file.and_then(|file| if has_used { file.sync_data() } else { Ok(()) })
            .with_context(|| format!("could not write {}", path.display()))
    }

    /// Acquires the lock that every change of a month's file needs.
    fn lock(&self) -> Result<Lock> {
        Lock::acquire(&files::sibling(&self.dir, ".lock"), LOCK_PATIENCE)
    }

    /// Returns the file of the month (in UTC) that contains `time`.
    fn month(&self, time: Timestamp) -> PathBuf {
        let month = time.to_zoned(TimeZone::UTC).strftime("%Y-%m").to_string();
        self.dir.join(month).with_extension("jsonl")
    }

    /// Answers a query.
    pub fn usage(&self, query: &Query, prices: &Prices) -> Result<Answer> {
        let mut answer = Answer::default();
        let months = self.months()?;
        for (at, month) in months.iter().enumerate() {
            let is_latest = at + 1 == months.len();
            let read_sums = |grain| {
                self.sums()
                    .of(month, grain, query, is_latest)
                    .with_context(|| format!("could not read {}", month.display()))
            };
            let mut sums = read_sums(Grain::Day)?;
            if sums.damaged > 0 {
                answer.damaged.push((month.display().to_string(), sums.damaged));
            }
            if Grain::of(query) > Grain::Day {
                if !sums.rollup.touches(query) {
                    continue;
                }
                sums = read_sums(Grain::of(query))?;
            }
            sums.rollup.answer(query, prices, &mut answer);
        }
        Ok(answer)
    }

    /// Recomputes the sums of the whole ledger.
    pub fn rebuild(&self, zone: &TimeZone) -> Result<()> {
        self.sums().clear().with_context(|| format!("could not clear the sums in {}", self.dir.display()))?;
        self.usage(&Query::all(zone.clone()), &Prices::default()).map(drop)
    }

    /// Permanently deletes the attempts that began before a day. Returns how many there were.
    pub fn prune(&self, before: Date, zone: &TimeZone) -> Result<u64> {
        let _lock = self.lock()?;
        let mut pruned = 0;
        for month in self.months()? {
            pruned += prune(&month, before, zone)
                .with_context(|| format!("could not prune {}", month.display()))?;
        }
        self.sums().clear().with_context(|| format!("could not clear the sums in {}", self.dir.display()))?;
        Ok(pruned)
    }

    fn sums(&self) -> Sums {
        Sums::new(&self.dir)
    }

    /// Returns the files of all months, oldest first.
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
}

/// Removes the attempts before a day from a month's file, and deletes the file if no line is left. Lines that
/// cannot be parsed are kept.
fn prune(month: &Path, before: Date, zone: &TimeZone) -> Result<u64> {
    let is_kept =
        |line: &[u8]| Line::parse(line).is_none_or(|line| line.time.to_zoned(zone.clone()).date() >= before);
    let (mut pruned, mut kept) = (0, 0);
    lines::forward(month, 0, |line| if is_kept(line) { kept += 1 } else { pruned += 1 })?;
    if pruned == 0 {
        return Ok(0);
    }
    if kept == 0 {
        fs::remove_file(month)?;
        return Ok(pruned);
    }
    let (rest, file) = files::temporary(month, 0o600)?;
    let mut out = BufWriter::new(file);
    let mut written = Ok(());
    lines::forward(month, 0, |line| {
        if written.is_ok() && is_kept(line) {
            written = out.write_all(line).and_then(|()| out.write_all(b"\n"));
        }
    })?;
    written?;
    out.into_inner()?.sync_data()?;
    fs::rename(&rest, month)?;
    Ok(pruned)
}

/// Whether the last line has no newline: the disk was full, or the writer was killed at a page boundary. The
/// torn line is lost, but the next line must not be.
fn is_torn(file: &File, length: u64) -> io::Result<bool> {
    let Some(last) = length.checked_sub(1) else { return Ok(false) };
    let mut byte = [0];
    file.read_exact_at(&mut byte, last)?;
    Ok(byte != *b"\n")
}

#[cfg(test)]
mod tests;
