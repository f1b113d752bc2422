//! What of an attempt is told in less detail, where its line would be too long.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};

use jiff::{SignedDuration, Timestamp};

use crate::pool::{Slice, TokenCount, Usage};

/// What the tokens of models are summed under that had no room.
const OTHERS: &str = "other";

/// How many hours there are.
pub(super) fn hours(slices: &BTreeMap<Slice, TokenCount>) -> usize {
    slices.keys().map(|slice| slice.hour).collect::<BTreeSet<_>>().len()
}

/// How many models there are.
pub(super) fn models(slices: &BTreeMap<Slice, TokenCount>) -> usize {
    slices.keys().map(|slice| &slice.model).collect::<BTreeSet<_>>().len()
}

/// The same in longer steps than hours, each told at its beginning.
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

/// The same with the models that have most tokens; the others are summed up.
pub(super) fn without_small(
    slices: &BTreeMap<Slice, TokenCount>,
    most: usize,
) -> BTreeMap<Slice, TokenCount> {
    let usage = Usage { slices: slices.clone(), ..Usage::default() };
    let mut models: Vec<_> = usage.models().into_iter().collect();
    models.sort_by_key(|(_, count)| Reverse(count.tokens()));
    let kept: Vec<_> = models.iter().take(most).map(|(model, _)| *model).collect();
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

/// At most so many bytes of a text, at the end of a character.
pub(super) fn cut(text: &str, longest: usize) -> &str {
    let end = (0..=longest.min(text.len())).rev().find(|&at| text.is_char_boundary(at));
    &text[..end.unwrap_or(0)]
}
