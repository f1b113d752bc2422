//! Examples of every format; `laws` has properties that hold for all of them.

mod laws;

use jiff::ToSpan;
use jiff::civil::{Date, DateTime};
use jiff::tz::TimeZone;

use super::*;

/// Returns the parsed reset in the zone of `now`, without the zone's name.
fn answer(text: &str, now: &str) -> Option<String> {
    let now: Zoned = now.parse().unwrap();
    parse(text, &now).map(|at| now.time_zone().to_datetime(at).to_string())
}

/// Checks each text against the expected reset; an empty string means none.
fn check(now: &str, table: &[(&str, &str)]) {
    for (text, expected) in table {
        assert_eq!(answer(text, now).unwrap_or_default(), *expected, "{text:?} at {now}");
    }
}

#[test]
fn a_time_of_day_is_its_next_occurrence() {
    check(
        "2026-11-22T11:48:00+01:00[Europe/Berlin]",
        &[
            ("3pm", "2026-11-22T15:00:00"),
            ("3:05pm", "2026-11-22T15:05:00"),
            ("3:05 PM", "2026-11-22T15:05:00"),
            ("3:05\u{202f}PM", "2026-11-22T15:05:00"),
            ("15:00", "2026-11-22T15:00:00"),
            ("11:48am", "2026-11-22T11:48:00"),
            ("11:30", "2026-11-23T11:30:00"),
            ("12:30am", "2026-11-23T00:30:00"),
            ("12:30pm", "2026-11-22T12:30:00"),
            ("12am", "2026-11-23T00:00:00"),
        ],
    );
}

#[test]
fn a_time_is_in_the_zone_that_follows_it() {
    check(
        "2026-11-22T11:48:00+01:00[Europe/Berlin]",
        &[
            ("11:36am (UTC)", "2026-11-22T12:36:00"),
            ("2:10pm (Asia/Jerusalem)", "2026-11-22T13:10:00"),
            ("3am (America/Bogota)", "2026-11-23T09:00:00"),
            ("8am (asia/seoul)", "2026-11-23T00:00:00"),
            ("11:00 AM GMT+2", "2026-11-23T10:00:00"),
            ("11:00 AM GMT-3:30", "2026-11-22T15:30:00"),
            ("3pm UTC", "2026-11-22T16:00:00"),
            ("3pm CET", "2026-11-22T15:00:00"),
            ("3pm (Middle/Nowhere)", ""),
            ("3pm (Etc/Unknown)", ""),
            ("3pm (PDT)", ""),
            ("3pm (GMT+99)", ""),
            ("3pm (UTC", ""),
            ("3pm ()", ""),
        ],
    );
}

#[test]
fn a_date_is_in_its_own_year_or_else_in_the_nearest() {
    check(
        "2026-11-22T11:48:00+01:00[Europe/Berlin]",
        &[
            ("Feb 11, 10am (America/Los_Angeles)", "2027-02-11T19:00:00"),
            ("Apr 23 at 4pm", "2027-04-23T16:00:00"),
            ("Apr 23 at 4pm (America/Recife)", "2027-04-23T21:00:00"),
            ("Nov 25, 10am (UTC)", "2026-11-25T11:00:00"),
            ("Jul 11 at 12pm (Asia/Seoul)", "2026-07-11T05:00:00"),
            ("November 25 at 10:30am", "2026-11-25T10:30:00"),
            ("may 3, 15:00", "2027-05-03T15:00:00"),
            ("Nov 28th, 2026 10:03 PM", "2026-11-28T22:03:00"),
            ("December 1st, 2026 9:00 AM", "2026-12-01T09:00:00"),
            ("Apr 28th, 2026 10:03 PM", "2026-04-28T22:03:00"),
            ("Feb 11", "2027-02-11T00:00:00"),
            ("Feb 29", ""),
            ("Feb 30, 10am", ""),
            ("Feb 11 10", ""),
            ("Feb 11, 1026 10am", ""),
        ],
    );
}

#[test]
fn a_weekday_is_its_next_occurrence() {
    check(
        "2026-11-23T11:48:00+01:00[Europe/Berlin]", // a Monday
        &[
            ("Mon 3pm", "2026-11-23T15:00:00"),
            ("Monday at 3pm", "2026-11-23T15:00:00"),
            ("Mon 11am", "2026-11-30T11:00:00"),
            ("on Sunday, 9:30 PM", "2026-11-29T21:30:00"),
            ("Tue 1am (Asia/Seoul)", "2026-11-23T17:00:00"),
            ("Wednesday", "2026-11-25T00:00:00"),
        ],
    );
    check("2026-11-23T00:00:20[UTC]", &[("Sun 11:59:40pm", "2026-11-23T00:00:40")]);
}

