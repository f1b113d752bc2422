//! Saved roll-ups of months, so that a query reads daily sums instead of attempts. They are in a directory of
//! the ledger and can be deleted at any time; a file that does not match its month is computed again.

use std::fs;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use jiff::civil::Date;
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use super::Query;
use super::lines;
use super::rollup::{Grain, Rollup, Saved};
use crate::files::{self, Durability, Lock};
use crate::pool::TokenKind;

/// The version of the file format. A file has one count per kind of token: 6 in version 3; each further kind
/// makes a new version.
#[allow(clippy::cast_possible_truncation)] // a handful
const VERSION: u32 = 3 + (TokenKind::ALL.len() - 6) as u32;
/// How many new bytes a month must have before its roll-up is saved again. Reading fewer takes a millisecond.
const WORTH_WRITING: u64 = 256 * 1024;
/// How long to wait for the lock; after that, the roll-up is not saved.
const PATIENCE: Duration = Duration::from_millis(20);
/// How long after its beginning an attempt may still use tokens.
const LONGEST_ATTEMPT: SignedDuration = SignedDuration::from_hours(24 * 400);

/// The saved roll-ups of a ledger.
#[derive(Debug, Clone)]
pub(super) struct Sums {
    dir: PathBuf,
}

#[derive(Serialize, Deserialize)]
struct Kept {
    version: u32,
    /// How many bytes of the month's file are summed.
    consumed: u64,
    /// The inode of the month's file: pruning replaces the file.
    inode: u64,
    saved: Saved,
}

/// The complete roll-up of a month.
pub(super) struct Month {
    pub(super) rollup: Rollup,
    /// The number of lines that could not be parsed, including an incomplete last line.
    pub(super) damaged: u64,
}

impl Sums {
    pub(super) fn new(ledger: &Path) -> Self {
        Self { dir: ledger.join("sums") }
    }

    /// Deletes all saved roll-ups.
    pub(super) fn clear(&self) -> std::io::Result<()> {
        match fs::remove_dir_all(&self.dir) {
            Err(missing) if missing.kind() == std::io::ErrorKind::NotFound => Ok(()),
            other => other,
        }
    }

    /// Returns the sums of a month: the saved ones plus the lines added since. `is_latest` means that the
    /// month may still grow.
    pub(super) fn of(
        &self,
        month: &Path,
        grain: Grain,
        query: &Query,
        is_latest: bool,
    ) -> std::io::Result<Month> {
        let zone = &query.zone;
        let file = self.file(month, grain, zone);
        let known = fs::metadata(month)?;
        let (length, inode) = (known.len(), known.ino());
        let kept = file
            .as_ref()
            .and_then(|file| read(file))
            .filter(|kept| kept.inode == inode && kept.consumed <= length);
        let (mut rollup, from) = kept.map_or_else(
            || (Rollup::new(grain, query), 0),
            |kept| (Rollup::from_saved(grain, query, kept.saved), kept.consumed),
        );
        let (consumed, torn) = lines::forward(month, from, |line| rollup.add_line(line, zone))?;
        let fresh = consumed - from;
        if let Some(file) = file
            && (fresh >= WORTH_WRITING || (fresh > 0 && !is_latest))
        {
            // If this fails, the next query only reads a little more.
            let _ = self.write(&file, inode, consumed, &rollup);
        }
        let damaged = rollup.damaged + u64::from(torn);
        Ok(Month { rollup, damaged })
    }

    fn write(&self, file: &Path, inode: u64, consumed: u64, rollup: &Rollup) -> anyhow::Result<()> {
        files::make_private_dir(&self.dir)?;
        let _lock = Lock::acquire(&files::sibling(&self.dir, ".lock"), PATIENCE)?;
        let kept = postcard::to_stdvec(&Kept { version: VERSION, consumed, inode, saved: rollup.saved() })?;
        let bytes = [&files::sum(&kept)[..], &kept[..]].concat();
        Ok(files::replace(file, &bytes, Durability::Process)?)
    }

    /// Returns the file of a roll-up. Hours are never saved, because a query by hour covers few days.
    fn file(&self, month: &Path, grain: Grain, zone: &TimeZone) -> Option<PathBuf> {
        let grain = match grain {
            Grain::Day => "days",
            Grain::Project => "projects",
            Grain::Hour => return None,
        };
        let month = month.file_stem()?.to_str()?;
        let first: Date = format!("{month}-01").parse().ok()?;
        Some(self.dir.join(format!("{month}.{:016x}.{grain}", fingerprint(zone, first)?)))
    }
}

fn read(file: &Path) -> Option<Kept> {
    let bytes = fs::read(file).ok()?;
    let (known, kept) = bytes.split_first_chunk()?;
    if *known != files::sum(kept) {
        return None;
    }
    postcard::from_bytes::<Kept>(kept).ok().filter(|kept| kept.version == VERSION)
}

/// Hashes the UTC offsets of a time zone during a month and during the attempts that began in it. Zones with
/// the same days share their sums, and a zone whose rules have changed does not use its old sums.
fn fingerprint(zone: &TimeZone, first: Date) -> Option<u64> {
    let begin = first.to_zoned(TimeZone::UTC).ok()?.timestamp() - SignedDuration::from_hours(48);
    let end = begin + LONGEST_ATTEMPT;
    let mut hasher = DefaultHasher::new();
    zone.to_offset(begin).seconds().hash(&mut hasher);
    let changes = zone.following(begin).take_while(|change| change.timestamp() < end);
    for (at, offset) in changes.map(|change| (change.timestamp(), change.offset())) {
        (Timestamp::as_second(at), offset.seconds()).hash(&mut hasher);
    }
    Some(hasher.finish())
}
