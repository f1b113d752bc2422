//! Reduces the detail of an attempt whose line would be too long.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};

use jiff::{SignedDuration, Timestamp};

use crate::pool::{Slice, TokenCount, Usage};

/// The model name under which the tokens of dropped models are summed.
const OTHERS: &str = "other";

/// Returns the number of different hours.
pub(super) fn hours(slices: &BTreeMap<Slice, TokenCount>) -> usize {
    slices.keys().map(|slice| slice.hour).collect::<BTreeSet<_>>().len()
}

/// Returns the number of different models.
pub(super) fn models(slices: &BTreeMap<Slice, TokenCount>) -> usize {
    slices.keys().map(|slice| &slice.model).collect::<BTreeSet<_>>().len()
}

/// Merges hours into intervals of `width`, each with the time at which it begins.
pub(super) fn coarser(
    slices: &BTreeMap<Slice, TokenCount>,
    width: SignedDuration,
) -> BTreeMap<Slice, TokenCount> {
    let Some(first) = slices.keys().next().map(|slice| slice.hour.as_second()) else {
        return BTreeMap::new();
    };
    let width = width.as_secs();
    regrouped(slices, |slice| {
        let begins = first + (slice.hour.as_second() - first) / width * width;
        Slice { hour: Timestamp::from_second(begins).unwrap_or(slice.hour), ..slice.clone() }
    })
}

/// Keeps up to `limit` models, those with the most tokens, and sums the others.
pub(super) fn without_small_models(
    slices: &BTreeMap<Slice, TokenCount>,
    limit: usize,
) -> BTreeMap<Slice, TokenCount> {
    let usage = Usage { slices: slices.clone(), ..Usage::default() };
    let mut models: Vec<_> = usage.models().into_iter().collect();
    models.sort_by_key(|(_, count)| Reverse(count.tokens()));
    let kept: Vec<_> = models.iter().take(limit).map(|(model, _)| *model).collect();
    regrouped(slices, |slice| {
        if kept.contains(&slice.model.as_str()) {
            slice.clone()
        } else {
            Slice { model: OTHERS.to_owned(), ..slice.clone() }
        }
    })
}

fn regrouped(
    slices: &BTreeMap<Slice, TokenCount>,
    key: impl Fn(&Slice) -> Slice,
) -> BTreeMap<Slice, TokenCount> {
    let mut groups = BTreeMap::<_, TokenCount>::new();
    for (slice, &count) in slices {
        *groups.entry(key(slice)).or_default() += count;
    }
    groups
}

/// Returns at most `longest` bytes of a text, cut at a character boundary.
pub(super) fn cut(text: &str, longest: usize) -> &str {
    let end = (0..=longest.min(text.len())).rev().find(|&at| text.is_char_boundary(at));
    &text[..end.unwrap_or(0)]
}
