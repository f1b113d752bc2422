//! The parameters of a torture run, and the tally of each class.

use std::env;
use std::fmt::Display;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use crate::dice::{Dice, seed};

/// The default length of a run in seconds, short enough for the test suite.
const SECONDS: u64 = 25;
/// A run of at least this many seconds is a full one. Shorter runs skip the tests that wait for a minute.
pub const FULL: u64 = 100;
/// A class ends after this many losses.
const MOST_LOSSES: usize = 10;

/// The parameters of a run.
pub struct Plan {
    pub seconds: u64,
    pub seed: u64,
    pub only: Option<String>,
    /// The program under test.
    pub kage: PathBuf,
    /// A kage of an earlier version, if it could be built.
    pub before: Option<PathBuf>,
}

impl Plan {
    /// Reads the environment that `tests/torture.sh` sets. `None` if the arguments, which `cargo test` passes
    /// to every suite, select another test.
    pub fn read() -> Option<Self> {
        let words: Vec<_> = env::args().skip(1).filter(|word| !word.starts_with('-')).collect();
        if env::args().any(|word| word == "--list") || words.iter().any(|word| !"torture".contains(word)) {
            return None;
        }
        let set = |name: &str| env::var(name).ok().filter(|value| !value.is_empty());
        Some(Self {
            seconds: set("TORTURE_SECONDS")
                .map_or(SECONDS, |text| text.parse().expect("a number of seconds")),
            seed: set("SEED").map_or_else(seed, |text| text.parse().expect("a number as SEED")),
            only: set("TORTURE_ONLY"),
            kage: set("KAGE").map_or_else(|| env!("CARGO_BIN_EXE_kage").into(), PathBuf::from),
            before: set("TORTURE_BEFORE").map(PathBuf::from),
        })
    }
}

/// A class of failures.
pub struct Class {
    pub name: &'static str,
    /// A short description, for the output.
    pub what: &'static str,
    /// The share of the time, in percent. 0 for a class that mostly sleeps: it runs concurrently with the
    /// others.
    pub share: u64,
    pub run: fn(&Trial<'_>),
}

/// A running class. Its threads share it.
pub struct Trial<'a> {
    pub plan: &'a Plan,
    pub name: &'static str,
    until: Instant,
    tries: AtomicU64,
    losses: Mutex<Vec<String>>,
    notes: Mutex<Vec<String>>,
}

impl<'a> Trial<'a> {
    pub fn new(plan: &'a Plan, class: &Class) -> Self {
        let share = if class.share == 0 { 100 } else { class.share };
        let time = Duration::from_millis(plan.seconds * 10 * share);
        let until = Instant::now() + time;
        let (losses, notes) = (Mutex::default(), Mutex::default());
        Self { plan, name: class.name, until, tries: AtomicU64::new(0), losses, notes }
    }

    /// Whether there is time for another try.
    pub fn has_time(&self) -> bool {
        Instant::now() < self.until && !self.has_failed_enough()
    }

    pub fn has_failed_enough(&self) -> bool {
        self.losses().len() >= MOST_LOSSES
    }

    /// Whether this run is long enough for all tests.
    pub fn is_full_run(&self) -> bool {
        self.plan.seconds >= FULL
    }

    /// Scales a number of tries in a run of 120 s to the length of this run.
    pub fn scaled(&self, tries: u64) -> u64 {
        (tries * self.plan.seconds / 120).clamp(1, tries)
    }

    /// The random numbers of one thread of this class.
    pub fn dice(&self, lane: u64) -> Dice {
        let of_class = self.name.bytes().fold(0, |hash: u64, byte| hash.wrapping_mul(31) + u64::from(byte));
        Dice::new(self.plan.seed ^ of_class.rotate_left(17) ^ (lane << 48))
    }

    pub fn tried(&self, times: u64) {
        self.tries.fetch_add(times, Ordering::Relaxed);
    }

    pub fn lost(&self, what: impl Display) {
        let mut losses = self.losses.lock().unwrap_or_else(PoisonError::into_inner);
        eprintln!("LOST in {}: {what}", self.name);
        losses.push(what.to_string());
    }

    /// Reports each problem found as a loss.
    pub fn check(&self, found: impl IntoIterator<Item = String>, of: impl Display) {
        found.into_iter().for_each(|loss| self.lost(format_args!("{of}: {loss}")));
    }

    /// Adds a note to the line of the class.
    pub fn note(&self, what: impl Into<String>) {
        self.notes.lock().unwrap_or_else(PoisonError::into_inner).push(what.into());
    }

    /// Notes a test that cannot run here. Under CI this is a loss.
    pub fn skip(&self, what: &str) {
        if env::var_os("CI").is_some_and(|ci| ci == "true") {
            self.lost(format_args!("could not run: {what}"));
        }
        self.note(format!("SKIPPED: {what}"));
    }

    pub fn tries(&self) -> u64 {
        self.tries.load(Ordering::Relaxed)
    }

    pub fn losses(&self) -> Vec<String> {
        self.losses.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub fn notes(&self) -> String {
        self.notes.lock().unwrap_or_else(PoisonError::into_inner).join("; ")
    }
}
