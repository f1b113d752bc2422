//! kage's part of an agent's status line.

use std::collections::BTreeMap;

use jiff::{Timestamp, Zoned};

use super::time::{clock, short};
use crate::pool::{Name, Reading, Status};
use crate::text::one_line;

/// What the line tells of the subscription that an agent runs on.
pub struct Segment<'a> {
    pub subscription: &'a Name,
    pub windows: &'a BTreeMap<String, Reading>,
    pub status: Status,
    /// From this utilisation (0.0-1.0) on a window is painted, where colour is wanted.
    pub near_limit: f64,
    pub colour: bool,
}

impl Segment<'_> {
    /// `work · 5h 42% (1h 12m) · 7d 17% (3d)`. Agents draw their line with more than ASCII whatever the locale
    /// says, and so does this.
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
        // As a record of the agent's has it.
        let word = one_line(word(window));
        let left = reading.resets_at.map(|at| format!(" ({})", short(at.duration_since(now))));
        let text = format!("{word} {:.0}%{}", reading.value * 100.0, left.unwrap_or_default());
        if self.colour && reading.value >= self.near_limit {
            format!("\u{1b}[33m{text}\u{1b}[0m")
        } else {
            text
        }
    }
}

/// The short windows first; the rest by their names.
pub(super) fn order(window: &str) -> u8 {
    match window {
        "five_hour" => 0,
        "seven_day" => 1,
        _ => 2,
    }
}

pub(super) fn word(window: &str) -> &str {
    match window {
        "five_hour" => "5h",
        "seven_day" => "7d",
        other => other,
    }
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

    fn line(readings: &[(&str, f64, Option<&str>)], status: Status, colour: bool) -> String {
        let at = |time: &str| time.parse::<Timestamp>().unwrap();
        let reading = |value, resets_at: Option<&str>| Reading { value, resets_at: resets_at.map(at) };
        let windows = readings.iter().map(|&(window, value, at)| (window.to_owned(), reading(value, at)));
        let segment = Segment {
            subscription: &"work".parse().unwrap(),
            windows: &windows.collect(),
            status,
            near_limit: 0.9,
            colour,
        };
        segment.line(&"2026-11-22T11:48:00[UTC]".parse().unwrap())
    }

    #[test]
    fn it_tells_the_windows_and_the_time_to_their_reset() {
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
    fn a_status_that_is_not_active_is_told() {
        let until = "2026-11-22T13:00:00Z".parse().unwrap();
        let told = |status| line(&[], status, true);
        assert_eq!(told(Status::RateLimited { until }), "work · limited until 13:00");
        assert_eq!(told(Status::Exhausted { until }), "work · limited until 13:00");
        assert_eq!(told(Status::Unhealthy { until }), "work · unhealthy");
        assert_eq!(told(Status::Disabled), "work · disabled");
    }

    #[test]
    fn a_window_near_its_limit_is_yellow() {
        let readings = [("five_hour", 0.9, None), ("seven_day", 0.89, None)];
        assert_eq!(line(&readings, Status::Active, true), "work · \u{1b}[33m5h 90%\u{1b}[0m · 7d 89%");
        assert_eq!(line(&readings, Status::Active, false), "work · 5h 90% · 7d 89%");
    }
}
