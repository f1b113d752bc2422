//! kage's tokens against counts that share no code with it, over generated trees of transcripts.

// A failed unwrap is a failed test.
#![allow(clippy::unwrap_used)]

mod counts;
mod plan;
mod random;
mod tree;

use self::counts::{by_another, by_the_peer, has_the_peer};
use self::plan::Shapes;
use self::tree::Tree;
use crate::support::has_all;

/// Trees whose rows the peer tool reads as kage does.
const PLAIN: u64 = 14;
/// Trees with rows on which it does not. They are listed at `Shapes::All`.
const ODD: u64 = 10;

/// Grows a tree and compares each attempt with what was written in it, and the sum with another count.
fn grown(seed: u64, shapes: Shapes) -> Tree {
    let mut tree = Tree::plant(seed, shapes);
    let before = by_another(&tree);
    tree.grow();
    tree.agrees_on_every_attempt();
    assert_eq!(tree.total(), by_another(&tree) - before, "another count of {}", tree.name());
    tree
}

#[test]
fn every_attempt_has_the_tokens_that_were_written_in_it() {
    if has_all(&["perl", "node"]) {
        let switches: usize = (0..PLAIN).map(|seed| grown(seed, Shapes::Plain).switches()).sum();
        assert!(switches > 10, "only {switches} sessions went on elsewhere");
    }
}

#[test]
fn odd_rows_count_as_they_should() {
    if has_all(&["perl", "node"]) {
        (0..ODD).for_each(|seed| drop(grown(1000 + seed, Shapes::All)));
    }
}

#[test]
fn the_peer_tool_counts_the_same() {
    if !has_all(&["perl", "node"])
        || !has_the_peer()
        || !crate::netns::is_inside(the_peer_tool_counts_the_same)
    {
        return;
    }
    for seed in 0..=PLAIN {
        let mut tree = Tree::plant(seed, Shapes::Plain);
        let before = by_the_peer(&tree);
        tree.grow();
        if seed == PLAIN {
            tree.run_long(50_000_000);
        }
        assert_eq!(tree.total().merged(), by_the_peer(&tree) - before, "the peer's count of {}", tree.name());
    }
}

#[test]
fn a_file_of_fifty_megabytes_is_counted_to_the_token() {
    if !has_all(&["perl", "node"]) {
        return;
    }
    let mut tree = Tree::plant(77, Shapes::Plain);
    let before = by_another(&tree);
    let session = tree.run_long(50_000_000);
    assert!(tree.length_of(&session) > 50_000_000);
    tree.run_again(&session);
    tree.agrees_on_every_attempt();
    assert_eq!(tree.total(), by_another(&tree) - before);
}
