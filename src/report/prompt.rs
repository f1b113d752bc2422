//! The namespace, level and readiness for a shell's prompt.

use jiff::{Timestamp, Zoned};

use super::time::clock;
use crate::pool::{Level, Name};

/// Whether a run could start now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Readiness {
    Ready,
    /// When the first subscription is ready again.
    From(Timestamp),
    NoneReady,
}

/// `backend`, `backend batch`, `backend (ready 13:00)`. A name has only letters, digits, `.`, `_` and `-`: no
/// shell expands them in a prompt.
pub fn prompt(namespace: &Name, level: Level, readiness: Readiness, now: &Zoned) -> String {
    let level = if level == Level::Normal { String::new() } else { format!(" {}", level.as_str()) };
    let suffix = match readiness {
        Readiness::Ready => String::new(),
        Readiness::From(at) => format!(" (ready {})", clock(at, now)),
        Readiness::NoneReady => " (none ready)".to_owned(),
    };
    format!("{namespace}{level}{suffix}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_prompt_shows_the_namespace_and_anything_unusual() {
        let now: Zoned = "2026-11-22T11:48:00[UTC]".parse().unwrap();
        let at = "2026-11-22T13:00:00Z".parse().unwrap();
        let text = |level, readiness| prompt(&"backend".parse().unwrap(), level, readiness, &now);
        assert_eq!(text(Level::Normal, Readiness::Ready), "backend");
        assert_eq!(text(Level::Batch, Readiness::Ready), "backend batch");
        assert_eq!(text(Level::High, Readiness::From(at)), "backend high (ready 13:00)");
        assert_eq!(text(Level::Normal, Readiness::NoneReady), "backend (none ready)");
    }

    #[test]
    fn no_name_has_a_character_that_a_prompt_expands() {
        for character in ["$", "`", "\\", "%", "!", "#", "{", "(", "'", "\"", "\n", "\u{1b}", " "] {
            assert!(format!("a{character}b").parse::<Name>().is_err(), "{character:?}");
        }
    }
}
