//! The columns of the two charts over time, with a part for each subscription.

use std::collections::BTreeMap;

use jiff::ToSpan as _;
use jiff::civil::{Date, Weekday};

use super::chart::{COLORS, Step};
use crate::ledger::{Keys, Query, Tally};
use crate::report::usage::series::{day_of, days_shown, each_day, text_of};
use crate::text::one_line;

/// The maximum number of columns: more would be too thin to distinguish.
const MOST_STEPS: usize = 120;

/// The time that a column covers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Interval {
    Day,
    Week,
    Month,
}

impl Interval {
    fn of(days: usize) -> Self {
        match days {
            0..=MOST_STEPS => Self::Day,
            _ if days / 7 < MOST_STEPS => Self::Week,
            _ => Self::Month,
        }
    }

    pub(super) fn word(self) -> &'static str {
        match self {
            Self::Day => "day",
            Self::Week => "week",
            Self::Month => "month",
        }
    }

    /// The first day of the column that contains `day`.
    fn begin(self, day: Date) -> Date {
        match self {
            Self::Day => day,
            Self::Week => {
                let since_monday = day.weekday().since(Weekday::Monday);
                day.saturating_sub(i64::from(since_monday).days())
            }
            Self::Month => day.first_of_month(),
        }
    }

    fn date(self, day: Date) -> String {
        day.strftime(if self == Self::Month { "%b %Y" } else { "%-d %b" }).to_string()
    }

    fn in_full(self, day: Date) -> String {
        match self {
            Self::Day => day.strftime("%A, %-d %B %Y").to_string(),
            Self::Week => day.strftime("Week of %-d %B %Y").to_string(),
            Self::Month => day.strftime("%B %Y").to_string(),
        }
    }
}

/// The rows of a query by day and subscription, ready to be drawn.
pub(super) struct OverTime<'a> {
    rows: &'a BTreeMap<Keys, Tally>,
    /// Sorted by tokens, most first. The index of a subscription is its color.
    pub subscriptions: Vec<&'a str>,
    pub days: Option<(Date, Date)>,
    pub interval: Interval,
}

impl<'a> OverTime<'a> {
    pub(super) fn new(query: &Query, rows: &'a BTreeMap<Keys, Tally>, today: Date) -> Self {
        let mut tokens = BTreeMap::<&str, u64>::new();
        for (keys, tally) in rows {
            let sum = tokens.entry(text_of(keys).unwrap_or_default()).or_default();
            *sum = sum.saturating_add(tally.tokens.tokens());
        }
        let mut subscriptions: Vec<_> = tokens.keys().copied().collect();
        subscriptions.sort_by_key(|name| (std::cmp::Reverse(tokens[name]), *name));
        let days = days_shown(query, rows, today);
        let interval = Interval::of(days.map_or(0, |days| each_day(days).count()));
        Self { rows, subscriptions, days, interval }
    }

    /// The color of a subscription; the color of `others` if there are more subscriptions than colors.
    pub(super) fn color(&self, name: &str) -> usize {
        self.subscriptions.iter().position(|known| *known == name).unwrap_or(COLORS).min(COLORS)
    }

    /// The names for the legend, in the order of the parts.
    pub(super) fn legend(&self) -> Vec<String> {
        let named = self.subscriptions.iter().take(COLORS).map(|name| one_line(name));
        let rest = self.subscriptions.len().saturating_sub(COLORS);
        named.chain((rest > 0).then(|| format!("{rest} others"))).collect()
    }

