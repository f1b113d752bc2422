//! Compares kage's token counts with independent counts, over generated trees of transcripts.

// A failed unwrap is a failed test.
#![allow(clippy::unwrap_used)]

mod counts;
mod plan;
mod random;
mod tree;

use self::counts::{by_ccusage, by_script, has_ccusage};
use self::plan::Shapes;
use self::tree::Tree;
use crate::support::has_all;

/// The number of trees whose rows ccusage reads as kage does.
const PLAIN: u64 = 14;
/// The number of trees with rows that ccusage reads differently (see [`Shapes::All`]).
const ODD: u64 = 10;

/// Runs agents in a new tree. Compares each attempt with what it wrote, and the sum with an independent
/// count.
fn run_and_compare(seed: u64, shapes: Shapes) -> Tree {
    let mut tree = Tree::new(seed, shapes);
    let before = by_script(&tree);
    tree.run_every_kind();
    tree.assert_every_attempt();
    assert_eq!(tree.total(), by_script(&tree) - before, "the independent count of {}", tree.name());
    tree
}

#[test]
fn every_attempt_has_the_tokens_that_were_written_in_it() {
    if has_all(&["perl", "node"]) {
        let switches: usize = (0..PLAIN).map(|seed| run_and_compare(seed, Shapes::Plain).switches()).sum();
        assert!(switches > 10, "only {switches} switches to another subscription");
    }
}

#[test]
fn rows_that_ccusage_reads_differently_are_counted_correctly() {
    if has_all(&["perl", "node"]) {
        (0..ODD).for_each(|seed| drop(run_and_compare(1000 + seed, Shapes::All)));
    }
}

#[test]
fn ccusage_counts_the_same() {
    if !has_all(&["perl", "node"]) || !has_ccusage() || !crate::netns::is_inside(ccusage_counts_the_same) {
        return;
    }
    for seed in 0..=PLAIN {
        let mut tree = Tree::new(seed, Shapes::Plain);
        let before = by_ccusage(&tree);
        tree.run_every_kind();
        if seed == PLAIN {
            tree.run_long(50_000_000);
        }
        assert_eq!(tree.total().merged(), by_ccusage(&tree) - before, "ccusage's count of {}", tree.name());
    }
}

#[test]
fn a_transcript_of_fifty_megabytes_is_counted_exactly() {
    if !has_all(&["perl", "node"]) {
        return;
    }
    let mut tree = Tree::new(77, Shapes::Plain);
    let before = by_script(&tree);
    let session = tree.run_long(50_000_000);
    assert!(tree.length_of(&session) > 50_000_000);
    tree.run_again(&session);
    tree.assert_every_attempt();
    assert_eq!(tree.total(), by_script(&tree) - before);
}
