//! The state that all kage processes share. `Store::update` is the only way to change it.
//!
//! One implementation: a JSON file beside its lock. Called by the verbs; knows the pool's types only.

use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::error::{self, Failure, Status};
use crate::files::{self, Durability, LOCK_PATIENCE, Lock};
use crate::pool::State;

mod process;

pub(crate) use process::started;

/// The form of the file that this kage writes.
const VERSION: u32 = 1;

#[derive(Serialize)]
struct Written<'a> {
    version: u32,
    state: &'a State,
}

#[derive(Deserialize)]
struct Read {
    version: u32,
    state: State,
}

/// What a damaged file costs the user.
const LOST: &str = "limits, health, turns and today's totals start anew; \
                    subscriptions, secrets and the usage ledger are untouched";

/// The shared state of one user.
#[derive(Debug, Clone)]
pub(crate) struct Store {
    file: PathBuf,
}

impl Store {
    /// The store below a directory, which is made when something is written.
    pub(crate) fn new(dir: &Path) -> Self {
        Self { file: dir.join("state.json") }
    }

    /// The state as it is now, without the leases of dead processes. Changes nothing.
    pub(crate) fn read(&self) -> Result<State> {
        let mut state = match self.load()? {
            Loaded::State(state) => state,
            Loaded::Damaged(why) => {
                let file = self.file.display();
                error::warn(format_args!("{file} is damaged ({why}); the next run will set it aside"));
                State::default()
            }
        };
        state.reap(process::is_alive);
        Ok(state)
    }

    /// The same for who looks again in a moment: that the file is damaged is an error, and nothing is said.
    pub(crate) fn look(&self) -> Result<State> {
        match self.load()? {
            Loaded::State(mut state) => {
                state.reap(process::is_alive);
                Ok(state)
            }
            Loaded::Damaged(why) => bail!("{} is damaged ({why})", self.file.display()),
        }
    }

    /// Changes the state: locked, read, edited, written beside and renamed. Nothing is written where
    /// `edit` changes nothing, or where it fails.
    pub(crate) fn update<T>(&self, durability: Durability, edit: impl FnOnce(&mut State) -> T) -> Result<T> {
        self.update_within(LOCK_PATIENCE, durability, edit)
    }

    /// The same for who would rather not than wait longer.
    pub(crate) fn update_within<T>(
        &self,
        patience: Duration,
        durability: Durability,
        edit: impl FnOnce(&mut State) -> T,
    ) -> Result<T> {
        let _lock = Lock::acquire(&files::sibling(&self.file.with_extension(""), ".lock"), patience)?;
        let before = match self.load()? {
            Loaded::State(state) => state,
            Loaded::Damaged(why) => {
                self.set_aside(&why)?;
                State::default()
            }
        };
        let mut state = before.clone();
        state.reap(process::is_alive);
        let answer = edit(&mut state);
        if state != before {
            let bytes = serde_json::to_vec(&Written { version: VERSION, state: &state })?;
            files::replace(&self.file, &bytes, durability)
                .with_context(|| format!("could not write {}", self.file.display()))?;
        }
        Ok(answer)
    }

    fn load(&self) -> Result<Loaded> {
        let bytes = match fs::read(&self.file) {
            Ok(bytes) => bytes,
            Err(missing) if missing.kind() == ErrorKind::NotFound => {
                return Ok(Loaded::State(State::default()));
            }
            Err(other) => {
                return Err(other).with_context(|| format!("could not read {}", self.file.display()));
            }
        };
        match serde_json::from_slice::<Read>(&bytes) {
            Ok(read) if read.version == VERSION => Ok(Loaded::State(read.state)),
            read => match version_of(&bytes) {
                Some(version) if version != VERSION => Err(self.of_another_version(version).into()),
                _ => Ok(Loaded::Damaged(read.err().map_or_else(String::new, |why| why.to_string()))),
            },
        }
    }

    fn of_another_version(&self, version: u32) -> Failure {
        let file = self.file.display();
        let message = format!("{file} has version {version}, this kage knows version {VERSION}");
        Failure::new(Status::Failed, message)
            .hint("use the newer kage, or set KAGE_STATE_DIR to another directory for this one")
    }

    /// A damaged file is kept under another name, with the time of day, so that nothing overwrites it.
    fn set_aside(&self, why: &str) -> Result<()> {
        let time = Timestamp::now().strftime("%Y%m%dT%H%M%S%.3fZ");
        let aside = files::sibling(&self.file, &format!(".damaged-{time}"));
        fs::rename(&self.file, &aside)
            .with_context(|| format!("could not set the damaged {} aside", self.file.display()))?;
        error::warn(format_args!(
            "{} was damaged ({why}) and is now {}; {LOST}",
            self.file.display(),
            aside.display()
        ));
        Ok(())
    }
}

enum Loaded {
    State(State),
    Damaged(String),
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
