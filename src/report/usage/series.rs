//! Tokens over time in equal steps: a chart has no gap for a day on which nothing ran.

use std::collections::BTreeMap;

use jiff::civil::Date;
use jiff::{Timestamp, ToSpan as _};

use crate::ledger::{Key, Keys, Query, Tally};

/// In a series of this many days or more, the days before the first run are left out.
const LONG: i32 = 366;
/// Ten years. A day farther from today comes from a wrong clock: it counts in the totals, but is not drawn.
const FARTHEST: i32 = 3660;

/// The first and the last day to show; `None` if there is none.
pub(super) fn days_shown(query: &Query, rows: &BTreeMap<Keys, Tally>, today: Date) -> Option<(Date, Date)> {
    let is_drawn = |day: &Date| (today - *day).get_days().abs() <= FARTHEST;
    let seen = || rows.keys().filter_map(day_of).filter(is_drawn);
    let (earliest, latest) = (seen().min()?, seen().max()?);
    // A row may have tomorrow's date if the clock was set back.
    let since = query.since.unwrap_or(earliest);
    let until = query.until.unwrap_or(today).min(today).max(latest);
    if (until - since).get_days() < LONG { Some((since, until)) } else { Some((since.max(earliest), until)) }
}

/// The day among the keys of a row.
pub(super) fn day_of(keys: &Keys) -> Option<Date> {
    keys.iter().find_map(|key| match key {
        Key::Day(day) => Some(*day),
        _ => None,
    })
}

/// The text among the keys of a row.
pub(super) fn text_of(keys: &Keys) -> Option<&str> {
    keys.iter().find_map(|key| match key {
        Key::Text(text) => Some(text.as_str()),
        _ => None,
    })
}

/// All days from the first to the last.
pub(super) fn each_day((first, last): (Date, Date)) -> impl Iterator<Item = Date> {
    std::iter::successors(Some(first), |day| day.tomorrow().ok()).take_while(move |&day| day <= last)
}

/// Tokens over time, oldest first.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Series {
    /// The time that a value covers: `hour`, `day`, `3 days`.
    pub step: String,
    pub first: String,
    pub last: String,
    pub values: Vec<u64>,
}

impl Series {
    /// Makes a series from the rows of a query by day.
    pub(super) fn by_day(query: &Query, rows: &BTreeMap<Keys, Tally>, today: Date) -> Option<Self> {
        let shown = days_shown(query, rows, today)?;
        let tokens = |day: Date| rows.get(&vec![Key::Day(day)]).map_or(0, |tally| tally.tokens.tokens());
        let form = if shown.0.year() == today.year() { "%b %-d" } else { "%Y-%m-%d" };
        Some(Self {
            step: "day".to_owned(),
            first: shown.0.strftime(form).to_string(),
            last: shown.1.strftime(form).to_string(),
            values: each_day(shown).map(tokens).collect(),
        })
    }

    /// Makes a series from the rows of a query by hour for one day; for today it ends now.
    pub(super) fn by_hour(query: &Query, rows: &BTreeMap<Keys, Tally>, now: Timestamp) -> Option<Self> {
        let begin = query.since?.to_zoned(query.zone.clone()).ok()?.timestamp();
        let end = query.since?.tomorrow().ok()?.to_zoned(query.zone.clone()).ok()?.timestamp();
        let hours: Vec<_> = std::iter::successors(Some(begin), |&hour| hour.checked_add(1.hour()).ok())
            .take_while(|&hour| hour < end && hour <= now)
            .collect();
        let tokens = |&hour: &Timestamp| {
            let within =
                vec![Key::Hour(hour)]..vec![Key::Hour(hour.saturating_add(1.hour()).unwrap_or(hour))];
            rows.range(within).map(|(_, tally)| tally.tokens.tokens()).fold(0, u64::saturating_add)
        };
        let clock = |hour: &Timestamp| hour.to_zoned(query.zone.clone()).strftime("%H:%M").to_string();
        Some(Self {
            step: "hour".to_owned(),
            first: clock(hours.first()?),
            last: clock(hours.last()?),
            values: hours.iter().map(tokens).collect(),
        })
    }

