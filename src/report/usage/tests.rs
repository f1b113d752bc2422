// A method path such as `Usage::json` would fix the lifetime of its receiver.
#![allow(clippy::redundant_closure_for_method_calls)]

use jiff::SignedDuration;
use jiff::Timestamp;
use jiff::civil::date;
use jiff::tz::TimeZone;
use serde_json::json;
use unicode_width::UnicodeWidthStr;

use super::*;
use crate::pool::{Cost, TokenCount};

fn tally(runs: u64, input: u64, output: u64) -> Tally {
    Tally {
        runs,
        attempts: runs,
        tokens: TokenCount { input_tokens: input, output_tokens: output, ..TokenCount::default() },
        ..Tally::default()
    }
}

/// Three rows: one with a price, one without, one partly priced.
fn answer() -> Answer {
    let mut priced = Tally { cost: Cost(12_340_000_000_000), ..tally(5, 1_200_000, 34_000) };
    priced.tokens.cache_read_tokens = 45_000_000;
    priced.limits = 2;
    priced.duration = SignedDuration::from_secs(90);
    let unpriced = Tally { unpriced: 600_000, ..tally(2, 500_000, 100_000) };
    let partly = Tally { cost: Cost(1_200_000_000_000), unpriced: 10_000, ..tally(1, 20_000, 1_000) };
    let mut total = priced;
    total += unpriced;
    total += partly;
    let row = |name: &str, tally| (vec![Key::Text(name.into())], tally);
    let rows = [row("日本語", priced), row("work", unpriced), row("", partly)];
    Answer { rows: rows.into(), total, damaged: vec![] }
}

fn query(by: &[By]) -> Query {
    Query { since: Some(date(2026, 11, 20)), ..Query::all(TimeZone::UTC).by(by) }
}

