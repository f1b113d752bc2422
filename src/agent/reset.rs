//! Parses the reset of a limit as agents print it: `3pm (Europe/Berlin)`, `Apr 28th, 2026 10:03 PM`,
//! `2 days 3 hours`, seconds since the epoch. Called by the readers of agents' messages, with the part that
//! contains the time. If a text is not understood, there is no result: a wrong guess could keep a
//! subscription unused for a day.

mod clock;
mod formats;
mod localized;
mod zone;

use formats::first_match;
use jiff::{SignedDuration, Span, SpanRelativeTo, Timestamp, Zoned};

/// A text with more characters is not only a time.
const LONGEST_TEXT: usize = 200;
/// No limit lasts longer than this: a year, with a leap day.
pub(super) const FARTHEST: SignedDuration = SignedDuration::from_hours(366 * 24);
/// Separators before the next clause, as in `resets 2am · /upgrade to Max 20x`.
const CLAUSE_ENDS: [&str; 6] = ["·", "∙", "•", "|", " - ", ". "];
/// Words that may precede the time.
const LEADING_WORDS: [&str; 15] = [
    "access", "after", "again", "at", "in", "limit", "on", "please", "quota", "reset", "resets", "retry",
    "try", "will", "your",
];

/// Returns the reset of a limit, given its text in an agent's message. `now` is when the message was written,
/// which for an old record is not the present. Times without a zone are in the zone of `now`. The result may
/// be in the past.
pub fn parse(text: &str, now: &Zoned) -> Option<Timestamp> {
    if text.chars().nth(LONGEST_TEXT).is_some() {
        return None;
    }
    let text = plain(text);
    let words = without_lead(first_clause(&text));
    let at = instant(words, now)
        .or_else(|| instant_in_zone(words, now))
        .or_else(|| localized::parse(&text.to_lowercase(), now))?;
    let latest = now.timestamp().checked_add(FARTHEST).ok()?;
    (at <= latest).then_some(at)
}

/// Returns the text in lower case with plain spaces: ICU 72, and Node.js with it, puts U+202F before `PM`.
fn plain(text: &str) -> String {
    let plain = |letter: char| if letter.is_whitespace() { ' ' } else { letter.to_ascii_lowercase() };
    text.chars().map(plain).collect()
}

fn first_clause(text: &str) -> &str {
    let end = CLAUSE_ENDS.iter().filter_map(|mark| text.find(mark)).min().unwrap_or(text.len());
    text[..end].trim_matches([' ', '.', ','])
}

fn without_lead(clause: &str) -> &str {
    match clause.split_once(' ') {
        Some((word, rest)) if LEADING_WORDS.contains(&word.trim_end_matches(':')) => {
            without_lead(rest.trim_start())
        }
        _ => clause,
    }
}

fn instant(words: &str, now: &Zoned) -> Option<Timestamp> {
    epoch(words)
        .or_else(|| words.parse().ok())
        .or_else(|| now.timestamp().checked_add(duration(words)?).ok())
        .or_else(|| clock::parse(words, now))
}

/// Parses a time that is followed by its zone: `3pm (Asia/Seoul)`, `11:00 am gmt+2`.
fn instant_in_zone(words: &str, now: &Zoned) -> Option<Timestamp> {
    let (time, name) = match words.split_once('(') {
        Some((time, rest)) => (time, rest.strip_suffix(')')?),
        None => words.rsplit_once(' ')?,
    };
    let zone = zone::find(name.trim(), now)?;
    clock::parse(time.trim_end(), &now.with_time_zone(zone))
}

/// Parses seconds or milliseconds since the epoch. From 2001 to 2286 they have ten and thirteen digits.
fn epoch(words: &str) -> Option<Timestamp> {
    if !words.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    match words.len() {
        10 => Timestamp::from_second(words.parse().ok()?).ok(),
        13 => Timestamp::from_millisecond(words.parse().ok()?).ok(),
        _ => None,
    }
}

/// Parses a duration, rounded up to whole seconds. A day is 24 hours.
fn duration(words: &str) -> Option<SignedDuration> {
    // jiff also reads `15:00:00` as a duration; here that is a time of day.
    if words.contains(':') {
        return None;
    }
    let span: Span = words.replace(" and ", " ").parse().ok()?;
    let exact = span.to_duration(SpanRelativeTo::days_are_24_hours()).ok()?;
    let partial = i64::from(exact.subsec_nanos() > 0);
    (!exact.is_negative()).then(|| SignedDuration::from_secs(exact.as_secs() + partial))
}

#[cfg(test)]
mod tests;