    /// One column for each day, week or month, with the numbers that `of` returns.
    pub(super) fn steps(&self, of: impl Fn(&Tally) -> u64, amount: impl Fn(u64) -> String) -> Vec<Step> {
        let Some(days) = self.days else { return Vec::new() };
        let legend = self.legend();
        let none = || vec![0_u64; legend.len()];
        let mut columns: BTreeMap<Date, Vec<u64>> =
            each_day(days).map(|day| (self.interval.begin(day), none())).collect();
        for (keys, tally) in self.rows {
            let (Some(day), Some(name)) = (day_of(keys), text_of(keys)) else { continue };
            if !(days.0..=days.1).contains(&day) {
                continue;
            }
            let parts = columns.entry(self.interval.begin(day)).or_insert_with(none);
            if let Some(part) = parts.get_mut(self.color(name)) {
                *part = part.saturating_add(of(tally));
            }
        }
        let step = |(day, parts): (Date, Vec<u64>)| {
            let named = legend.iter().zip(&parts).filter(|(_, value)| **value > 0);
            let lines = named.map(|(name, &value)| format!("\n{name}: {}", amount(value)));
            let tooltip = self.interval.in_full(day) + &lines.collect::<String>();
            Step { date: self.interval.date(day), tooltip, parts }
        };
        columns.into_iter().map(step).collect()
    }
}

#[cfg(test)]
mod tests {
    use jiff::civil::date;
    use jiff::tz::TimeZone;

    use super::*;
    use crate::ledger::Key;
    use crate::pool::TokenCount;

    fn rows(cells: &[(Date, &str, u64)]) -> BTreeMap<Keys, Tally> {
        let row = |&(day, name, tokens): &(Date, &str, u64)| {
            let tokens = TokenCount { input_tokens: tokens, ..TokenCount::default() };
            (vec![Key::Day(day), Key::Text(name.into())], Tally { tokens, ..Tally::default() })
        };
        cells.iter().map(row).collect()
    }

    fn steps(rows: &BTreeMap<Keys, Tally>, today: Date) -> (Vec<String>, Vec<Step>) {
        let over_time = OverTime::new(&Query::all(TimeZone::UTC), rows, today);
        let steps = over_time.steps(|tally| tally.tokens.tokens(), |value| value.to_string());
        (over_time.legend(), steps)
    }

    #[test]
    fn the_subscription_with_most_tokens_comes_first_and_every_day_has_a_column() {
        let (first, third) = (date(2026, 11, 1), date(2026, 11, 3));
        let rows = rows(&[(first, "a", 1), (first, "b", 2), (third, "b", 3)]);
        let (legend, steps) = steps(&rows, third);
        assert_eq!(legend, ["b", "a"]);
        let parts: Vec<_> = steps.iter().map(|step| (step.date.as_str(), &step.parts[..])).collect();
        assert_eq!(parts, [("1 Nov", &[2, 1][..]), ("2 Nov", &[0, 0]), ("3 Nov", &[3, 0])]);
        assert_eq!(steps[0].tooltip, "Sunday, 1 November 2026\nb: 2\na: 1");
    }

    #[test]
    fn subscriptions_after_the_eighth_are_summed_up_as_others() {
        let day = date(2026, 11, 1);
        let names: Vec<_> = (0..11).map(|at| format!("n{at:02}")).collect();
        let cells: Vec<_> = names.iter().map(|name| (day, name.as_str(), 5)).collect();
        let (legend, steps) = steps(&rows(&cells), day);
        assert_eq!((legend.len(), legend[8].as_str()), (9, "3 others"));
        assert_eq!(steps[0].parts, [5, 5, 5, 5, 5, 5, 5, 5, 15]);
    }

    #[test]
    fn many_days_become_weeks_and_many_weeks_become_months() {
        let last = date(2026, 11, 23);
        let since = |first| steps(&rows(&[(first, "a", 1), (last, "a", 2)]), last).1;
        let weeks = since(date(2026, 7, 1));
        assert_eq!((weeks.len(), weeks[0].tooltip.as_str()), (22, "Week of 29 June 2026\na: 1"));
        let months = since(date(2023, 1, 31));
        assert_eq!((months.len(), months[0].date.as_str()), (47, "Jan 2023"));
        assert_eq!(since(date(-9999, 1, 2)).len(), 1, "a day of a wrong clock is not drawn");
    }
}
