use std::path::Path;

use jiff::civil::date;
use jiff::tz::TimeZone;

use super::*;
use crate::ledger::{By, Query};
use crate::pool::{Pool, State};
use crate::pool::{TokenCount, Utilization};

const ODD: &str = "<script>alert(1)</script>";

fn tally(tokens: u64) -> Tally {
    let tokens = TokenCount { input_tokens: tokens, ..TokenCount::default() };
    Tally { runs: 1, attempts: 1, limits: 1, tokens, ..Tally::default() }
}

fn text(text: &str) -> Key {
    Key::Text(text.to_owned())
}

fn page_of(answer: &Answer, over_time: &Answer, description: &str) -> String {
    let now: Zoned = "2026-11-23T10:00:00[UTC]".parse().unwrap();
    let mut pool = Pool::of(&["work"]);
    let mut state = State::default();
    for (name, subscription) in &mut pool.subscriptions {
        subscription.description = Some(description.to_owned());
        let known = state.subscriptions.entry(name.clone()).or_default();
        let resets_at = "2026-11-23T11:12:00Z".parse().ok();
        let reading = Utilization { value: 0.95, resets_at, read_at: now.timestamp() };
        known.utilization.insert("five_hour".into(), reading);
    }
    let query = Query { since: Some(date(2026, 11, 20)), ..Query::all(TimeZone::UTC).by(&[By::Project]) };
    let home = Path::new("/home/user");
    let usage = Usage { query: &query, answer, prices: "2026-11-01", zone: None, now: &now, home };
    let models = Answer { rows: [(vec![text(ODD)], tally(5))].into(), ..Answer::default() };
    page(&usage, &Charts { over_time, models: &models, pool: &pool, state: &state })
}

#[test]
fn a_name_never_becomes_markup() {
    let answer = Answer { rows: [(vec![text(ODD)], tally(5))].into(), ..Answer::default() };
    let rows = [(vec![Key::Day(date(2026, 11, 21)), text(ODD)], tally(5))].into();
    let page = page_of(&answer, &Answer { rows, ..Answer::default() }, ODD);
    assert!(!page.contains("<script") && !page.contains("<bdi><"), "{page}");
    // Two legends, two columns, the model and its bar, the row, the description.
    assert_eq!(page.matches("&lt;script&gt;alert(1)&lt;/script&gt;").count(), 8, "{page}");
    assert!(page.contains("<h1>20–23 November 2026</h1>"), "{page}");
}

#[test]
fn a_window_has_its_utilization_and_its_reset() {
    let rows = [(vec![Key::Day(date(2026, 11, 21)), text("work")], tally(5))].into();
    let page = page_of(&Answer::default(), &Answer { rows, ..Answer::default() }, "Work account");
    for part in [
        "<p class=\"state active\">active</p>",
        "<bdi>Work account</bdi>",
        "aria-label=\"5-hour window: 95% used\"",
        "<rect class=\"near\" width=\"95.00%\"",
        "resets 11:12 (1h 12m) · read 10:00",
        "(price table of 2026-11-01)",
    ] {
        assert!(page.contains(part), "no {part} in {page}");
    }
}

#[test]
fn a_period_without_runs_has_a_page_too() {
    let page = page_of(&Answer::default(), &Answer::default(), "Work account");
    assert!(page.contains("Nothing ran since 2026-11-20.") && page.contains("Work account"), "{page}");
    assert!(page.contains("<h1>20–23 November 2026</h1>"), "{page}");
}
