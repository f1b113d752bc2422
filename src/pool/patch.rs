//! The difference that one change made to the state, with enough data to apply it again. Used by the store,
//! which appends patches to a log instead of writing the whole state.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;

use jiff::Timestamp;
use serde::{Deserialize, Deserializer, Serialize};

use super::maps::zip_by_key;
use super::totals::Totals;
use super::{Lease, Name, State, SubscriptionState};

/// The difference between two states. Applied to the older one, it yields the newer one.
#[derive(Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Patch {
    /// Subscriptions that differ in more than their credit; `None` for a removed one.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    subscriptions: BTreeMap<Name, Option<SubscriptionState>>,
    /// If any credit differs, the credits of all subscriptions of the newer state, in name order: a choice
    /// changes nearly all credits and nothing else.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    credits: Vec<i64>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    namespaces: BTreeMap<Name, Option<Totals>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    leases: Option<Splice>,
    #[serde(skip_serializing_if = "Option::is_none")]
    lost: Option<Splice>,
    /// The new value if it differs.
    #[serde(skip_serializing_if = "Option::is_none", deserialize_with = "present")]
    #[allow(clippy::option_option, reason = "unchanged, or changed to nothing")]
    looked_at: Option<Option<Timestamp>>,
}

/// Reads a field that is present. `null` means changed to nothing; an absent field means unchanged.
#[allow(clippy::option_option, reason = "unchanged, or changed to nothing")]
fn present<'de, D: Deserializer<'de>>(from: D) -> Result<Option<Option<Timestamp>>, D::Error> {
    Option::deserialize(from).map(Some)
}

/// The one range in which two lists differ.
#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct Splice {
    at: usize,
    gone: usize,
    new: Vec<Lease>,
}

impl Patch {
    /// Returns the patch that turns `before` into `after`; `None` if they are equal.
    pub fn between(mut before: State, after: &State) -> Option<Self> {
        let mut credits_differ = false;
        for (_, known, now) in zip_by_key(&mut before.subscriptions, &after.subscriptions) {
            let Some(now) = now else { continue };
            // Credits are stored separately, so the comparison below ignores them.
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

    /// Applies the change. Returns `None` if it does not fit this state, which may then be partly changed.
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

/// Returns the entries that are new or changed, and `None` for each removed key.
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
            (Some(value), Entry::Vacant(free)) => drop(free.insert(value)),
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
        let tail = same(&mut before.iter().rev().zip(after.iter().rev()));
        let (gone, new) = (before.len() - tail, &after[..after.len() - tail]);
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
