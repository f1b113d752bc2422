//! Methods of storing kage's state in a file: kage's own, and a naive one that loses changes.

use std::fs::{self, File};
use std::io::Read as _;
use std::path::Path;

use kage::files::Durability;
use kage::pool::{Name, State, SubscriptionState};
use kage::store::FileStore;

use super::SUBSCRIPTIONS;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Method {
    /// `FileStore::update`, as every command uses it.
    Kage,
    /// Like `Kage`, with fsync before the file is renamed.
    KageSynced,
    /// A lock on the file that is replaced: a process that waited for it locks a file that was removed.
    Naive,
}

impl Method {
    pub(super) const ALL: [(Self, &'static str); 3] = [
        (Self::Kage, "kage"),
        (Self::KageSynced, "kage, fsync"),
        (Self::Naive, "lock on the file that is renamed"),
    ];

    pub(super) fn word(self) -> &'static str {
        match self {
            Self::Kage => "kage",
            Self::KageSynced => "synced",
            Self::Naive => "naive",
        }
    }

    pub(super) fn of(word: &str) -> Self {
        let mut all = Self::ALL.into_iter().map(|(method, _)| method);
        all.find(|method| method.word() == word).expect("the parent passes one of the words")
    }

    /// Writes a state with all subscriptions.
    pub(super) fn begin(self, dir: &Path) {
        let names = (0..SUBSCRIPTIONS).map(name);
        let state = State {
            subscriptions: names.map(|name| (name, SubscriptionState::default())).collect(),
            ..State::default()
        };
        match self {
            Self::Kage | Self::KageSynced => {
                FileStore::new(dir).update(Durability::Process, |known| *known = state).unwrap();
            }
            Self::Naive => fs::write(dir.join(NAIVE), serde_json::to_vec(&state).unwrap()).unwrap(),
        }
    }

    pub(super) fn update<T>(self, dir: &Path, edit: impl FnOnce(&mut State) -> T) -> T {
        match self {
            Self::Kage => FileStore::new(dir).update(Durability::Process, edit).unwrap(),
            Self::KageSynced => FileStore::new(dir).update(Durability::Machine, edit).unwrap(),
            Self::Naive => naive(dir, edit),
        }
    }

    /// The number of changes in the state: runs that were started, and booked tokens, one for each run.
    pub(super) fn kept(self, dir: &Path) -> u64 {
        let state = match self {
            Self::Kage | Self::KageSynced => FileStore::new(dir).read_strictly().unwrap(),
            Self::Naive => serde_json::from_slice(&fs::read(dir.join(NAIVE)).unwrap()).unwrap(),
        };
        let today = state.subscriptions.values().filter_map(|known| known.today.as_ref());
        today.map(|today| today.runs + today.tokens.input_tokens).sum()
    }
}

pub(super) fn name(at: usize) -> Name {
    format!("subscription-{at:02}").parse().unwrap()
}

const NAIVE: &str = "naive.json";

fn naive<T>(dir: &Path, edit: impl FnOnce(&mut State) -> T) -> T {
    let path = dir.join(NAIVE);
    let mut file = File::options().read(true).write(true).open(&path).unwrap();
    fs2::FileExt::lock_exclusive(&file).unwrap();
    let mut bytes = Vec::new();
    file.read_to_end(&mut bytes).unwrap();
    let mut state: State = serde_json::from_slice(&bytes).unwrap();
    let answer = edit(&mut state);
    let new = dir.join(format!("{NAIVE}.{}", std::process::id()));
    fs::write(&new, serde_json::to_vec(&state).unwrap()).unwrap();
    fs::rename(new, path).unwrap();
    answer
}
