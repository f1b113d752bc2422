//! `[prices]`: what models cost, on top of kage's table.

use std::collections::BTreeMap;
use std::fmt;

use serde::de::value::{MapAccessDeserializer, SeqAccessDeserializer};
use serde::de::{MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer};

use super::Mistake;
use crate::prices::{Period, Prices, overlap};

const HINT: &str = "a name is an id of a model, or the beginning of one and `*`";

/// One table of prices, or a list of them for different times.
pub(super) struct RawPeriods(Vec<Period>);

impl<'de> Deserialize<'de> for RawPeriods {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        struct Either;

        impl<'de> Visitor<'de> for Either {
            type Value = Vec<Period>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a table of prices, or a list of them")
            }

            fn visit_map<A: MapAccess<'de>>(self, table: A) -> Result<Vec<Period>, A::Error> {
                Period::deserialize(MapAccessDeserializer::new(table)).map(|period| vec![period])
            }

            fn visit_seq<A: SeqAccess<'de>>(self, list: A) -> Result<Vec<Period>, A::Error> {
                Vec::deserialize(SeqAccessDeserializer::new(list))
            }
        }

        from.deserialize_any(Either).map(Self)
    }
}

/// The user's prices, on top of kage's own.
pub(super) fn prices(raw: BTreeMap<String, RawPeriods>) -> Result<Prices, Mistake> {
    let mut own = BTreeMap::new();
    for (name, RawPeriods(periods)) in raw {
        let key = ["prices", name.as_str()];
        if name.is_empty() {
            return Err(Mistake::new(&key, "the name of a model may not be empty", HINT));
        }
        if name.trim_end_matches('*').contains('*') || name.ends_with("**") {
            return Err(Mistake::new(&key, "a `*` may stand only at the end of a name", HINT));
        }
        if periods.is_empty() {
            return Err(Mistake::new(&key, "there is no price in the list", "give it one, or remove it"));
        }
        if overlap(&periods) {
            let message = "two of its prices hold on the same day";
            return Err(Mistake::new(&key, message, "`until` is the last day, `from` the first"));
        }
        own.insert(name, periods);
    }
    Ok(Prices::with_own(own))
}
