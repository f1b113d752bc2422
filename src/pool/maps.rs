//! Functions for large maps, which traverse them in key order instead of looking up each key.

use std::collections::BTreeMap;
use std::fmt;
use std::marker::PhantomData;

use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};

/// Deserializes a map. The entries that kage writes are sorted, so the map is built in one pass.
pub fn deserialize_sorted<'de, D, K, V>(from: D) -> Result<BTreeMap<K, V>, D::Error>
where
    D: Deserializer<'de>,
    K: Deserialize<'de> + Ord,
    V: Deserialize<'de>,
{
    struct Entries<K, V>(PhantomData<(K, V)>);
    impl<'de, K: Deserialize<'de> + Ord, V: Deserialize<'de>> Visitor<'de> for Entries<K, V> {
        type Value = BTreeMap<K, V>;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("a map")
        }

        fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
            let mut entries = Vec::new();
            while let Some(entry) = map.next_entry()? {
                entries.push(entry);
            }
            Ok(entries.into_iter().collect())
        }
    }
    from.deserialize_map(Entries(PhantomData))
}

/// Pairs each entry of a map with the value of another map under the same key. Both are sorted by key.
pub(super) fn zip_by_key<K: PartialOrd<L>, L, A, B>(
    map: impl IntoIterator<Item = (K, A)>,
    other: impl IntoIterator<Item = (L, B)>,
) -> impl Iterator<Item = (K, A, Option<B>)> {
    let mut others = other.into_iter().peekable();
    map.into_iter().map(move |(key, value)| {
        while others.next_if(|(before, _)| key > *before).is_some() {}
        let other = others.next_if(|(same, _)| key == *same).map(|(_, other)| other);
        (key, value, other)
    })
}

#[cfg(test)]
mod tests {
    use proptest::collection::btree_map;
    use proptest::prelude::*;

    use super::*;

    fn read(text: &str) -> serde_json::Result<BTreeMap<String, u8>> {
        deserialize_sorted(&mut serde_json::Deserializer::from_str(text))
    }

    #[test]
    fn the_last_entry_of_a_duplicate_key_wins_in_any_order() {
        let expected = BTreeMap::from([("a".to_owned(), 2), ("b".to_owned(), 3)]);
        assert_eq!(read(r#"{"b": 1, "a": 2, "b": 3}"#).unwrap(), expected);
        let refused = read("[]").unwrap_err();
        assert!(refused.to_string().contains("expected a map"), "{refused}");
    }

    proptest! {
        #[test]
        fn each_entry_is_paired_with_the_value_of_its_key(
            map in btree_map(0..9u8, any::<u8>(), 0..9),
            other in btree_map(0..9u8, any::<u8>(), 0..9),
        ) {
            let paired: Vec<_> = zip_by_key(&map, &other).collect();
            let looked_up: Vec<_> = map.iter().map(|(key, value)| (key, value, other.get(key))).collect();
            prop_assert_eq!(paired, looked_up);
        }
    }
}
