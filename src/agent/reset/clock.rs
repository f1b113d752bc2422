//! Parses times of day, with or without a date.

use jiff::civil::{Date, Time, Weekday};
use jiff::{SignedDuration, Timestamp, ToSpan, Zoned};

use super::first_match;

/// A time that passed at most this long ago means today, not tomorrow: the agent wrote it before it passed.
const GRACE: SignedDuration = SignedDuration::from_mins(1);
/// A date without a year means the nearest such date.
const HALF_A_YEAR: SignedDuration = SignedDuration::from_hours(183 * 24);
const CLOCKS: [&str; 5] = ["%I%p", "%I:%M%p", "%I:%M:%S%p", "%H:%M", "%H:%M:%S"];
const DATES: [&str; 7] = ["%b %d", "%B %d", "%b %d %Y", "%B %d %Y", "%Y-%m-%d", "%a", "%A"];
const ORDINALS: [&str; 4] = ["st", "nd", "rd", "th"];

/// The day, as precisely as the text names it.
#[derive(Debug, Clone, Copy)]
enum Day {
    Any,
    Week(Weekday),
    Year { month: i8, day: i8 },
    Exact(Date),
}

/// Parses `10am`, `feb 11`, `apr 23 at 4pm`, `apr 28th, 2026 10:03 pm` or `mon 3pm` in the zone of `now`. A
/// minute is added to a time that passed within the last minute.
pub(super) fn parse(text: &str, now: &Zoned) -> Option<Timestamp> {
    let (day, time) = read(text)?;
    let earliest = earliest(day, now)?;
    let at = candidates(day, time, now).into_iter().find(|&at| at >= earliest)?;
    let passed = now.timestamp().duration_since(at);
    let just_passed = passed.is_positive() && passed <= GRACE;
    if just_passed { at.checked_add(GRACE).ok() } else { Some(at) }
}

/// Splits a text into date and time. The date comes first, and either part may be missing.
fn read(text: &str) -> Option<(Day, Time)> {
    let words: Vec<&str> =
        text.split([' ', ',']).filter(|word| !["", "at"].contains(word)).map(cardinal).collect();
    (0..=words.len()).find_map(|middle| match words.split_at(middle) {
        ([], []) => None,
        ([], clock) => Some((Day::Any, time_of(clock)?)),
        (date, []) => Some((day_of(date)?, Time::midnight())),
        (date, clock) => Some((day_of(date)?, time_of(clock)?)),
    })
}

/// Returns `28` for `28th`.
fn cardinal(word: &str) -> &str {
    let number = ORDINALS.iter().find_map(|ending| word.strip_suffix(ending));
    number.filter(|number| number.parse::<u8>().is_ok()).unwrap_or(word)
}

fn time_of(words: &[&str]) -> Option<Time> {
    first_match(&CLOCKS, &words.concat())?.to_time().ok()
}

fn day_of(words: &[&str]) -> Option<Day> {
    let parsed = first_match(&DATES, &words.join(" "))?;
    match (parsed.year(), parsed.month(), parsed.day(), parsed.weekday()) {
        // `feb 11 10` is a time without `am`, not the year 10.
        (Some(year), ..) if year < 2000 => None,
        (Some(_), ..) => parsed.to_date().ok().map(Day::Exact),
        (None, Some(month), Some(day), _) => Some(Day::Year { month, day }),
        (None, _, _, weekday) => weekday.map(Day::Week),
    }
}

/// Returns the earliest instant that a day can mean. A reset is in the future, but an exact date may be in
/// the past.
fn earliest(day: Day, now: &Zoned) -> Option<Timestamp> {
    match day {
        Day::Any | Day::Week(_) => now.timestamp().checked_sub(GRACE).ok(),
        Day::Year { .. } => Some(now.timestamp().checked_sub(HALF_A_YEAR).ok()?),
        Day::Exact(_) => Some(Timestamp::MIN),
    }
}

/// Returns the instants around now that match the day and time, in order. If the clocks go back and a time
/// occurs twice, both instants are included. If the clocks go forward and skip a time, the instant is later
/// by the skipped amount.
fn candidates(day: Day, time: Time, now: &Zoned) -> Vec<Timestamp> {
    let instants = |date: Date| {
        let at = now.time_zone().to_ambiguous_timestamp(date.to_datetime(time));
        [at.compatible(), at.later()].into_iter().flatten()
    };
    dates(day, now.date()).into_iter().flat_map(instants).collect()
}

fn dates(day: Day, today: Date) -> Vec<Date> {
    let around = |last: i64| (-1..=last).filter_map(move |days| today.checked_add(days.days()).ok());
    match day {
        Day::Any => around(1).collect(),
        Day::Week(weekday) => around(7).filter(|date| date.weekday() == weekday).collect(),
        Day::Year { month, day } => {
            (-1..=1).filter_map(|years| Date::new(today.year() + years, month, day).ok()).collect()
        }
        Day::Exact(date) => vec![date],
    }
}
