//! Roll-ups of the months, kept beside the ledger: a question costs days, not attempts. They can be deleted at
//! any time; whatever does not fit is made anew.

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

/// The form of the files that this kage writes. They have a place for each kind of tokens, which were 6 in version 3:
/// one more is a new version.
#[allow(clippy::cast_possible_truncation)] // a handful
const VERSION: u32 = 3 + (TokenKind::ALL.len() - 6) as u32;
/// From how many new bytes of a month on its roll-up is written anew; reading them again takes a millisecond.
const WORTH_WRITING: u64 = 256 * 1024;
/// Whoever would have to wait answers without writing.
const PATIENCE: Duration = Duration::from_millis(20);
/// How long after its beginning an attempt may still bring tokens.
const LONGEST_ATTEMPT: SignedDuration = SignedDuration::from_hours(24 * 400);

/// Where the roll-ups are.
#[derive(Debug, Clone)]
pub(super) struct Sums {
    dir: PathBuf,
}

#[derive(Serialize, Deserialize)]
struct Kept {
    version: u32,
    /// How much of the month's file is summed up.
    consumed: u64,
    /// Which file that was: one from which something was taken away is another.
    inode: u64,
    saved: Saved,
}

/// The roll-up of a month with everything in it.
pub(super) struct Month {
    pub(super) rollup: Rollup,
    /// Lines that could not be read, one without an end too.
    pub(super) damaged: u64,
}

impl Sums {
    pub(super) fn new(ledger: &Path) -> Self {
        Self { dir: ledger.join("sums") }
    }

    /// Forgets all of them.
    pub(super) fn clear(&self) -> std::io::Result<()> {
        match fs::remove_dir_all(&self.dir) {
            Err(missing) if missing.kind() == std::io::ErrorKind::NotFound => Ok(()),
            other => other,
        }
    }

    /// The sums of a month: what is kept, and what came behind it. `is_latest` says whether more is to come.
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
        let (consumed, torn) = lines::forward(month, from, |line| rollup.take(line, zone))?;
        let fresh = consumed - from;
        if let Some(file) = file
            && (fresh >= WORTH_WRITING || (fresh > 0 && !is_latest))
        {
            // Where it cannot be written the next question reads a little more.
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

    /// Hours are never kept: who asks for them asks for few days.
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

/// What a time zone makes of the days of a month: two zones with the same days share their sums, and one whose
/// rules have changed does not keep its old ones.
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