    /// The series with at most `columns` values, each of which may cover several steps.
    pub(super) fn at_most(self, columns: usize) -> Self {
        let width = self.values.len().div_ceil(columns.max(1)).max(1);
        if width == 1 {
            return self;
        }
        let sum = |steps: &[u64]| steps.iter().copied().fold(0, u64::saturating_add);
        let step = format!("{width} {}s", self.step);
        Self { step, values: self.values.chunks(width).map(sum).collect(), ..self }
    }
}

#[cfg(test)]
mod tests {
    use jiff::civil::date;
    use jiff::tz::TimeZone;

    use super::*;
    use crate::pool::TokenCount;

    fn rows(keys: impl IntoIterator<Item = (Key, u64)>) -> BTreeMap<Keys, Tally> {
        let tally = |tokens| Tally {
            tokens: TokenCount { output_tokens: tokens, ..TokenCount::default() },
            ..Tally::default()
        };
        keys.into_iter().map(|(key, tokens)| (vec![key], tally(tokens))).collect()
    }

    #[test]
    fn days_without_a_run_are_part_of_the_series() {
        let rows = rows([(Key::Day(date(2026, 11, 3)), 5), (Key::Day(date(2026, 11, 5)), 7)]);
        let query = Query { since: Some(date(2026, 11, 2)), ..Query::all(TimeZone::UTC) };
        let series = Series::by_day(&query, &rows, date(2026, 11, 6)).unwrap();
        assert_eq!((series.first.as_str(), series.last.as_str()), ("Nov 2", "Nov 6"));
        assert_eq!(series.values, [0, 5, 0, 7, 0]);
        let grouped = series.at_most(2);
        assert_eq!((grouped.step.as_str(), grouped.values), ("3 days", vec![5, 7]));
        let distant = Query { since: Some(date(1, 1, 1)), ..Query::all(TimeZone::UTC) };
        let series = Series::by_day(&distant, &rows, date(2026, 11, 5)).unwrap();
        assert_eq!(series.values, [5, 0, 7], "2000 empty years are not shown");
        assert_eq!(Series::by_day(&query, &BTreeMap::new(), date(2026, 11, 6)), None);
    }

    #[test]
    fn a_day_of_a_wrong_clock_does_not_stretch_the_series() {
        let days = [date(-9999, 1, 2), date(1970, 1, 1), date(2026, 11, 5), date(9999, 12, 30)];
        let rows = rows(days.map(|day| (Key::Day(day), 5)));
        let query = Query::all(TimeZone::UTC);
        let series = Series::by_day(&query, &rows, date(2026, 11, 6)).unwrap();
        assert_eq!(series.values, [5, 0]);
        assert_eq!(days_shown(&query, &rows, date(2050, 1, 1)), None);
    }

    #[test]
    fn a_day_on_which_the_clock_is_set_back_has_25_hours() {
        let zone = TimeZone::get("Europe/Berlin").unwrap();
        let query = |day| Query { since: Some(day), ..Query::all(zone.clone()) };
        let at = |text: &str| text.parse::<Timestamp>().unwrap();
        let rows =
            rows([(Key::Hour(at("2026-10-25T00:00:00Z")), 1), (Key::Hour(at("2026-10-25T01:00:00Z")), 2)]);
        let now = at("2026-11-22T00:00:00Z");
        let back = Series::by_hour(&query(date(2026, 10, 25)), &rows, now).unwrap();
        assert_eq!((back.values.len(), &back.values[..5]), (25, &[0, 0, 1, 2, 0][..]));
        assert_eq!((back.first.as_str(), back.last.as_str()), ("00:00", "23:00"));
        let until_now =
            Series::by_hour(&query(date(2026, 10, 25)), &rows, at("2026-10-25T00:30:00Z")).unwrap();
        assert_eq!((until_now.values, until_now.last.as_str()), (vec![0, 0, 1], "02:00"));
    }
}
