//! Routes: which subscriptions a namespace or a level may use. A route is a closed set.

use std::fmt;
use std::str::FromStr;

use super::Name;

/// One entry of a route: a subscription, or all subscriptions with a tag.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Selector {
    Name(Name),
    Tag(String),
}

impl FromStr for Selector {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text.strip_prefix("tag:") {
            Some("") => Err("`tag:` needs a tag after it".into()),
            Some(tag) => Ok(Self::Tag(tag.to_owned())),
            None => text.parse().map(Self::Name),
        }
    }
}

impl fmt::Display for Selector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Name(name) => name.fmt(f),
            Self::Tag(tag) => write!(f, "tag:{tag}"),
        }
    }
}

/// The subscriptions that the runs of a namespace or level may use, and the fallback for when none of them is
/// ready.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Route {
    pub primary: Vec<Selector>,
    pub fallback: Vec<Selector>,
}