#[test]
fn a_duration_counts_from_now() {
    check(
        "2026-11-22T11:48:00[UTC]",
        &[
            ("2 days 3 hours", "2026-11-24T14:48:00"),
            ("2 days, 3 hours and 4 minutes", "2026-11-24T14:52:00"),
            ("in 5 minutes", "2026-11-22T11:53:00"),
            ("1 minute", "2026-11-22T11:49:00"),
            ("1h 30m", "2026-11-22T13:18:00"),
            ("12h22m45s", "2026-11-23T00:10:45"),
            ("34s", "2026-11-22T11:48:34"),
            ("34.5s", "2026-11-22T11:48:35"),
            ("900ms", "2026-11-22T11:48:01"),
            ("Please retry in 12.5s", "2026-11-22T11:48:13"),
            ("1800 seconds", "2026-11-22T12:18:00"),
            ("1 week", "2026-11-29T11:48:00"),
            ("0s", "2026-11-22T11:48:00"),
            ("15:00:00", "2026-11-22T15:00:00"),
            ("-5 minutes", ""),
            ("5 minutes ago", ""),
            ("5", ""),
        ],
    );
    // A day of a duration has 24 hours, even if the clocks go back.
    check("2026-10-24T12:00:00[Europe/Berlin]", &[("1 day", "2026-10-25T11:00:00")]);
}

#[test]
fn a_timestamp_is_used_as_it_is() {
    check(
        "2026-11-22T11:48:00[UTC]",
        &[
            ("2026-11-22T10:00:00Z", "2026-11-22T10:00:00"),
            ("2026-11-22T10:00:00-05:00", "2026-11-22T15:00:00"),
            ("1795348800", "2026-11-22T12:00:00"),
            ("1795348800123", "2026-11-22T12:00:00.123"),
            ("179534880012", ""),
        ],
    );
}

#[test]
fn text_around_the_time_is_ignored() {
    let around = [
        "resets 3pm",
        "  Resets at: 3pm.",
        "try again at 3:00 PM.",
        "Your limit will reset at 3pm (UTC).",
        "Access resets at 3:00 PM UTC.",
        "3pm · /upgrade to Max 20x or turn on /extra-usage",
        "resets 3pm (UTC) ∙ /upgrade",
        "3pm | /upgrade",
        "3pm - /upgrade",
        "try again at 3:00 PM. Or buy more.",
    ];
    check("2026-11-22T11:48:00[UTC]", &around.map(|text| (text, "2026-11-22T15:00:00")));
}

#[test]
fn a_text_that_is_not_understood_has_no_time() {
    let long = format!("3pm{}", " ".repeat(200));
    let garbage = [
        "",
        " ",
        "·",
        "later",
        "in a moment",
        "resets",
        "at",
        "25pm",
        "0am",
        "13pm",
        "13:75",
        "24:00",
        "3",
        "12:30:61:00",
        "Feb",
        "Feb 11pm 3",
        "32nd",
        "3pm tomorrow or so",
        "99999999999999999999",
        "(UTC)",
        "99999999999999999999 hours",
        "9999999 weeks",
        "3 months",
        "３pm",
        "3pm ☃",
        "\u{0}",
        &long,
    ];
    check("2026-11-22T11:48:00[UTC]", &garbage.map(|text| (text, "")));
}

#[test]
fn a_time_more_than_a_year_ahead_is_rejected() {
    check(
        "2026-11-22T11:48:00[UTC]",
        &[
            ("366 days", "2027-11-23T11:48:00"),
            ("366 days 1 second", ""),
            ("Nov 23rd, 2027 11:48 AM", "2027-11-23T11:48:00"),
            ("Nov 23rd, 2027 11:49 AM", ""),
            ("2028-01-01T00:00:00Z", ""),
            ("9999999999", ""),
        ],
    );
}

#[test]
fn a_date_around_the_new_year_is_in_the_right_year() {
    check("2026-12-30T20:00:00[Europe/Berlin]", &[("Jan 2, 3am", "2027-01-02T03:00:00")]);
    check(
        "2027-01-01T00:00:20[Europe/Berlin]",
        &[
            ("Dec 31 at 11:59:30pm", "2027-01-01T00:00:30"),
            ("Dec 31 at 11pm", "2026-12-31T23:00:00"),
            ("Dec 31 at 11pm (UTC)", "2027-01-01T00:01:00"),
            ("Dec 30 at 11pm", "2026-12-30T23:00:00"),
        ],
    );
    // In Seoul the next year has already begun.
    check("2026-12-31T18:00:00[Europe/Berlin]", &[("Jan 1 at 4am (Asia/Seoul)", "2026-12-31T20:00:00")]);
    check("2028-02-20T18:00:00[UTC]", &[("Feb 29, 3pm", "2028-02-29T15:00:00")]);
}

