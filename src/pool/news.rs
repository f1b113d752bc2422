//! How full a subscription's windows are, as told over and over by agents that run: what of it is known, what
//! is newer, and what is worth writing down.

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};

use super::Reading;
use super::state::{SubscriptionState, Utilization};

/// Reset times this near to each other are of one window.
const SAME_RESET: SignedDuration = SignedDuration::from_mins(1);
/// What is told again is written down again after this time, and not before.
const STALE: SignedDuration = SignedDuration::from_secs(60);

impl SubscriptionState {
    /// The windows that are known and have not reset since, with what an agent tells where that is newer.
    pub fn windows(&self, told: &BTreeMap<String, Reading>, now: Timestamp) -> BTreeMap<String, Reading> {
        let known = self.utilization.iter().map(|(window, known)| (window, reading(known)));
        let told = told.iter().filter(|(window, told)| self.is_newer(window, told));
        let all = known.chain(told.map(|(window, told)| (window, *told)));
        let current = all.filter(|(_, reading)| reading.resets_at.is_none_or(|at| at > now));
        current.map(|(window, reading)| (window.clone(), reading)).collect()
    }

    /// Of what an agent tells, what changes anything by a whole percent, or confirms what is old.
    pub fn news(&self, told: &BTreeMap<String, Reading>, now: Timestamp) -> BTreeMap<String, Reading> {
        let is_news = |window: &str, told: &Reading| {
            let confirmed = self
                .utilization
                .get(window)
                .filter(|known| percent(known.value) == percent(told.value) && is_same_window(known, told));
            confirmed.is_none_or(|known| now.duration_since(known.read_at) >= STALE)
        };
        let is_current = |told: &Reading| told.resets_at.is_none_or(|at| at > now);
        let news = told.iter().filter(|(window, told)| {
            is_current(told) && self.is_newer(window, told) && is_news(window, told)
        });
        news.map(|(window, told)| (window.clone(), *told)).collect()
    }

    /// An agent that idles tells what it heard hours ago, beside one that works on the same account. Within
    /// its window utilisation only grows, so the higher value is the newer one.
    fn is_newer(&self, window: &str, told: &Reading) -> bool {
        let Some(known) = self.utilization.get(window) else { return true };
        match (known.resets_at, told.resets_at) {
            _ if is_same_window(known, told) => percent(told.value) >= percent(known.value),
            (Some(known), Some(told)) => told > known,
            (known, _) => known.is_none(),
        }
    }
}

fn reading(known: &Utilization) -> Reading {
    Reading { value: known.value, resets_at: known.resets_at }
}

fn is_same_window(known: &Utilization, told: &Reading) -> bool {
    match (known.resets_at, told.resets_at) {
        (Some(known), Some(told)) => known.duration_since(told).abs() < SAME_RESET,
        (known, told) => known == told,
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

    fn told(value: f64, resets_at: Option<i64>) -> BTreeMap<String, Reading> {
        [("five_hour".to_owned(), Reading { value, resets_at: resets_at.map(at) })].into()
    }

    /// What is shown and whether it is written down, where 42 % was read a while ago.
    fn after(age: i64, told: &BTreeMap<String, Reading>) -> (Option<f64>, bool) {
        let known = Utilization { value: 0.42, resets_at: Some(at(NOW + 5000)), read_at: at(NOW - age) };
        let state = SubscriptionState {
            utilization: [("five_hour".to_owned(), known)].into(),
            ..SubscriptionState::default()
        };
        let shown = state.windows(told, at(NOW)).get("five_hour").map(|reading| reading.value);
        (shown, !state.news(told, at(NOW)).is_empty())
    }

    #[test]
    fn what_is_told_again_is_written_once_a_minute() {
        let same = Some(NOW + 5000);
        assert_eq!(after(10, &told(0.42, same)), (Some(0.42), false));
        assert_eq!(after(10, &told(0.424, Some(NOW + 5001))), (Some(0.424), false));
        assert_eq!(after(60, &told(0.42, same)), (Some(0.42), true));
        assert_eq!(after(10, &told(0.43, same)), (Some(0.43), true));
    }

    #[test]
    fn what_an_idle_agent_heard_long_ago_changes_nothing() {
        assert_eq!(after(600, &told(0.30, Some(NOW + 5000))), (Some(0.42), false));
        assert_eq!(after(600, &told(0.99, Some(NOW - 10))), (Some(0.42), false));
        assert_eq!(after(600, &told(0.99, Some(NOW + 2000))), (Some(0.42), false));
        assert_eq!(after(600, &told(0.99, None)), (Some(0.42), false));
    }

    #[test]
    fn a_window_that_has_reset_begins_anew() {
        assert_eq!(after(10, &told(0.01, Some(NOW + 18_000))), (Some(0.01), true));
        let none = SubscriptionState::default();
        assert_eq!(none.news(&told(0.5, None), at(NOW)), told(0.5, None));
        assert_eq!(none.windows(&told(0.5, Some(NOW)), at(NOW)), BTreeMap::new());
    }
}
