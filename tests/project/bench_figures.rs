//! The figures of docs/performance.md match `benches/figures.json`, and the benchmarks that measure them
//! work.

// A failed unwrap is a failed test.
#![allow(clippy::unwrap_used)]

use std::fs;
use std::path::{Path, PathBuf};

use crate::figures::{Contest, Figures, Kind, Measured, SCHEMA};
use crate::overhead::Extent;

const PAGE: &str = "docs/performance.md";
const BEGIN: &str = "<!-- figures -->\n";
const END: &str = "<!-- end of figures -->\n";

fn file(inside: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(inside)
}

fn checked_in() -> Figures {
    serde_json::from_str(&fs::read_to_string(file("benches/figures.json")).unwrap()).unwrap()
}

/// Checks that a generated file is current. `UPDATE=1 cargo test --test project figures` rewrites it.
fn assert_current(inside: &str, generated: &str) {
    if std::env::var_os("UPDATE").is_some() {
        fs::write(file(inside), generated).unwrap();
    }
    let current = fs::read_to_string(file(inside)).unwrap();
    assert!(current == generated, "{inside} is out of date; UPDATE=1 cargo test --test project figures");
}

#[test]
fn the_chart_and_the_tables_match_the_figures() {
    let figures = checked_in();
    assert_current("benches/overhead.svg", &crate::chart::draw(&figures));
    let text = fs::read_to_string(file(PAGE)).unwrap();
    let (before, rest) = text.split_once(BEGIN).expect("the page has the mark at which the figures begin");
    let (_, after) = rest.split_once(END).expect("the page has the mark at which the figures end");
    let generated = crate::page::part(&figures);
    assert_current(PAGE, &format!("{before}{BEGIN}{generated}{END}{after}"));
    assert!(before.contains("](../benches/overhead.svg)"), "the page does not show the chart");
}

#[test]
fn the_checked_in_figures_are_complete_and_no_count_was_lost() {
    let figures = checked_in();
    assert_eq!(figures.schema, SCHEMA);
    assert!(figures.rounds >= 200, "{} rounds", figures.rounds);
    assert!(figures.relay.is_some());
    assert!(!figures.idle.is_empty());
    assert_eq!(figures.scale.iter().map(|row| row.subscriptions).max(), Some(10_000));
    let of_kage = figures.contention.iter().filter(|row| row.way.contains("kage"));
    let lost = of_kage.map(|row| match row.result {
        Contest::Counted { lost, .. } => lost,
        Contest::Missing(ref why) => panic!("{}: {why}", row.way),
    });
    let lost: Vec<_> = lost.collect();
    assert!(!lost.is_empty() && lost.iter().all(|&lost| lost == 0), "{lost:?}");
}

#[test]
fn a_few_rounds_of_the_overhead_measure_each_row_or_give_a_reason() {
    let rows = crate::overhead::measure(&Extent {
        rounds: 2,
        subscriptions: 2,
        other_builds: vec![crate::support::kage()],
    });
    let (mut of_kage, mut bases) = (0, 0);
    for row in &rows {
        match &row.result {
            Measured::Times { median_ms, p90_ms, ratio } => {
                assert!(0.0 < *median_ms && median_ms <= p90_ms && 0.0 < *ratio, "{row:?}");
                of_kage += usize::from(row.kind == Kind::Kage);
                bases += usize::from(row.kind == Kind::Base && (*ratio - 1.0).abs() < 1e-9);
            }
            Measured::Missing(why) => assert!(!why.is_empty(), "{row:?}"),
        }
    }
    // Three ways to run, three other locations of the secret or the streams, and two rows of the other build.
    let without_keychain = 7;
    assert!(of_kage >= without_keychain && bases == 2, "{rows:#?}");
    let written = serde_json::to_string(&rows).unwrap();
    assert_eq!(serde_json::from_str::<Vec<crate::figures::Row>>(&written).unwrap(), rows);
}

#[test]
fn a_missed_target_shows_the_difference_and_a_missing_row_the_reason() {
    let mut figures = checked_in();
    figures.overhead.truncate(3);
    figures.overhead[1].target = Some(1.5);
    figures.overhead[1].result = Measured::Times { median_ms: 4.0, p90_ms: 5.0, ratio: 1.75 };
    figures.overhead[2].result = Measured::Missing("no such <thing>".into());
    let text = crate::table::all(&figures);
    assert!(text.contains("| 4.00 ms | 5.00 ms | 1.75 | at most 1.5: missed by 0.25 |"), "{text}");
    assert!(text.contains("not measured: no such <thing>"), "{text}");
    let chart = crate::chart::draw(&figures);
    assert!(chart.contains(">1.75</text>") && !chart.contains("no such"), "{chart}");
}

#[test]
fn figures_of_a_busy_machine_say_so() {
    let mut figures = checked_in();
    figures.machine.load = 17.5;
    assert!(crate::table::all(&figures).contains("busy with other work (load 17.5)"));
    figures.machine.load = 1.9;
    assert!(!crate::table::all(&figures).contains("busy"));
}

#[test]
fn growth_that_is_worse_than_linear_is_reported() {
    let mut figures = checked_in();
    let grows = |figures: &mut Figures, with: fn(f64) -> f64| {
        for row in &mut figures.scale {
            let subscriptions = f64::from(u32::try_from(row.subscriptions).unwrap());
            (row.base_ms, row.exec_ms) = (2.0, 3.0 + with(subscriptions));
        }
        crate::table::all(figures)
    };
    let linear = grows(&mut figures, |subscriptions| subscriptions / 1e3);
    assert!(
        linear
            .contains("One more subscription costs 1.00 us up to 1,000, then 1.00 us: no worse than linear."),
        "{linear}"
    );
    assert!(linear.contains("at most 15 ms: met"), "{linear}");
    let squared = grows(&mut figures, |subscriptions| subscriptions * subscriptions / 1e6);
    assert!(squared.contains("us: worse than linear."), "{squared}");
}

#[test]
fn the_chart_escapes_its_text_and_has_no_script() {
    let mut figures = checked_in();
    figures.overhead[1].note = "a < b & \"c\"".into();
    let chart = crate::chart::draw(&figures);
    assert!(chart.contains("a &lt; b &amp; \"c\""), "{chart}");
    for part in ["<script", "href", "onload"] {
        assert!(!chart.contains(part), "{part}");
    }
}
