//! Deserializers for single values of the config, with errors that say what was expected.

use std::collections::BTreeMap;
use std::fmt;
use std::marker::PhantomData;
use std::path::Path;

use jiff::{SignedDuration, Span, SpanRelativeTo};
use serde::de::value::{MapAccessDeserializer, SeqAccessDeserializer};
use serde::de::{Error, MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer};

use crate::paths::expand_home;
use crate::pool::{Cost, Credential, Delivery, Route, Selector, Source};

/// The longest duration of a setting; a longer one is probably a typing mistake.
const LONGEST: SignedDuration = SignedDuration::from_hours(24 * 366);

/// A table. serde alone would also accept a list of the values in the order of the fields, which users do not
/// know.
#[derive(Default)]
pub(super) struct Table<T>(pub(super) T);

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Table<T> {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        struct Keys<T>(PhantomData<T>);

        impl<'de, T: Deserialize<'de>> Visitor<'de> for Keys<T> {
            type Value = T;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a map")
            }

            fn visit_map<A: MapAccess<'de>>(self, table: A) -> Result<T, A::Error> {
                T::deserialize(MapAccessDeserializer::new(table))
            }
        }

        from.deserialize_map(Keys(PhantomData)).map(Self)
    }
}

/// `90s`, `5m`, `1h 30m`, `2d`.
pub(super) fn duration<'de, D: Deserializer<'de>>(from: D) -> Result<Option<SignedDuration>, D::Error> {
    let text = String::deserialize(from)?;
    let span = text.parse::<Span>().ok();
    let duration = span.and_then(|span| span.to_duration(SpanRelativeTo::days_are_24_hours()).ok());
    match duration {
        Some(duration) if duration.is_positive() && duration <= LONGEST => Ok(Some(duration)),
        _ => Err(D::Error::custom(format!("`{text}` is not a duration such as `90s`, `5m` or `1h 30m`"))),
    }
}

/// A fraction between 0.0 and 1.0.
pub(super) fn fraction<'de, D: Deserializer<'de>>(from: D) -> Result<Option<f64>, D::Error> {
    let value = f64::deserialize(from)?;
    let fits = (0.0..=1.0).contains(&value);
    if fits { Ok(Some(value)) } else { Err(D::Error::custom(format!("{value} is not between 0.0 and 1.0"))) }
}

pub(super) fn priority<'de, D: Deserializer<'de>>(from: D) -> Result<Option<u8>, D::Error> {
    let value = i64::deserialize(from)?;
    let invalid = || D::Error::custom(format!("{value} is not a priority (0-255)"));
    u8::try_from(value).map(Some).map_err(|_| invalid())
}

/// A positive whole number.
pub(super) fn positive<'de, D, N>(from: D) -> Result<Option<N>, D::Error>
where
    D: Deserializer<'de>,
    N: TryFrom<i64>,
{
    let value = i64::deserialize(from)?;
    if value <= 0 {
        return Err(D::Error::custom(format!("{value} is not a positive whole number")));
    }
    N::try_from(value).map(Some).map_err(|_| D::Error::custom(format!("{value} is too large")))
}

/// A positive amount in US dollars.
pub(super) fn dollars<'de, D: Deserializer<'de>>(from: D) -> Result<Option<Cost>, D::Error> {
    let dollars = f64::deserialize(from)?;
    let invalid = || D::Error::custom(format!("{dollars} is not an amount in US dollars such as 5 or 2.50"));
    Cost::from_dollars(dollars).map(Some).ok_or_else(invalid)
}

/// Tags are words: not empty, without commas, spaces or control characters.
pub(super) fn tags<'de, D: Deserializer<'de>>(from: D) -> Result<Vec<String>, D::Error> {
    let tags = Vec::<String>::deserialize(from)?;
    match tags.iter().find(|tag| !is_tag(tag)) {
        Some(invalid) => Err(D::Error::custom(format!("`{}` is not a valid tag", invalid.escape_debug()))),
        None => Ok(tags),
    }
}

pub(super) fn is_tag(text: &str) -> bool {
    !text.is_empty() && !text.contains(|letter: char| matches!(letter, ',' | ' ') || letter.is_control())
}

