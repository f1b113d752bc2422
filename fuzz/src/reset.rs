//! The reset time of a limit, parsed from an agent's text.

use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp, Zoned};

use kage::agent::reset::parse;

const ZONES: [&str; 8] = [
    "UTC",
    "Europe/Berlin",
    "America/New_York",
    "America/St_Johns",
    "Australia/Lord_Howe",
    "Pacific/Kiritimati",
    "Asia/Kathmandu",
    "Africa/Casablanca",
];
const FARTHEST: SignedDuration = SignedDuration::from_hours(366 * 24);
const LONGEST: usize = 200;

/// The input: a time zone, a time, and a text.
pub(crate) fn check(data: &[u8]) {
    let Some((&[zone, a, b, c, d], words)) = data.split_first_chunk() else { return };
    let Ok(words) = str::from_utf8(words) else { return };
    let zone = TimeZone::get(ZONES[usize::from(zone) % ZONES.len()]).unwrap_or(TimeZone::UTC);
    let at = match u32::from_le_bytes([a, b, c, d]) {
        0 => Timestamp::MIN,
        u32::MAX => Timestamp::MAX,
        second => Timestamp::from_second(second.into()).expect("136 years are in range"),
    };
    check_parse(words, &at.to_zoned(zone));
}

fn check_parse(words: &str, now: &Zoned) {
    let answer = parse(words, now);
    if words.chars().count() > LONGEST {
        assert_eq!(answer, None);
        return;
    }
    if let Some(at) = answer {
        assert!(at.duration_since(now.timestamp()) <= FARTHEST, "{words}: {at} is too far");
    }
    // ICU writes narrow no-break spaces into times, and case does not matter.
    let plain = !words.contains(|letter: char| letter.is_whitespace() && letter != ' ');
    if plain {
        assert_eq!(parse(&words.replace(' ', "\u{202f}"), now), answer, "{words}");
    }
    assert_eq!(parse(&words.to_ascii_uppercase(), now), parse(&words.to_ascii_lowercase(), now), "{words}");
    // A punctuation mark at the end may belong to the separator of the next clause.
    let is_whole = words.ends_with(|letter: char| letter.is_ascii_alphanumeric() || letter == ')');
    if is_whole && words.chars().count() <= LONGEST - 20 {
        for around in [format!("  {words} "), format!("{words}."), format!("{words} · /upgrade")] {
            assert_eq!(parse(&around, now), answer, "{around}");
        }
        if words.starts_with(|letter: char| letter.is_ascii_alphanumeric()) {
            assert_eq!(parse(&format!("try again at {words}"), now), answer, "{words}");
        }
    }
}
