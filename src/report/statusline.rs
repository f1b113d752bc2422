//! kage's segment of an agent's status line.

use std::borrow::Cow;
use std::collections::BTreeMap;

use jiff::{Timestamp, Zoned};

use super::time::{clock, short};
use crate::pool::{Name, Reading, Status, Window, family_name};
use crate::text::one_line;

/// The input of the segment: the subscription that the agent runs on.
pub struct Segment<'a> {
    pub subscription: &'a Name,
    pub windows: &'a BTreeMap<String, Reading>,
    pub status: Status,
    /// From this utilization (0.0-1.0) on, a window is yellow if `color` is set.
    pub near_limit: f64,
    pub color: bool,
}

impl Segment<'_> {
    /// `work · 5h 42% (1h 12m) · 7d 17% (3d)`. Agents use Unicode in their status line in every locale, so
    /// kage does too.
    pub fn line(&self, now: &Zoned) -> String {
        let mut windows: Vec<_> = self.windows.iter().collect();
        windows.sort_by_key(|(window, _)| order(window));
        let mut parts = vec![self.subscription.to_string()];
        parts.extend(
            windows.into_iter().map(|(window, reading)| self.window(window, reading, now.timestamp())),
        );
        parts.extend(status(self.status, now));
        parts.join(" · ")
    }

    fn window(&self, window: &str, reading: &Reading, now: Timestamp) -> String {
        // The name comes from a record of the agent.
        let word = one_line(&word(window));
        let left = reading.resets_at.map(|at| format!(" ({})", short(at.duration_since(now))));
        let text = format!("{word} {:.0}%{}", reading.value * 100.0, left.unwrap_or_default());
        if self.color && reading.value >= self.near_limit {
            format!("\u{1b}[33m{text}\u{1b}[0m")
        } else {
            text
        }
    }
}

/// The sort key of a window: short windows first, then the others by name.
pub(super) fn order(window: &str) -> u8 {
    match window {
        "five_hour" => 0,
        "seven_day" => 1,
        _ => 2,
    }
}

/// The short name of a window: `5h`, `7d`, `7d Opus`.
pub(super) fn word(window: &str) -> Cow<'_, str> {
    let plan = |name: &str| match name {
        "five_hour" => Some("5h"),
        "seven_day" => Some("7d"),
        _ => None,
    };
    if let Some(word) = plan(window) {
        return word.into();
    }
    let of_model = Window::model_of(window).and_then(|model| {
        let plan = plan(window.strip_suffix(model)?.trim_end_matches('_'))?;
        Some(format!("{plan} {}", family_name(model)))
    });
    of_model.map_or(window.into(), Into::into)
}

fn status(status: Status, now: &Zoned) -> Option<String> {
    match status {
        Status::Active => None,
        Status::RateLimited { until } | Status::Exhausted { until } => {
            Some(format!("limited until {}", clock(until, now)))
        }
        Status::Disabled | Status::Unhealthy { .. } => Some(status.word().to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(readings: &[(&str, f64, Option<&str>)], status: Status, color: bool) -> String {
        let at = |time: &str| time.parse::<Timestamp>().unwrap();
        let reading = |value, resets_at: Option<&str>| Reading { value, resets_at: resets_at.map(at) };
        let windows = readings.iter().map(|&(window, value, at)| (window.to_owned(), reading(value, at)));
        let segment = Segment {
            subscription: &"work".parse().unwrap(),
            windows: &windows.collect(),
            status,
            near_limit: 0.9,
            color,
        };
        segment.line(&"2026-11-22T11:48:00[UTC]".parse().unwrap())
    }

    #[test]
    fn the_segment_shows_the_windows_and_the_time_until_their_reset() {
        let readings = [
            ("43200_minutes", 0.9, None),
            ("seven_day", 0.17, Some("2026-11-25T11:48:00Z")),
            ("five_hour", 0.424, Some("2026-11-22T13:00:00Z")),
        ];
        let expected = "work · 5h 42% (1h 12m) · 7d 17% (3d) · 43200_minutes 90%";
        assert_eq!(line(&readings, Status::Active, false), expected);
        assert_eq!(line(&[], Status::Active, true), "work");
    }

    #[test]
    fn a_status_other_than_active_is_shown() {
        let until = "2026-11-22T13:00:00Z".parse().unwrap();
        let shown = |status| line(&[], status, true);
        assert_eq!(shown(Status::RateLimited { until }), "work · limited until 13:00");
        assert_eq!(shown(Status::Exhausted { until }), "work · limited until 13:00");
        assert_eq!(shown(Status::Unhealthy { until }), "work · unhealthy");
        assert_eq!(shown(Status::Disabled), "work · disabled");
    }

    #[test]
    fn a_window_near_its_limit_is_yellow() {
        let readings = [("five_hour", 0.9, None), ("seven_day", 0.89, None)];
        assert_eq!(line(&readings, Status::Active, true), "work · \u{1b}[33m5h 90%\u{1b}[0m · 7d 89%");
        assert_eq!(line(&readings, Status::Active, false), "work · 5h 90% · 7d 89%");
    }
}