/// Variables for the agent: `NAME = "value"`.
pub(super) fn variables<'de, D: Deserializer<'de>>(from: D) -> Result<BTreeMap<String, String>, D::Error> {
    let variables = BTreeMap::<String, String>::deserialize(from)?;
    match variables.iter().find(|(name, value)| !is_variable(name) || value.contains('\0')) {
        Some((invalid, _)) => {
            Err(D::Error::custom(format!("`{}` is not a valid variable name", invalid.escape_debug())))
        }
        None => Ok(variables),
    }
}

/// A string that is not empty.
pub(super) fn non_empty<'de, D: Deserializer<'de>>(from: D) -> Result<Option<String>, D::Error> {
    let text = String::deserialize(from)?;
    if text.trim().is_empty() { Err(D::Error::custom("expected a non-empty string")) } else { Ok(Some(text)) }
}

/// The name of a variable.
pub(super) fn variable<'de, D: Deserializer<'de>>(from: D) -> Result<Option<String>, D::Error> {
    let name = String::deserialize(from)?;
    if is_variable(&name) {
        Ok(Some(name))
    } else {
        Err(D::Error::custom(format!("`{}` is not a valid variable name", name.escape_debug())))
    }
}

pub(super) fn is_variable(name: &str) -> bool {
    let odd = |letter: char| letter == '=' || letter.is_whitespace() || letter.is_control();
    !name.is_empty() && !name.chars().any(odd)
}

/// `["a", "tag:b"]`, or `{ use = [...], fallback = [...] }`.
pub(super) struct RawRoute(pub(super) Route);

struct Selectors(Vec<Selector>);

impl<'de> Deserialize<'de> for Selectors {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let texts = Vec::<String>::deserialize(from)?;
        let selectors = texts.iter().map(|text| {
            text.parse().map_err(|why| D::Error::custom(format!("`{}`: {why}", text.escape_debug())))
        });
        selectors.collect::<Result<_, _>>().map(Self)
    }
}

impl<'de> Deserialize<'de> for RawRoute {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(deny_unknown_fields)]
        struct Table {
            r#use: Selectors,
            fallback: Option<Selectors>,
        }

        struct Either;

        impl<'de> Visitor<'de> for Either {
            type Value = Route;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a list of subscriptions, or { use = [...], fallback = [...] }")
            }

            fn visit_seq<A: SeqAccess<'de>>(self, list: A) -> Result<Route, A::Error> {
                let primary = Selectors::deserialize(SeqAccessDeserializer::new(list))?.0;
                Ok(Route { primary, fallback: Vec::new() })
            }

            fn visit_map<A: MapAccess<'de>>(self, table: A) -> Result<Route, A::Error> {
                let table = Table::deserialize(MapAccessDeserializer::new(table))?;
                let fallback = table.fallback.map(|selectors| selectors.0).unwrap_or_default();
                Ok(Route { primary: table.r#use.0, fallback })
            }
        }

        from.deserialize_any(Either).map(Self)
    }
}

/// `{ from = "keychain" }`, `{ command = "..." }` or `{ home = "..." }`.
#[derive(Deserialize)]
#[serde(try_from = "CredentialTable")]
pub(super) struct RawCredential {
    source: Source,
    deliver: Delivery,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct CredentialTable {
    from: Option<Store>,
    command: Option<String>,
    home: Option<String>,
    #[serde(default)]
    deliver: Delivery,
}

#[derive(Deserialize)]
#[serde(rename_all = "lowercase")]
enum Store {
    Keychain,
    File,
}

impl TryFrom<CredentialTable> for RawCredential {
    type Error = &'static str;

    fn try_from(table: CredentialTable) -> Result<Self, Self::Error> {
        let source = match (table.from, table.command, table.home) {
            (Some(Store::Keychain), None, None) => Source::Keychain,
            (Some(Store::File), None, None) => Source::File,
            (None, Some(command), None) if !command.trim().is_empty() => Source::Command(command),
            (None, None, Some(home)) if !home.is_empty() => Source::Home(home.into()),
            _ => return Err("a credential needs exactly one of `from`, `command` and `home`"),
        };
        if matches!(source, Source::Home(_)) && table.deliver == Delivery::Fd {
            return Err("`deliver` cannot be combined with `home`, which has no secret to deliver");
        }
        Ok(Self { source, deliver: table.deliver })
    }
}

impl RawCredential {
    pub(super) fn resolve(self, home: &Path) -> Credential {
        let source = match self.source {
            Source::Home(path) => Source::Home(expand_home(&path.to_string_lossy(), home)),
            other => other,
        };
        Credential { source, deliver: self.deliver }
    }
}
