//! The state in a JSON file beside its lock, and a log of the changes since that was written. A change is a line at
//! the end of the log, which costs a fraction of a new file; when the log has grown the state is written whole again.
//! `FileStore::update` is the only way to change it.

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

/// The form of the file that this kage writes.
const VERSION: u32 = 2;
/// The form before it: the same, without an id and so without a log.
const WITHOUT_LOG: u32 = 1;
/// How often a reader looks again that meets writers of whole states. There is one in dozens of changes.
const LOOKS: u32 = 100;

#[derive(Serialize)]
struct Written<'a> {
    version: u32,
    id: &'a str,
    state: &'a State,
}

#[derive(Deserialize)]
struct Read {
    version: u32,
    /// By which the log knows whose changes it has.
    #[serde(default)]
    id: String,
    state: State,
}

/// What a damaged file costs the user.
const LOST: &str = "limits, health, turns and today's totals start anew; \
                    subscriptions, secrets and the usage ledger are untouched";

/// What a damaged log costs.
const LOST_OF_LOG: &str = "the latest changes of limits, health, turns and today's totals are not known";

/// The shared state of one user.
#[derive(Debug)]
pub struct FileStore {
    file: PathBuf,
    log: Log,
    /// What the user should know, until it is taken.
    notices: Mutex<Vec<Notice>>,
}

/// A state as it was found.
#[derive(Debug, Default)]
struct Found {
    state: State,
    /// Where in the log the next change goes; `None` where the state is to be written whole.
    end: Option<u64>,
    /// The file that is damaged, and how. The state is what could be had without it.
    damage: Option<(PathBuf, String)>,
}

impl FileStore {
    /// The store below a directory, which is made when something is written.
    pub fn new(dir: &Path) -> Self {
        Self { file: dir.join("state.json"), log: Log::new(dir.join("state.log")), notices: Mutex::default() }
    }

    /// The state as it is now, without the leases of dead processes. Changes nothing.
    pub fn read(&self) -> Result<State> {
        let found = self.load()?;
        if let Some((file, why)) = &found.damage {
            let file = file.display();
            self.notice(format!("{file} is damaged ({why}); the next run will set it aside"));
        }
        Ok(reaped(found.state))
    }

    /// The same for a caller that looks again in a moment: that a file is damaged is an error, and no notice.
    pub fn look(&self) -> Result<State> {
        let found = self.load()?;
        match found.damage {
            Some((file, why)) => bail!("{} is damaged ({why})", file.display()),
            None => Ok(reaped(found.state)),
        }
    }

    /// Changes the state: locked, read, edited, written down. Nothing is written where `edit` changes nothing, or
    /// where it fails.
    pub fn update<T>(&self, durability: Durability, edit: impl FnOnce(&mut State) -> T) -> Result<T> {
        self.update_within(LOCK_PATIENCE, durability, edit)
    }

