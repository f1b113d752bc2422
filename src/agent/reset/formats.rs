//! Used by `clock` and `zone` to try several formats.

use jiff::fmt::strtime;

/// Parses a text with the first format that matches all of it.
pub(super) fn first_match(formats: &[&str], text: &str) -> Option<strtime::BrokenDownTime> {
    formats.iter().find_map(|format| strtime::parse(format, text).ok())
}
