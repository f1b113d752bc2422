//! `[prices]`: prices of models, which override kage's table.

use std::collections::BTreeMap;
use std::fmt;

use serde::de::value::{MapAccessDeserializer, SeqAccessDeserializer};
use serde::de::{MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer};

use super::Mistake;
use crate::prices::{Period, Prices, overlap};

const HINT: &str = "use a model id, or the beginning of one followed by `*`";

/// One table of prices, or a list of tables for different periods.
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

/// Returns kage's prices, overridden by the user's.
pub(super) fn prices(raw: BTreeMap<String, RawPeriods>) -> Result<Prices, Mistake> {
    let mut own = BTreeMap::new();
    for (name, RawPeriods(periods)) in raw {
        let key = ["prices", name.as_str()];
        if name.is_empty() {
            return Err(Mistake::new(&key, "a model name must not be empty", HINT));
        }
        if name.trim_end_matches('*').contains('*') || name.ends_with("**") {
            return Err(Mistake::new(&key, "a `*` is allowed only at the end of a name", HINT));
        }
        if periods.is_empty() {
            return Err(Mistake::new(&key, "the list has no prices", "add a price, or remove the list"));
        }
        if overlap(&periods) {
            let message = "two of its prices apply to the same day";
            return Err(Mistake::new(&key, message, "`from` is the first day, `until` the last"));
        }
        own.insert(name, periods);
    }
    Ok(Prices::with_own(own))
}
