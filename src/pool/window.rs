//! A count over a sliding window of minutes or hours, small enough for the state file.

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

/// The number of slots of a window. Counts leave the window one slot at a time.
const SLOTS: i64 = 12;

/// Amounts by slot, oldest first.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Sliding(Vec<(i64, u64)>);

impl Sliding {
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Adds an amount now and drops the amounts that have left the window.
    pub fn add(&mut self, amount: u64, width: SignedDuration, now: Timestamp) {
        let slot = slot(width, now);
        self.0.retain(|&(then, _)| then > slot - SLOTS && then <= slot);
        match self.0.last_mut() {
            Some((last, count)) if *last == slot => *count = count.saturating_add(amount),
            _ => self.0.push((slot, amount)),
        }
    }

    /// Returns the sum of the amounts in the window that ends now.
    pub fn total(&self, width: SignedDuration, now: Timestamp) -> u64 {
        let slot = slot(width, now);
        let inside = self.0.iter().filter(|(then, _)| *then > slot - SLOTS && *then <= slot);
        inside.fold(0, |total, (_, count)| total.saturating_add(*count))
    }

    /// Returns when the window will hold less than `limit` if nothing is added, or `None` if it already does.
    pub fn below(&self, limit: u64, width: SignedDuration, now: Timestamp) -> Option<Timestamp> {
        let mut left = self.total(width, now);
        let current = slot(width, now);
        for &(then, count) in self.0.iter().filter(|(then, _)| *then > current - SLOTS && *then <= current) {
            if left < limit {
                break;
            }
            // A saturated total is less than the sum of its parts.
            left = left.saturating_sub(count);
            if left < limit {
                let leaves = (then + SLOTS) * slot_width(width);
                return Timestamp::from_millisecond(leaves).ok();
            }
        }
        None
    }
}

/// Returns the milliseconds in one slot.
fn slot_width(width: SignedDuration) -> i64 {
    i64::try_from(width.as_millis()).unwrap_or(i64::MAX).max(SLOTS) / SLOTS
}

fn slot(width: SignedDuration, now: Timestamp) -> i64 {
    now.as_millisecond().div_euclid(slot_width(width))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_amount_leaves_the_window_after_its_width() {
        let minute = SignedDuration::from_secs(60);
        let start: Timestamp = "2026-11-22T10:00:00Z".parse().unwrap();
        let mut count = Sliding::default();
        count.add(2, minute, start);
        count.add(3, minute, start + SignedDuration::from_secs(30));
        assert_eq!(count.total(minute, start + SignedDuration::from_secs(59)), 5);
        assert_eq!(count.total(minute, start + SignedDuration::from_secs(60)), 3);
        assert_eq!(count.total(minute, start + SignedDuration::from_secs(90)), 0);
        let free = count.below(4, minute, start + SignedDuration::from_secs(40)).unwrap();
        assert_eq!(free, start + SignedDuration::from_secs(60));
        assert_eq!(count.below(9, minute, start), None);
    }

    #[test]
    fn a_total_saturates_at_the_largest_number() {
        let minute = SignedDuration::from_secs(60);
        let now: Timestamp = "2026-11-22T10:00:00Z".parse().unwrap();
        let later = now + SignedDuration::from_secs(30);
        let mut count = Sliding::default();
        count.add(u64::MAX, minute, now);
        count.add(u64::MAX, minute, later);
        assert_eq!(count.total(minute, later), u64::MAX);
        assert!(count.below(1, minute, later).is_some());
    }

    #[test]
    fn counts_from_the_future_are_dropped_after_the_clock_is_set_back() {
        let hour = SignedDuration::from_hours(1);
        let later: Timestamp = "2027-11-22T10:00:00Z".parse().unwrap();
        let now: Timestamp = "2026-11-22T10:00:00Z".parse().unwrap();
        let mut count = Sliding::default();
        count.add(7, hour, later);
        assert_eq!(count.total(hour, now), 0);
        count.add(1, hour, now);
        assert_eq!(count.total(hour, now), 1);
    }
}