#[test]
fn a_date_in_the_last_half_year_is_past_and_not_in_the_next_year() {
    check(
        "2026-11-22T11:48:00[UTC]",
        &[
            ("Nov 22, 10am", "2026-11-22T10:00:00"),
            ("Nov 22", "2026-11-22T00:00:00"),
            ("Nov 21, 11:48am", "2026-11-21T11:48:00"),
            ("Nov 21, 11:47am", "2026-11-21T11:47:00"),
            ("May 24", "2026-05-24T00:00:00"),
            ("May 22", "2027-05-22T00:00:00"),
        ],
    );
}

#[test]
fn a_time_that_has_just_passed_is_extended_by_a_minute() {
    for (now, expected) in [
        ("2026-11-22T15:00:00[UTC]", "2026-11-22T15:00:00"),
        ("2026-11-22T15:00:00.5[UTC]", "2026-11-22T15:01:00"),
        ("2026-11-22T15:00:30[UTC]", "2026-11-22T15:01:00"),
        ("2026-11-22T15:01:00[UTC]", "2026-11-22T15:01:00"),
        ("2026-11-22T15:01:00.5[UTC]", "2026-11-23T15:00:00"),
    ] {
        check(now, &[("resets 3pm", expected)]);
    }
    check("2026-11-23T00:00:20[UTC]", &[("11:59:40pm", "2026-11-23T00:00:40")]);
}

#[test]
fn a_time_skipped_when_clocks_go_forward_is_later_by_the_same_amount() {
    check("2026-03-28T23:00:00[Europe/Berlin]", &[("2:30am", "2026-03-29T03:30:00")]);
    check("2026-03-29T03:10:00[Europe/Berlin]", &[("2:30am", "2026-03-29T03:30:00")]);
    check("2026-03-07T23:00:00[America/New_York]", &[("2:30am", "2026-03-08T03:30:00")]);
    check("2026-03-01T23:00:00[America/New_York]", &[("Mar 8 at 2am", "2026-03-08T03:00:00")]);
    check(
        "2026-03-26T23:00:00[Asia/Jerusalem]",
        &[("2:15am", "2026-03-27T03:15:00"), ("3am", "2026-03-27T03:00:00")],
    );
}

#[test]
fn a_time_that_occurs_twice_when_clocks_go_back_means_the_next_occurrence() {
    for (zone, night, evening) in [
        ("Europe/Berlin", "2026-10-25T02", "2026-10-24"),
        ("America/New_York", "2026-11-01T01", "2026-10-31"),
        ("Asia/Jerusalem", "2026-10-25T01", "2026-10-24"),
    ] {
        let zone = TimeZone::get(zone).unwrap();
        let twice = zone.to_ambiguous_zoned(format!("{night}:30:00").parse::<DateTime>().unwrap());
        let (first, second) = (twice.clone().earlier().unwrap(), twice.later().unwrap());
        assert_eq!(second.duration_since(&first), SignedDuration::from_hours(1));
        let text = first.strftime("%-I:%M%P").to_string();
        let before = evening.parse::<Date>().unwrap().at(22, 0, 0, 0).to_zoned(zone).unwrap();
        assert_eq!(parse(&text, &before), Some(first.timestamp()));
        assert_eq!(parse(&text, &(&first + 90.seconds())), Some(second.timestamp()));
        let dated = first.strftime("%b %-d at %-I:%M%P").to_string();
        assert_eq!(parse(&dated, &before), Some(first.timestamp()));
    }
}

#[test]
fn the_abbreviation_of_the_local_zone_distinguishes_a_repeated_hour() {
    check(
        "2026-11-22T11:48:00[Asia/Jerusalem]",
        &[("3:00 PM IST", "2026-11-22T15:00:00"), ("3:00 PM IDT", "")],
    );
    let now: Zoned = "2026-10-24T22:00:00[Asia/Jerusalem]".parse().unwrap();
    let wait = |text: &str| parse(text, &now).unwrap().duration_since(now.timestamp());
    assert_eq!(wait("1:30 AM IST") - wait("1:30 AM IDT"), SignedDuration::from_hours(1));
}
