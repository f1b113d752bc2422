//! Finds time zones by the names that agents print.

use jiff::tz::{Offset, TimeZone};
use jiff::{SignedDuration, Timestamp, Zoned};

use super::first_match;

/// Returns the zone for a lower-case name: `utc`, `gmt+5:30`, the current abbreviation of the local zone
/// (`pdt`), or a name in the system's time zone database.
pub(super) fn find(name: &str, now: &Zoned) -> Option<TimeZone> {
    fixed(name).or_else(|| local(name, now)).or_else(|| known(name))
}

/// Parses `gmt+5:30`, which is JavaScript's name for most zones outside America.
fn fixed(name: &str) -> Option<TimeZone> {
    let offset = name.strip_prefix("gmt").or_else(|| name.strip_prefix("utc"))?;
    if offset.is_empty() {
        return Some(TimeZone::UTC);
    }
    let east = offset.strip_prefix('+');
    let distance = first_match(&["%H", "%H:%M"], east.or_else(|| offset.strip_prefix('-'))?)?;
    let minutes = i32::from(distance.hour()?) * 60 + distance.minute().map_or(0, i32::from);
    let sign = if east.is_some() { 1 } else { -1 };
    Offset::from_seconds(sign * minutes * 60).ok().map(TimeZone::fixed)
}

/// Resolves an abbreviation of the local zone. Abbreviations are ambiguous (`ist` has three meanings), but
/// agents print the one of their own zone. An abbreviation also distinguishes the two occurrences of an hour
/// when the clocks go back.
fn local(name: &str, now: &Zoned) -> Option<TimeZone> {
    let zone = now.time_zone();
    let offset_at = |at: Timestamp| {
        let there = zone.to_offset_info(at);
        there.abbreviation().eq_ignore_ascii_case(name).then(|| TimeZone::fixed(there.offset()))
    };
    let tomorrow = now.timestamp().checked_add(SignedDuration::from_hours(24)).ok()?;
    offset_at(now.timestamp()).or_else(|| offset_at(tomorrow))
}

fn known(name: &str) -> Option<TimeZone> {
    // jiff also accepts the name `Etc/Unknown`, and treats it as UTC.
    TimeZone::get(name).ok().filter(|zone| !zone.is_unknown())
}
