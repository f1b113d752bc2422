//! Properties that hold for any time, zone, duration and text.

use jiff::civil::{DateTime, time};
use jiff::tz::{AmbiguousOffset, TimeZone};
use jiff::{SignedDuration, Timestamp, ToSpan, Unit, Zoned};
use proptest::prelude::{
    Strategy, any, prop, prop_assert, prop_assert_eq, prop_assume, prop_oneof, proptest,
};
use proptest::sample::select;

use crate::agent::reset::{FARTHEST, parse};

const ZONES: [&str; 8] = [
    "UTC",
    "Europe/Berlin",
    "America/New_York",
    "Asia/Jerusalem",
    "Asia/Kolkata",
    "America/St_Johns",
    "Australia/Lord_Howe",
    "Pacific/Kiritimati",
];
/// Parts of texts that the parser understands.
const PIECES: &str = "resets at in and Feb December 29th 31 Mon 2026 -9999 9999 3pm 11:59pm 00:00 : . - + \
    (UTC) ( ) GMT+14 EST days h m s ms weeks ago P1D T Z · ١ 9223372036854775807 1e9 0.000000001";
const FIRST: i64 = 1_577_836_800; // 2020-01-01
const LAST: i64 = 2_051_222_400; // 2035-01-01

fn zone() -> impl Strategy<Value = TimeZone> {
    select(&ZONES[..]).prop_map(|name| TimeZone::get(name).unwrap())
}

/// Any second in fifteen years.
fn now() -> impl Strategy<Value = Zoned> {
    (FIRST..LAST, zone()).prop_map(|(second, zone)| Timestamp::from_second(second).unwrap().to_zoned(zone))
}

fn is_in_gap(date_and_time: DateTime, zone: &TimeZone) -> bool {
    matches!(zone.to_ambiguous_timestamp(date_and_time).offset(), AmbiguousOffset::Gap { .. })
}

fn is_in_fold(at: &Zoned) -> bool {
    let ambiguous = at.time_zone().to_ambiguous_timestamp(at.datetime());
    matches!(ambiguous.offset(), AmbiguousOffset::Fold { .. })
}