    /// The same for a caller that gives up rather than wait longer.
    pub fn update_within<T>(
        &self,
        patience: Duration,
        durability: Durability,
        edit: impl FnOnce(&mut State) -> T,
    ) -> Result<T> {
        let _lock = Lock::acquire(&files::sibling(&self.file.with_extension(""), ".lock"), patience)?;
        let Found { state: before, end, damage } = self.load()?;
        let log_damage = match damage {
            Some((file, why)) if file == self.file => self.set_aside(&file, &why, LOST).map(|()| None)?,
            damage => damage.map(|(_, why)| why),
        };
        let mut state = before.clone();
        process::reap_often(&mut state);
        let answer = edit(&mut state);
        match (Patch::between(before, &state), end) {
            (None, _) if log_damage.is_none() => {}
            (Some(patch), Some(end)) => match self.log.append(end, &patch, durability) {
                // Somebody took it away, or made it another's: a new file goes where an old one cannot be written.
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

    /// The state anew, then a log for it. Until that is there the old one belongs to nothing, and the next change
    /// is written whole again.
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

    fn load(&self) -> Result<Found> {
        let (bytes, log) = self.bytes()?;
        let Some(bytes) = bytes else { return Ok(Found::default()) };
        match serde_json::from_slice::<Read>(&bytes) {
            Ok(Read { version: VERSION | WITHOUT_LOG, id, mut state }) => {
                let replayed = log::replay(&log, &id, bytes.len() as u64, &mut state);
                let damage = replayed.damage.map(|why| (self.log.path().to_owned(), why));
                Ok(Found { state, end: replayed.end, damage })
            }
            read => match version_of(&bytes) {
                Some(version) if version != VERSION && version != WITHOUT_LOG => {
                    Err(self.of_another_version(version).into())
                }
                _ => {
                    let why = read.err().map_or_else(String::new, |why| why.to_string());
                    Ok(Found { damage: Some((self.file.clone(), why)), ..Found::default() })
                }
            },
        }
    }

    /// What is in both files, of one and the same time: a state is replaced before its log begins anew, so where
    /// it has not been replaced since it was opened, what the log has now belongs to it.
    fn bytes(&self) -> Result<(Option<Vec<u8>>, Vec<u8>)> {
        let unreadable = |file: &Path| format!("could not read {}", file.display());
        for look in 1.. {
            let Some((inode, bytes)) = self.whole().with_context(|| unreadable(&self.file))? else { break };
            let log = self.log.read().with_context(|| unreadable(self.log.path()))?;
            let is_there = fs::metadata(&self.file).is_ok_and(|there| there.ino() == inode);
            if is_there || look == LOOKS {
                return Ok((Some(bytes), log));
            }
        }
        Ok((None, Vec::new()))
    }

    /// The state as it was last written whole, and which file that is.
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

    /// A damaged file is kept under another name, with the time of day, so that nothing overwrites it.
    fn set_aside(&self, file: &Path, why: &str, lost: &str) -> Result<()> {
        let time = Timestamp::now().strftime("%Y%m%dT%H%M%S%.3fZ");
        let aside = files::sibling(file, &format!(".damaged-{time}"));
        let shown = file.display();
        fs::rename(file, &aside).with_context(|| format!("could not set the damaged {shown} aside"))?;
        self.notice(format!("{shown} was damaged ({why}) and is now {}; {lost}", aside.display()));
        Ok(())
    }

    fn notice(&self, message: String) {
        self.notices.lock().unwrap_or_else(PoisonError::into_inner).push(Notice::new(message));
    }

    fn of_another_version(&self, version: u32) -> Failure {
        let file = self.file.display();
        let message = format!("{file} has version {version}, this kage knows version {VERSION}");
        Failure::new(Status::Failed, message)
            .hint("use the newer kage, or set KAGE_STATE_DIR to another directory for this one")
    }
}

impl Store for FileStore {
    fn view(&self) -> Result<State> {
        self.read()
    }

    fn undamaged_view(&self) -> Result<State> {
        self.look()
    }

    fn reserve(&self, reserve: &Reserve<'_>) -> Result<Reserved> {
        self.update(Durability::Process, |state| reserve.apply(state))
    }

    fn observe(&self, observe: &Observe<'_>, patience: Duration) -> Result<Option<Change>> {
        self.update_within(patience, Durability::Process, |state| observe.apply(state))
    }

    /// The ledger is on the disk already. What a power cut could take from the state is there too, but for limits.
    fn settle(&self, settle: &Settle<'_>) -> Result<Settled> {
        let of_the_account = settle.outcome.verdict.is_of_the_account();
        let durability = if of_the_account { Durability::Machine } else { Durability::Process };
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

/// The version alone, of a file whose rest may have another form.
fn version_of(bytes: &[u8]) -> Option<u32> {
    #[derive(Deserialize)]
    struct Version {
        version: u32,
    }
    serde_json::from_slice::<Version>(bytes).ok().map(|read| read.version)
}

#[cfg(test)]
mod tests;
