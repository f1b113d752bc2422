//! A sliding count of something over the last minutes or hours, small enough for the state file.

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

/// How finely a window is divided: counts leave it in steps of a twelfth.
const SLOTS: i64 = 12;

/// Amounts by the slot they fell into, oldest first.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Sliding(Vec<(i64, u64)>);

impl Sliding {
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Adds an amount now and forgets what has left the window.
    pub fn add(&mut self, amount: u64, width: SignedDuration, now: Timestamp) {
        let slot = slot(width, now);
        self.0.retain(|&(then, _)| then > slot - SLOTS && then <= slot);
        match self.0.last_mut() {
            Some((last, count)) if *last == slot => *count = count.saturating_add(amount),
            _ => self.0.push((slot, amount)),
        }
    }

    /// What fell into the window that ends now.
    pub fn total(&self, width: SignedDuration, now: Timestamp) -> u64 {
        let slot = slot(width, now);
        let inside = self.0.iter().filter(|(then, _)| *then > slot - SLOTS && *then <= slot);
        inside.fold(0, |total, (_, count)| total.saturating_add(*count))
    }

    /// When the window will hold fewer than `limit`, if nothing more is added.
    pub fn below(&self, limit: u64, width: SignedDuration, now: Timestamp) -> Option<Timestamp> {
        let mut left = self.total(width, now);
        let current = slot(width, now);
        for &(then, count) in self.0.iter().filter(|(then, _)| *then > current - SLOTS && *then <= current) {
            if left < limit {
                break;
            }
            // A total that stopped at the largest number is less than its parts.
            left = left.saturating_sub(count);
            if left < limit {
                let leaves = (then + SLOTS) * slot_width(width);
                return Timestamp::from_millisecond(leaves).ok();
            }
        }
        None
    }
}

/// Milliseconds in one slot.
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
    fn a_total_stops_at_the_largest_number() {
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
    fn a_clock_set_back_does_not_keep_counts_from_the_future() {
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
