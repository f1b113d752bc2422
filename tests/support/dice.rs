//! Random numbers that can be repeated.

// A failed unwrap is a failed test.
#![allow(dead_code, unreachable_pub, clippy::unwrap_used)]

use std::thread;
use std::time::{Duration, SystemTime};

/// `SplitMix64`: the same seed gives the same numbers.
pub struct Dice(u64);

impl Dice {
    pub fn new(seed: u64) -> Self {
        Self(seed)
    }

    pub fn below(&mut self, end: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)) % end
    }

    pub fn pause(&mut self, longest: Duration) {
        let micros = u64::try_from(longest.as_micros()).unwrap();
        thread::sleep(Duration::from_micros(self.below(micros)));
    }
}

/// The seed in `KAGE_TEST_SEED`, which repeats a run, or a new one. Prints it.
pub fn seed() -> u64 {
    let given = std::env::var("KAGE_TEST_SEED").ok().and_then(|text| text.parse().ok());
    let seed = given.unwrap_or_else(|| {
        let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap();
        u64::from(since.subsec_nanos())
    });
    println!("KAGE_TEST_SEED={seed}");
    seed
}
