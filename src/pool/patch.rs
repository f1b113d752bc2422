//! What one change made of the state: as much of it as is needed to make it again. Known to the store, which
//! writes patches behind each other instead of the whole state.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;

use jiff::Timestamp;
use serde::{Deserialize, Deserializer, Serialize};

use super::maps::zip_by_key;
use super::totals::Totals;
use super::{Lease, Name, State, SubscriptionState};

/// The difference between two states, the older of which is known.
#[derive(Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Patch {
    /// Those that differ in more than their credit; `None` for one that is gone.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    subscriptions: BTreeMap<Name, Option<SubscriptionState>>,
    /// Where any credit differs, those of all subscriptions that are there then, in the order of their names: a
    /// choice changes nearly all of them and nothing else.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    credits: Vec<i64>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    namespaces: BTreeMap<Name, Option<Totals>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    leases: Option<Splice>,
    #[serde(skip_serializing_if = "Option::is_none")]
    lost: Option<Splice>,
    /// Where it differs.
    #[serde(skip_serializing_if = "Option::is_none", deserialize_with = "told")]
    #[allow(clippy::option_option, reason = "not told, or told to be nothing")]
    looked_at: Option<Option<Timestamp>>,
}

/// What is told to be nothing is told.
#[allow(clippy::option_option, reason = "not told, or told to be nothing")]
fn told<'de, D: Deserializer<'de>>(from: D) -> Result<Option<Option<Timestamp>>, D::Error> {
    Option::deserialize(from).map(Some)
}

/// The one stretch in which two lists differ.
#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct Splice {
    at: usize,
    gone: usize,
    new: Vec<Lease>,
}

impl Patch {
    /// What makes `after` of `before`; `None` where they are the same.
    pub fn between(mut before: State, after: &State) -> Option<Self> {
        let mut credits_differ = false;
        for (_, known, now) in zip_by_key(&mut before.subscriptions, &after.subscriptions) {
            let Some(now) = now else { continue };
            // Compared without it, which is told apart.
            credits_differ |= known.credit != now.credit;
            known.credit = now.credit;
        }
        let credits = after.subscriptions.values().filter(|_| credits_differ).map(|known| known.credit);
        let patch = Self {
            subscriptions: differing(&before.subscriptions, &after.subscriptions),
            credits: credits.collect(),
            namespaces: differing(&before.namespaces, &after.namespaces),
            leases: Splice::between(&before.leases, &after.leases),
            lost: Splice::between(&before.lost, &after.lost),
            looked_at: (before.looked_at != after.looked_at).then_some(after.looked_at),
        };
        (patch != Self::default()).then_some(patch)
    }

    /// Makes the change; `None` where it cannot have been made to this state.
    pub fn apply(self, state: &mut State) -> Option<()> {
        state.looked_at = self.looked_at.unwrap_or(state.looked_at);
        put(self.subscriptions, &mut state.subscriptions);
        put(self.namespaces, &mut state.namespaces);
        if !self.credits.is_empty() {
            if self.credits.len() != state.subscriptions.len() {
                return None;
            }
            for (known, credit) in state.subscriptions.values_mut().zip(self.credits) {
                known.credit = credit;
            }
        }
        self.leases.map_or(Some(()), |splice| splice.apply(&mut state.leases))?;
        self.lost.map_or(Some(()), |splice| splice.apply(&mut state.lost))
    }
}

/// What of a map is another now, and what is gone.
fn differing<T: Clone + PartialEq>(
    before: &BTreeMap<Name, T>,
    after: &BTreeMap<Name, T>,
) -> BTreeMap<Name, Option<T>> {
    let new = zip_by_key(after, before).filter(|(_, now, known)| Some(*now) != *known);
    let gone = zip_by_key(before, after).filter(|(.., now)| now.is_none());
    let new = new.map(|(name, now, _)| (name.clone(), Some(now.clone())));
    new.chain(gone.map(|(name, ..)| (name.clone(), None))).collect()
}

fn put<T>(changes: BTreeMap<Name, Option<T>>, into: &mut BTreeMap<Name, T>) {
    for (name, value) in changes {
        match (value, into.entry(name)) {
            (Some(value), Entry::Occupied(mut known)) => drop(known.insert(value)),
            (Some(value), Entry::Vacant(place)) => drop(place.insert(value)),
            (None, Entry::Occupied(known)) => drop(known.remove()),
            (None, Entry::Vacant(_)) => {}
        }
    }
}

impl Splice {
    fn between(before: &[Lease], after: &[Lease]) -> Option<Self> {
        let same =
            |pairs: &mut dyn Iterator<Item = (&Lease, &Lease)>| pairs.take_while(|(a, b)| a == b).count();
        let at = same(&mut before.iter().zip(after));
        let (before, after) = (&before[at..], &after[at..]);
        let behind = same(&mut before.iter().rev().zip(after.iter().rev()));
        let (gone, new) = (before.len() - behind, &after[..after.len() - behind]);
        (gone > 0 || !new.is_empty()).then(|| Self { at, gone, new: new.to_vec() })
    }

    fn apply(self, leases: &mut Vec<Lease>) -> Option<()> {
        let end = self.at.checked_add(self.gone).filter(|&end| end <= leases.len())?;
        leases.splice(self.at..end, self.new);
        Some(())
    }
}

#[cfg(test)]
mod tests;