proptest! {
    /// In the zone of the text, the result shows the time in the text, and no earlier instant does.
    #[test]
    fn any_time_of_day_is_its_next_occurrence(
        now in now(), zone in zone(), hour in 0i8..24, minute in 0i8..60,
        format in select(&["%-I:%M%P", "%-I:%M %p", "%H:%M"][..]),
    ) {
        let clock = time(hour, minute, 0, 0);
        let name = zone.iana_name().unwrap();
        let at = parse(&format!("{} ({name})", clock.strftime(format)), &now).unwrap().to_zoned(zone.clone());
        let wait = at.duration_since(&now);
        prop_assert!(!wait.is_negative() && wait <= SignedDuration::from_hours(25), "{at} from {now}");
        if (&at - 1.minute()).time() == clock && wait < SignedDuration::from_mins(1) {
            return Ok(());
        }
        prop_assert!(at.time() == clock || is_in_gap(at.date().to_datetime(clock), &zone), "{at}");
        let mut earlier = now.with_time_zone(zone).round(Unit::Minute).unwrap();
        while earlier < at {
            prop_assert!(earlier < now || earlier.time() != clock, "{earlier} is before {at}");
            earlier = &earlier + 1.minute();
        }
    }

    /// Skips dates on which the time occurs twice, because a date means the first occurrence.
    #[test]
    fn any_time_that_has_just_passed_is_extended_by_a_minute(at in now(), late in 1i64..=60) {
        let at = at.with().second(0).build().unwrap();
        for format in ["%-I:%M%P", "%b %-d at %-I:%M%P", "%a %H:%M"] {
            if format.contains("%b") && is_in_fold(&at) {
                continue;
            }
            let text = at.strftime(format).to_string();
            prop_assert_eq!(parse(&text, &(&at + late.seconds())), Some((&at + 1.minute()).timestamp()));
        }
    }

    #[test]
    fn any_date_ahead_is_read_back(
        now in now(), zone in zone(), wait in 60i64..180 * 86_400,
        date in select(&["%b %-d,", "%b %-d at", "%B %-d"][..]),
        clock in select(&["%-I:%M%P", "%-I:%M %p", "%H:%M"][..]),
    ) {
        let at = (&now + wait.seconds()).with_time_zone(zone).with().second(0).build().unwrap();
        prop_assume!(!is_in_fold(&at));
        let (format, name) = (format!("{date} {clock}"), at.time_zone().iana_name().unwrap());
        let text = format!("resets {} ({name})", at.strftime(&format));
        prop_assert_eq!(parse(&text, &now), Some(at.timestamp()), "{}", text);
    }

    #[test]
    fn any_local_date_with_its_year_is_read_back(now in now(), wait in 60i64..300 * 86_400) {
        let at = (&now + wait.seconds()).with().second(0).build().unwrap();
        prop_assume!(!is_in_fold(&at));
        let ordinal = match at.day() {
            1 | 21 | 31 => "st",
            2 | 22 => "nd",
            3 | 23 => "rd",
            _ => "th",
        };
        let text = at.strftime(&format!("try again at %b %-d{ordinal}, %Y %-I:%M %p.")).to_string();
        prop_assert_eq!(parse(&text, &now), Some(at.timestamp()), "{}", text);
    }

    #[test]
    fn any_timestamp_is_read_back(now in now(), wait in 0i64..366 * 86_400 * 1000) {
        let at = now.timestamp() + SignedDuration::from_millis(wait);
        prop_assert_eq!(parse(&at.as_millisecond().to_string(), &now), Some(at));
        prop_assert_eq!(parse(&at.to_string(), &now), Some(at));
        let whole = Timestamp::from_second(at.as_second()).unwrap();
        prop_assert_eq!(parse(&whole.as_second().to_string(), &now), Some(whole));
    }

    #[test]
    fn any_duration_is_read_back(
        now in now(), days in 0i64..300, hours in 0i64..24, minutes in 0i64..60, seconds in 0i64..60,
        nano in 0u32..1000,
    ) {
        let whole = ((days * 24 + hours) * 60 + minutes) * 60 + seconds;
        let at = now.timestamp() + SignedDuration::from_secs(whole);
        for text in [
            format!("{days} days {hours} hours {minutes} minutes {seconds} seconds"),
            format!("try again in {days} days, {hours} hours, {minutes} minutes and {seconds} seconds."),
            format!("{days}d {hours}h {minutes}m {seconds}s"),
            format!("{days}d{hours}h{minutes}m{seconds}s"),
            format!("{whole}s"),
        ] {
            prop_assert_eq!(parse(&text, &now), Some(at), "{}", text);
        }
        let partial = SignedDuration::from_secs(i64::from(nano > 0));
        prop_assert_eq!(parse(&format!("{whole}.{nano:09}s"), &now), Some(at + partial));
    }

    #[test]
    fn no_text_causes_a_panic(text in any::<String>(), now in now()) {
        let _ = parse(&text, &now);
    }

    /// Parts of understood texts, in any order.
    #[test]
    fn no_mixture_of_parts_causes_a_panic_or_an_absurd_time(
        pieces in prop::collection::vec(piece(), 0..8),
        glue in select(&["", " ", ", "][..]),
        now in prop_oneof![now(), select(&[Timestamp::MIN, Timestamp::MAX][..]).prop_map(in_utc)],
    ) {
        if let Some(at) = parse(&pieces.join(glue), &now) {
            prop_assert!(at.duration_since(now.timestamp()) <= FARTHEST);
        }
    }
}

fn in_utc(at: Timestamp) -> Zoned {
    at.to_zoned(TimeZone::UTC)
}

fn piece() -> impl Strategy<Value = String> {
    let words: Vec<&str> = PIECES.split(' ').collect();
    prop_oneof![select(words).prop_map(str::to_owned), any::<u64>().prop_map(|number| number.to_string())]
}
