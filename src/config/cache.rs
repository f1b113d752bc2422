//! A cache of the config in a format that is faster to read. `Config::load` reads it; only runs write it.
//!
//! It contains the parsed document, which is checked on each load. It is valid only as long as the config
//! file is unchanged.

use std::fs::{self, Metadata};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use crate::files::{self, Durability, sum};

/// Two changes within one tick of the file system's clock have the same time, so a file that was just written
/// could change again unnoticed. The ticks of all known file systems are shorter than this.
const TICK: Duration = Duration::from_secs(3);

/// The cache of one config file.
#[derive(Debug)]
pub(super) struct Cache {
    path: PathBuf,
    /// The first line: the path of the config file, its inode, size and times.
    head: Vec<u8>,
    is_settled: bool,
}

impl Cache {
    /// Returns `None` if the config is not a regular file, or if its path cannot be written in one line.
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

    /// Returns the document as JSON, if the cache is valid.
    pub(super) fn document(&self) -> Option<Vec<u8>> {
        let mut cached = fs::read(&self.path).ok()?;
        let (check, document) = cached.strip_prefix(&self.head[..])?.split_first_chunk()?;
        let is_whole = *check == sum(document);
        let begin = self.head.len() + check.len();
        is_whole.then(|| cached.split_off(begin))
    }

    /// Writes the document of a valid config. Errors are ignored: without a cache the next load is only
    /// slower.
    pub(super) fn write(&self, text: &str) {
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
