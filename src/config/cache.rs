//! The config's text once read, kept in a form that is read faster. Called by `Config::load`, kept by runs alone.
//!
//! What is kept is the document, not what it means: that is checked each time. It counts only for the very file
//! that it was made of, as it was then.

use std::fs::{self, Metadata};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use crate::files::{self, Durability, sum};

/// Two changes within one tick of the file system's clock look like one: a file that was just written may be
/// written again. The ticks of all known file systems are shorter.
const TICK: Duration = Duration::from_secs(3);

/// The kept form of one config.
#[derive(Debug)]
pub(super) struct Cache {
    path: PathBuf,
    /// The first line: which file it was made of, and how that was then.
    head: Vec<u8>,
    is_settled: bool,
}

impl Cache {
    /// `None` where the config is no file to keep anything of.
    pub(super) fn of(config: &Path, dir: &Path) -> Option<Self> {
        let known = fs::metadata(config).ok().filter(Metadata::is_file)?;
        let path = config.to_str().filter(|path| !path.contains('\n'))?;
        let (device, inode, size) = (known.dev(), known.ino(), known.size());
        let times = [known.mtime(), known.mtime_nsec(), known.ctime(), known.ctime_nsec()];
        let head = format!("{device} {inode} {size} {times:?} {path}\n").into_bytes();
        let changed = u64::try_from(known.ctime().max(known.mtime())).ok().map(Duration::from_secs)?;
        let age = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH + changed).ok();
        Some(Self { path: dir.join("config.cache"), head, is_settled: age.is_some_and(|age| age > TICK) })
    }

    /// The document as JSON, where it is kept.
    pub(super) fn document(&self) -> Option<Vec<u8>> {
        let mut kept = fs::read(&self.path).ok()?;
        let (check, document) = kept.strip_prefix(&self.head[..])?.split_first_chunk()?;
        let is_whole = *check == sum(document);
        let begin = self.head.len() + check.len();
        is_whole.then(|| kept.split_off(begin))
    }

    /// Keeps the document of a config that was accepted. What goes wrong costs only time, the next time.
    pub(super) fn keep(&self, text: &str) {
        if !self.is_settled {
            return;
        }
        let Ok(document) = toml::from_str::<toml::Table>(text) else { return };
        let Ok(json) = serde_json::to_vec(&document) else { return };
        let bytes = [&self.head[..], &sum(&json)[..], &json[..]].concat();
        let _ = files::replace(&self.path, &bytes, Durability::Process);
    }
}

#[cfg(test)]
mod tests;
