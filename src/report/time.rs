//! Times, durations and counts as text for the user.

use jiff::{SignedDuration, Timestamp, Zoned};

/// `13:00 (1h 12m)`, with the date if it is not today.
pub fn until(at: Timestamp, now: &Zoned) -> String {
    format!("{} ({})", clock(at, now), distance(at, now.timestamp()))
}

/// `13:00`, with the date if it is not today.
pub(super) fn clock(at: Timestamp, now: &Zoned) -> String {
    let local = at.to_zoned(now.time_zone().clone());
    let form = match local.date() {
        date if date == now.date() => "%H:%M",
        date if date.year() == now.date().year() => "%b %-d %H:%M",
        _ => "%Y-%m-%d %H:%M",
    };
    local.strftime(form).to_string()
}

/// The time since `since`: `1h 12m`.
pub(super) fn age(since: Timestamp, now: &Zoned) -> String {
    distance(now.timestamp(), since)
}

/// `2026-11-22 13:00 (1h 12m)`: always with the date, for a record of any age.
pub(super) fn dated(at: Timestamp, now: &Zoned) -> String {
    let local = at.to_zoned(now.time_zone().clone()).strftime("%Y-%m-%d %H:%M").to_string();
    if at < now.timestamp() {
        return format!("{local} (past)");
    }
    format!("{local} ({})", distance(at, now.timestamp()))
}

/// The time from `now` to `at`.
fn distance(at: Timestamp, now: Timestamp) -> String {
    short(at.duration_since(now))
}

/// `45s`, `1h 12m`, `2d 21h`: at most two units, rounded up so that it is never too short.
pub fn short(duration: SignedDuration) -> String {
    let seconds = duration.as_secs().max(0);
    let minutes = seconds.saturating_add(59) / 60;
    match (minutes / 1440, minutes / 60 % 24, minutes % 60) {
        _ if seconds < 60 => format!("{seconds}s"),
        (0, 0, minutes) => format!("{minutes}m"),
        (0, hours, 0) => format!("{hours}h"),
        (0, hours, minutes) => format!("{hours}h {minutes}m"),
        (days, 0, _) => format!("{days}d"),
        (days, hours, _) => format!("{days}d {hours}h"),
    }
}

/// A number with thousands separators: `45,230`.
pub(super) fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (at, digit) in digits.char_indices() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// `1 run`, `2 runs`.
pub fn counted(number: u64, thing: &str) -> String {
    let plural = if number == 1 { "" } else { "s" };
    format!("{} {thing}{plural}", grouped(number))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_deadline_has_the_clock_time_and_the_time_left() {
        let now: Zoned = "2026-11-22T11:48:00[Europe/Berlin]".parse().unwrap();
        let text = |at: &str| until(at.parse::<Zoned>().unwrap().timestamp(), &now);
        assert_eq!(text("2026-11-22T13:00:00[Europe/Berlin]"), "13:00 (1h 12m)");
        assert_eq!(text("2026-11-22T11:48:45[Europe/Berlin]"), "11:48 (45s)");
        assert_eq!(text("2026-11-25T10:00:00[Europe/Berlin]"), "Nov 25 10:00 (2d 22h)");
        assert_eq!(text("2027-01-02T10:00:00[Europe/Berlin]"), "2027-01-02 10:00 (40d 22h)");
    }

    #[test]
    fn numbers_have_thousands_separators() {
        assert_eq!(
            [0, 999, 1000, 45230, 1_234_567].map(grouped),
            ["0", "999", "1,000", "45,230", "1,234,567"]
        );
    }
}