fn with<T>(query: &Query, answer: &Answer, show: impl Fn(&Usage<'_>) -> T) -> T {
    let now: Zoned = "2026-11-23T10:00:00[UTC]".parse().unwrap();
    let home = Path::new("/home/user");
    show(&Usage { query, answer, prices: "2026-11-01", zone: Some("UTC"), now: &now, home })
}

fn shown(answer: &Answer, by: By, columns: Option<usize>, unicode: bool) -> String {
    let day = |day, tokens| (vec![Key::Day(date(2026, 11, day))], tally(1, tokens, 0));
    let over_time = Answer { rows: [day(20, 500), day(22, 4000)].into(), ..Answer::default() };
    let extras = Extras {
        over_time: &over_time,
        unpriced: &["gpt-\u{1b}6".to_owned()],
        estimated: &[
            ("gpt-\u{1b}7-sol".to_owned(), Some("gpt-6.2-sol".to_owned())),
            ("flash".to_owned(), None),
        ],
    };
    with(&query(&[by]), answer, |usage| table(usage, &extras, &Terminal { columns, unicode }))
}

#[test]
fn a_table_has_bars_a_total_and_notes_on_the_cost() {
    let expected = "\
Usage since 2026-11-20

┌───────────┬──────┬───────┬───────┬────────────┬─────────┬───────────────────┬──────────────────────┐
│ Namespace │ Runs │    In │   Out │ Cache read │ Written │              Cost │                      │
├───────────┼──────┼───────┼───────┼────────────┼─────────┼───────────────────┼──────────────────────┤
│ 日本語    │    5 │  1.2M │ 34.0k │      45.0M │       0 │            $12.34 │ ████████████████████ │
│ work      │    2 │  500k │  100k │          0 │       0 │          unpriced │ █████████▊           │
│ none      │    1 │ 20.0k │  1.0k │          0 │       0 │  $1.20 + unpriced │ ▍                    │
├───────────┼──────┼───────┼───────┼────────────┼─────────┼───────────────────┼──────────────────────┤
│ Total     │    8 │  1.7M │  135k │      45.0M │       0 │ $13.54 + unpriced │                      │
└───────────┴──────┴───────┴───────┴────────────┴─────────┴───────────────────┴──────────────────────┘

Tokens by day (peak 4.0k)
Nov 20 ▁ █  Nov 23

Cost is API-equivalent: what these tokens would cost at public API prices (price table of 2026-11-01), not what you paid.

No price is known for gpt- 6; add prices in `[prices]` of the config.

~ marks an estimate: gpt- 7-sol (at the price of gpt-6.2-sol), flash (cached tokens at the price of input). To replace it, set prices in `[prices]` of the config.
";
    assert_eq!(shown(&answer(), By::Namespace, None, true), expected);
}

#[test]
fn a_locale_without_unicode_has_a_table_in_ascii() {
    let text = shown(&answer(), By::Namespace, Some(70), false);
    assert!(text.contains("| ########## |") && text.contains("\nNov 20 . @  Nov 23\n"), "{text}");
    assert!(text.replace("日本語", "").is_ascii(), "{text}");
}

#[test]
fn a_narrow_terminal_drops_the_least_useful_columns_first() {
    let head = |columns| {
        let text = shown(&answer(), By::Namespace, Some(columns), true);
        assert!(text.lines().all(|line| line.width() <= columns), "{columns}:\n{text}");
        text.lines().nth(3).unwrap().replace(['│', ' '], "")
    };
    assert_eq!(head(102), "NamespaceRunsInOutCachereadWrittenCost");
    assert_eq!(head(90), "NamespaceRunsInOutCost");
    assert_eq!(head(72), "NamespaceInOutCost");
    assert_eq!(head(40), "NamespaceTokensCost");
    assert_eq!(head(30), "NamespaceTokens");
}

#[test]
fn a_directory_starts_with_a_tilde_and_is_cut_in_its_middle() {
    let row = |cwd: &str| (vec![Key::Text(cwd.into())], tally(1, 9, 9));
    let long = "/srv/日本語/プロジェクト/very/long/rocket🚀";
    let rows = [row("/home/user/code/api"), row(long), row("/a\u{1b}[31m\nb")].into();
    let answer = Answer { rows, total: tally(3, 27, 27), damaged: vec![] };
    let wide = shown(&answer, By::Project, None, true);
    assert!(wide.contains("│ ~/code/api ") && wide.contains(long) && wide.contains("│ /a [31m b "), "{wide}");
    let lines = wide.lines().filter(|line| line.starts_with(['┌', '│', '├', '└']));
    let widths: Vec<_> = lines.map(UnicodeWidthStr::width).collect();
    assert!(widths.windows(2).all(|pair| pair[0] == pair[1]), "{wide}");
    for columns in 28..90 {
        let text = shown(&answer, By::Project, Some(columns), true);
        assert!(text.lines().all(|line| line.width() <= columns), "{columns}:\n{text}");
    }
    assert!(shown(&answer, By::Project, Some(40), true).contains("…"));
}

#[test]
fn rows_are_sorted_by_time_and_then_by_tokens() {
    let key = |day, name: &str| vec![Key::Text(name.into()), Key::Day(date(2026, 11, day))];
    let rows = [(key(2, "a"), tally(1, 1, 0)), (key(1, "b"), tally(1, 1, 0)), (key(1, "c"), tally(1, 2, 0))];
    let answer = Answer { rows: rows.into(), ..Answer::default() };
    let order = with(&query(&[By::Subscription, By::Day]), &answer, |usage| {
        usage.rows().into_iter().map(|(keys, _)| keys.clone()).collect::<Vec<_>>()
    });
    assert_eq!(order, [key(1, "c"), key(1, "b"), key(2, "a")]);
}

#[test]
fn json_has_the_grouping_keys_and_null_for_unknown_values() {
    let hour: Timestamp = "2026-11-22T10:00:00Z".parse().unwrap();
    let unpriced = Tally { unpriced: 3, ..tally(1, 2, 1) };
    let rows = [(vec![Key::Text(String::new()), Key::Hour(hour)], unpriced)].into();
    let answer = Answer { rows, total: Tally { cost: Cost(5), unpriced: 3, ..unpriced }, damaged: vec![] };
    let row = |cost| {
        json!({
            "runs": 1, "attempts": 1, "limits": 0, "duration_ms": 0, "input_tokens": 2, "output_tokens": 1,
            "cache_read_tokens": 0, "cache_write_5m_tokens": 0, "cache_write_1h_tokens": 0,
            "reasoning_tokens": 0, "tokens": 3, "cost_usd": cost, "unpriced_tokens": 3,
            "estimated_cost_usd": 0.0,
        })
    };
    let mut only = row(None);
    only["namespace"] = json!(null);
    only["hour"] = json!("2026-11-22T10:00:00Z");
    let expected = json!({
        "schema": 1, "since": "2026-11-20", "until": null, "zone": "UTC", "prices": "2026-11-01",
        "rows": [only], "total": row(Some(5e-12)),
    });
    assert_eq!(with(&query(&[By::Namespace, By::Hour]), &answer, |usage| usage.json()), expected);
}

#[test]
fn csv_has_the_same_columns_as_json() {
    let expected = "namespace,runs,attempts,limits,duration_ms,input_tokens,output_tokens,cache_read_tokens,\
        cache_write_5m_tokens,cache_write_1h_tokens,reasoning_tokens,tokens,cost_usd,unpriced_tokens,\
        estimated_cost_usd\r\n\
        日本語,5,5,2,90000,1200000,34000,45000000,0,0,0,1234000,12.34,0,0.00\r\n\
        work,2,2,0,0,500000,100000,0,0,0,0,600000,,600000,0.00\r\n\
        ,1,1,0,0,20000,1000,0,0,0,0,21000,1.20,10000,0.00\r\n";
    assert_eq!(with(&query(&[By::Namespace]), &answer(), |usage| usage.csv()), expected);
}
