//! The state in a JSON file, with a lock file and a log of the changes since the file was written. A change
//! is a line appended to the log, which costs a fraction of writing a new file. When the log has grown, the
//! whole state is written again. Only `FileStore::update` and `FileStore::update_within` change
//! the state.

use std::fs::{self, File};
use std::io::{self, ErrorKind, Read as _};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use self::log::Log;
use super::Store;
use crate::error::{Failure, Notice, Status};
use crate::files::{self, Durability, LOCK_PATIENCE, Lock};
use crate::pool::{Administer, Change, Observe, Patch, Release, Reserve, Reserved, Settle, Settled, State};

mod log;
mod process;

pub use process::{holder_mark, marked_holder, started};

/// The file format that this kage writes.
const VERSION: u32 = 2;
/// The previous format: the same, without an id and therefore without a log.
const WITHOUT_LOG: u32 = 1;
/// How many times a reader tries again if the file was replaced while it read. Only one in dozens of changes
/// replaces it.
const READ_ATTEMPTS: u32 = 100;

#[derive(Serialize)]
struct Written<'a> {
    version: u32,
    id: &'a str,
    state: &'a State,
}

#[derive(Deserialize)]
struct Read {
    version: u32,
    /// The id by which the log names the state it belongs to.
    #[serde(default)]
    id: String,
    state: State,
}

/// What the user loses with a damaged state file.
const LOST: &str = "limits, health, rotation and today's totals are reset; \
                    subscriptions, secrets and the usage ledger are untouched";

/// What the user loses with a damaged log.
const LOST_OF_LOG: &str = "the latest changes to limits, health, rotation and today's totals are lost";

/// The shared state of one user.
#[derive(Debug)]
pub struct FileStore {
    file: PathBuf,
    log: Log,
    /// Notices for the user that have not been taken yet.
    notices: Mutex<Vec<Notice>>,
}

/// A state as it was read.
#[derive(Debug, Default)]
struct Loaded {
    state: State,
    /// The offset of the next change in the log; `None` if the whole state must be written.
    end: Option<u64>,
    /// The damaged file, and what is wrong with it. `state` is what could still be read.
    damage: Option<(PathBuf, String)>,
}

impl FileStore {
    /// Returns the store in a directory, which is created by the first write.
    pub fn new(dir: &Path) -> Self {
        Self { file: dir.join("state.json"), log: Log::new(dir.join("state.log")), notices: Mutex::default() }
    }

    /// Returns the current state without the leases of dead processes. Changes nothing.
    pub fn read(&self) -> Result<State> {
        let loaded = self.load()?;
        if let Some((file, why)) = &loaded.damage {
            let file = file.display();
            self.notice(format!("{file} is damaged ({why}); the next run will move it aside"));
        }
        Ok(reaped(loaded.state))
    }

    /// Like `read`, but a damaged file is an error and not a notice. For callers that read repeatedly.
    pub fn read_strictly(&self) -> Result<State> {
        let loaded = self.load()?;
        match loaded.damage {
            Some((file, why)) => bail!("{} is damaged ({why})", file.display()),
            None => Ok(reaped(loaded.state)),
        }
    }

    /// Changes the state: takes the lock, reads, calls `edit`, writes. Writes nothing if nothing changed.
    pub fn update<T>(&self, durability: Durability, edit: impl FnOnce(&mut State) -> T) -> Result<T> {
        self.update_within(LOCK_PATIENCE, durability, edit)
    }

    /// Like `update`, but waits at most `patience` for the lock.
    pub fn update_within<T>(
        &self,
        patience: Duration,
        durability: Durability,
        edit: impl FnOnce(&mut State) -> T,
    ) -> Result<T> {
        let _lock = Lock::acquire(&files::sibling(&self.file.with_extension(""), ".lock"), patience)?;
        let Loaded { state: before, end, damage } = self.load()?;
        let log_damage = match damage {
            Some((file, why)) if file == self.file => self.set_aside(&file, &why, LOST).map(|()| None)?,
            damage => damage.map(|(_, why)| why),
        };
        let mut state = before.clone();
        process::reap_dead(&mut state);
        let answer = edit(&mut state);
        match (Patch::between(before, &state), end) {
            (None, _) if log_damage.is_none() => {}
            (Some(patch), Some(end)) => match self.log.append(end, &patch, durability) {
                // The log was removed, or belongs to another user: the directory may still accept a new file.
                Err(gone) if matches!(gone.kind(), ErrorKind::NotFound | ErrorKind::PermissionDenied) => {
                    self.write_whole(&state, durability, None)?;
                }
                appended => {
                    appended.with_context(|| format!("could not write {}", self.log.path().display()))?;
                }
            },
            _ => self.write_whole(&state, durability, log_damage.as_deref())?,
        }
        Ok(answer)
    }

    /// Writes the whole state, then begins its log. Until the new log exists, the old log belongs to no
    /// state, and the next change writes the whole state again.
    fn write_whole(&self, state: &State, durability: Durability, log_damage: Option<&str>) -> Result<()> {
        let id = uuid::Uuid::new_v4().simple().to_string();
        let bytes = serde_json::to_vec(&Written { version: VERSION, id: &id, state })?;
        files::replace(&self.file, &bytes, durability)
            .with_context(|| format!("could not write {}", self.file.display()))?;
        if let Some(why) = log_damage {
            self.set_aside(self.log.path(), why, LOST_OF_LOG)?;
        }
        let _ = self.log.begin(&id);
        Ok(())
    }

