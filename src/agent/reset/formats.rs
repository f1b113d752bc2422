//! Text against several formats.

use jiff::fmt::strtime;

/// The first of the formats that all of the text has.
pub(super) fn first_match(formats: &[&str], text: &str) -> Option<strtime::BrokenDownTime> {
    formats.iter().find_map(|format| strtime::parse(format, text).ok())
}
