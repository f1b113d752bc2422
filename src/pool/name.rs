//! Names of subscriptions and namespaces, and the three levels.

use std::borrow::Borrow;
use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// The longest name, in characters.
const LONGEST: usize = 64;

/// The name of a subscription or a namespace: 1-64 letters, digits, `.`, `_` or `-`, without a leading `-`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String")]
pub struct Name(String);

impl Name {
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether this is the name of a level. No namespace may have such a name, because levels and namespaces
    /// are both keys of routes.
    pub fn is_level(&self) -> bool {
        self.0.parse::<Level>().is_ok()
    }
}

impl FromStr for Name {
    type Err = String;

    /// The error says what is wrong with the name, but not where the name was found.
    fn from_str(text: &str) -> Result<Self, String> {
        check(text).map(|()| Self(text.to_owned()))
    }
}

/// Checks that a text is a valid name. The error says why it is not.
fn check(text: &str) -> Result<(), String> {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-');
    if (1..=LONGEST).contains(&text.len()) && !text.starts_with('-') && text.bytes().all(is_plain) {
        return Ok(());
    }
    let allowed = |letter: char| letter.is_alphanumeric() || matches!(letter, '.' | '_' | '-');
    if text.is_empty() {
        Err("a name must not be empty".into())
    } else if text.chars().count() > LONGEST {
        Err(format!("a name has at most {LONGEST} characters; this one has {}", text.chars().count()))
    } else if let Some(odd) = text.chars().find(|&letter| !allowed(letter)) {
        Err(format!("`{}` is not allowed in a name (letters, digits, `.`, `_`, `-`)", odd.escape_debug()))
    } else if text.starts_with('-') {
        Err("a name must not begin with `-`".into())
    } else {
        Ok(())
    }
}

impl TryFrom<String> for Name {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        check(&text).map(|()| Self(text))
    }
}

impl Borrow<str> for Name {
    fn borrow(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

/// How important a run is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Level {
    High,
    #[default]
    Normal,
    Batch,
}

impl Level {
    pub const ALL: [Level; 3] = [Level::High, Level::Normal, Level::Batch];

    pub fn as_str(self) -> &'static str {
        match self {
            Self::High => "high",
            Self::Normal => "normal",
            Self::Batch => "batch",
        }
    }
}

impl FromStr for Level {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        Self::ALL
            .into_iter()
            .find(|level| level.as_str() == text)
            .ok_or_else(|| format!("unknown level `{}` (high, normal or batch)", text.escape_debug()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_has_1_to_64_letters_digits_dots_underscores_and_hyphens() {
        for good in ["a", "work-premium", "client.a_1", "仕事", &"x".repeat(64)] {
            assert_eq!(good.parse::<Name>().unwrap().as_str(), good);
        }
        for bad in ["", "a b", "a/b", "tag:x", "-x", "a\u{1b}[31m", &"x".repeat(65)] {
            assert!(bad.parse::<Name>().is_err(), "{bad:?} was accepted");
        }
    }
}
