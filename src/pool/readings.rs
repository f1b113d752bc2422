//! The utilization of a subscription's windows, which running agents report repeatedly: which readings are
//! known, which are newer, and which are worth storing.

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};

use super::Reading;
use super::state::{SubscriptionState, Utilization};

/// Reset times that differ by less than this belong to the same window.
const SAME_RESET: SignedDuration = SignedDuration::from_mins(1);
/// An unchanged reading is stored again only after this time.
const STALE: SignedDuration = SignedDuration::from_secs(60);

impl SubscriptionState {
    /// Returns the known windows that have not reset, updated with newer readings that an agent reported.
    pub fn windows(&self, reported: &BTreeMap<String, Reading>, now: Timestamp) -> BTreeMap<String, Reading> {
        let known = self.utilization.iter().map(|(window, known)| (window, reading(known)));
        let newer = reported.iter().filter(|(window, reported)| self.is_newer(window, reported));
        let all = known.chain(newer.map(|(window, newer)| (window, *newer)));
        let current = all.filter(|(_, reading)| reading.resets_at.is_none_or(|at| at > now));
        current.map(|(window, reading)| (window.clone(), reading)).collect()
    }

    /// Returns the reported readings that are worth storing: those that change a value by a whole percent, or
    /// confirm a stale one.
    pub fn news(&self, reported: &BTreeMap<String, Reading>, now: Timestamp) -> BTreeMap<String, Reading> {
        let is_news = |window: &str, reading: &Reading| {
            let is_confirmed = |known: &&Utilization| {
                percent(known.value) == percent(reading.value) && is_same_window(known, reading)
            };
            let confirmed = self.utilization.get(window).filter(is_confirmed);
            confirmed.is_none_or(|known| now.duration_since(known.read_at) >= STALE)
        };
        let is_current = |reading: &Reading| reading.resets_at.is_none_or(|at| at > now);
        let news = reported.iter().filter(|(window, reading)| {
            is_current(reading) && self.is_newer(window, reading) && is_news(window, reading)
        });
        news.map(|(window, reading)| (window.clone(), *reading)).collect()
    }

    /// Whether a reported reading is newer than the known one. An idle agent repeats what it received hours
    /// ago, while another agent works on the same subscription. Within a window utilization only grows, so
    /// the higher value is the newer one.
    fn is_newer(&self, window: &str, reported: &Reading) -> bool {
        let Some(known) = self.utilization.get(window) else { return true };
        match (known.resets_at, reported.resets_at) {
            _ if is_same_window(known, reported) => percent(reported.value) >= percent(known.value),
            (Some(known), Some(reported)) => reported > known,
            (known, _) => known.is_none(),
        }
    }
}

fn reading(known: &Utilization) -> Reading {
    Reading { value: known.value, resets_at: known.resets_at }
}

fn is_same_window(known: &Utilization, reported: &Reading) -> bool {
    match (known.resets_at, reported.resets_at) {
        (Some(known), Some(reported)) => known.duration_since(reported).abs() < SAME_RESET,
        (known, reported) => known == reported,
    }
}

#[allow(clippy::cast_possible_truncation)]
fn percent(value: f64) -> i64 {
    (value * 100.0).round() as i64
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: i64 = 100_000;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    fn reported(value: f64, resets_at: Option<i64>) -> BTreeMap<String, Reading> {
        [("five_hour".to_owned(), Reading { value, resets_at: resets_at.map(at) })].into()
    }

    /// Returns the shown value, and whether it is stored, if 42 % was read `age` seconds ago.
    fn after(age: i64, reported: &BTreeMap<String, Reading>) -> (Option<f64>, bool) {
        let known = Utilization { value: 0.42, resets_at: Some(at(NOW + 5000)), read_at: at(NOW - age) };
        let state = SubscriptionState {
            utilization: [("five_hour".to_owned(), known)].into(),
            ..SubscriptionState::default()
        };
        let shown = state.windows(reported, at(NOW)).get("five_hour").map(|reading| reading.value);
        (shown, !state.news(reported, at(NOW)).is_empty())
    }

    #[test]
    fn an_unchanged_reading_is_stored_once_a_minute() {
        let same = Some(NOW + 5000);
        assert_eq!(after(10, &reported(0.42, same)), (Some(0.42), false));
        assert_eq!(after(10, &reported(0.424, Some(NOW + 5001))), (Some(0.424), false));
        assert_eq!(after(60, &reported(0.42, same)), (Some(0.42), true));
        assert_eq!(after(10, &reported(0.43, same)), (Some(0.43), true));
    }

    #[test]
    fn an_old_reading_of_an_idle_agent_changes_nothing() {
        assert_eq!(after(600, &reported(0.30, Some(NOW + 5000))), (Some(0.42), false));
        assert_eq!(after(600, &reported(0.99, Some(NOW - 10))), (Some(0.42), false));
        assert_eq!(after(600, &reported(0.99, Some(NOW + 2000))), (Some(0.42), false));
        assert_eq!(after(600, &reported(0.99, None)), (Some(0.42), false));
    }

    #[test]
    fn a_window_that_has_reset_accepts_a_lower_value() {
        assert_eq!(after(10, &reported(0.01, Some(NOW + 18_000))), (Some(0.01), true));
        let none = SubscriptionState::default();
        assert_eq!(none.news(&reported(0.5, None), at(NOW)), reported(0.5, None));
        assert_eq!(none.windows(&reported(0.5, Some(NOW)), at(NOW)), BTreeMap::new());
    }
}
