//! What a run of the torture is asked for, and the tally of each fault class.

use std::env;
use std::fmt::Display;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use crate::dice::{Dice, seed};

/// How long a run takes where nobody says: what the suite can spare.
const SECONDS: u64 = 25;
/// Whoever wants figures asks for this many seconds; what waits for a minute is left out of shorter runs.
pub const WHOLE: u64 = 100;
/// A class that has lost so much has made its point.
const ENOUGH: usize = 10;

/// What a run is asked for.
pub struct Plan {
    pub seconds: u64,
    pub seed: u64,
    pub only: Option<String>,
    /// The program under test.
    pub kage: PathBuf,
    /// The kage of an earlier version, where it could be built.
    pub before: Option<PathBuf>,
}

impl Plan {
    /// From the environment, which `tests/torture.sh` sets. `None` where the arguments, which are those of any
    /// suite, ask for another test.
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

/// A way in which things go wrong.
pub struct Class {
    pub name: &'static str,
    /// What is tried, in a few words.
    pub what: &'static str,
    /// Of a hundred parts of the time; 0 for a class that sleeps most of its time, and runs beside the others.
    pub share: u64,
    pub run: fn(&Trial<'_>),
}

/// A class while it is tried. Its lanes share it.
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
    pub fn goes_on(&self) -> bool {
        Instant::now() < self.until && !self.has_had_enough()
    }

    pub fn has_had_enough(&self) -> bool {
        self.losses().len() >= ENOUGH
    }

    /// Whether the time is that of a run for figures.
    pub fn is_whole(&self) -> bool {
        self.plan.seconds >= WHOLE
    }

    /// How many of the tries of a whole run this one has time for.
    pub fn part_of(&self, whole: u64) -> u64 {
        (whole * self.plan.seconds / 120).clamp(1, whole)
    }

    /// The chance of one lane of this class.
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

    /// Each of what was found is a loss.
    pub fn check(&self, found: impl IntoIterator<Item = String>, of: impl Display) {
        found.into_iter().for_each(|loss| self.lost(format_args!("{of}: {loss}")));
    }

    /// Something to be told in the line of the class.
    pub fn note(&self, what: impl Into<String>) {
        self.notes.lock().unwrap_or_else(PoisonError::into_inner).push(what.into());
    }

    /// What cannot be tried here is named; under CI that is a loss.
    pub fn skip(&self, what: &str) {
        if env::var_os("CI").is_some_and(|ci| ci == "true") {
            self.lost(format_args!("cannot be tried here: {what}"));
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