    fn load(&self) -> Result<Loaded> {
        let (bytes, log) = self.bytes()?;
        let Some(bytes) = bytes else { return Ok(Loaded::default()) };
        match serde_json::from_slice::<Read>(&bytes) {
            Ok(Read { version: VERSION | WITHOUT_LOG, id, mut state }) => {
                let replayed = log::replay(&log, &id, bytes.len() as u64, &mut state);
                let damage = replayed.damage.map(|why| (self.log.path().to_owned(), why));
                Ok(Loaded { state, end: replayed.end, damage })
            }
            read => match version_of(&bytes) {
                Some(version) if version != VERSION && version != WITHOUT_LOG => {
                    Err(self.version_failure(version).into())
                }
                _ => {
                    let why = read.err().map_or_else(String::new, |why| why.to_string());
                    Ok(Loaded { damage: Some((self.file.clone(), why)), ..Loaded::default() })
                }
            },
        }
    }

    /// Reads a state and the log that belongs to it. Writers replace the state before they begin a new log.
    /// So if the state was not replaced while both were read, the log belongs to it.
    fn bytes(&self) -> Result<(Option<Vec<u8>>, Vec<u8>)> {
        let unreadable = |file: &Path| format!("could not read {}", file.display());
        for attempt in 1.. {
            let Some((inode, bytes)) = self.whole().with_context(|| unreadable(&self.file))? else { break };
            let log = self.log.read().with_context(|| unreadable(self.log.path()))?;
            let is_same = fs::metadata(&self.file).is_ok_and(|known| known.ino() == inode);
            if is_same || attempt == READ_ATTEMPTS {
                return Ok((Some(bytes), log));
            }
        }
        Ok((None, Vec::new()))
    }

    /// Reads the state as it was last written whole, with the inode of its file.
    fn whole(&self) -> io::Result<Option<(u64, Vec<u8>)>> {
        let mut file = match File::open(&self.file) {
            Err(missing) if missing.kind() == ErrorKind::NotFound => return Ok(None),
            opened => opened?,
        };
        let known = file.metadata()?;
        let mut bytes = Vec::with_capacity(usize::try_from(known.len()).unwrap_or_default() + 1);
        file.read_to_end(&mut bytes)?;
        Ok(Some((known.ino(), bytes)))
    }

    /// Renames a damaged file to a name with the current time, so that nothing overwrites it.
    fn set_aside(&self, file: &Path, why: &str, lost: &str) -> Result<()> {
        let time = Timestamp::now().strftime("%Y%m%dT%H%M%S%.3fZ");
        let aside = files::sibling(file, &format!(".damaged-{time}"));
        let shown = file.display();
        fs::rename(file, &aside).with_context(|| format!("could not move the damaged {shown} aside"))?;
        self.notice(format!("{shown} was damaged ({why}) and is now {}; {lost}", aside.display()));
        Ok(())
    }

    fn notice(&self, message: String) {
        self.notices.lock().unwrap_or_else(PoisonError::into_inner).push(Notice::new(message));
    }

    fn version_failure(&self, version: u32) -> Failure {
        let file = self.file.display();
        let message = format!("{file} has version {version}; this kage supports version {VERSION}");
        Failure::new(Status::Failed, message)
            .hint("use the newer kage, or set KAGE_STATE_DIR to another directory for this one")
    }
}

impl Store for FileStore {
    fn view(&self) -> Result<State> {
        self.read()
    }

    fn strict_view(&self) -> Result<State> {
        self.read_strictly()
    }

    fn reserve(&self, reserve: &Reserve<'_>) -> Result<Reserved> {
        self.update(Durability::Process, |state| reserve.apply(state))
    }

    fn observe(&self, observe: &Observe<'_>, patience: Duration) -> Result<Option<Change>> {
        self.update_within(patience, Durability::Process, |state| observe.apply(state))
    }

    /// The ledger is already on disk, and everything in the state except limits and health can be rebuilt
    /// from it. So only outcomes that concern the subscription are synced to disk.
    fn settle(&self, settle: &Settle<'_>) -> Result<Settled> {
        let concerns_subscription = settle.outcome.verdict.concerns_subscription();
        let durability = if concerns_subscription { Durability::Machine } else { Durability::Process };
        self.update(durability, |state| settle.apply(state))
    }

    fn release(&self, release: &Release<'_>) -> Result<()> {
        self.update(Durability::Process, |state| release.apply(state))
    }

    fn administer(&self, administer: &Administer<'_>) -> Result<State> {
        let durability = if administer.is_lasting() { Durability::Machine } else { Durability::Process };
        self.update(durability, |state| {
            administer.apply(state);
            state.clone()
        })
    }

    fn take_notices(&self) -> Vec<Notice> {
        std::mem::take(&mut *self.notices.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

fn reaped(mut state: State) -> State {
    state.reap(process::is_alive);
    state
}

/// Reads only the version of a file whose other fields may have another format.
fn version_of(bytes: &[u8]) -> Option<u32> {
    #[derive(Deserialize)]
    struct Version {
        version: u32,
    }
    serde_json::from_slice::<Version>(bytes).ok().map(|read| read.version)
}

#[cfg(test)]
mod tests;
