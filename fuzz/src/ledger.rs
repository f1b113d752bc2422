//! The ledger: any bytes can be summed up, and a written attempt is read back with all its tokens.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp, Zoned};

use crate::input::{dir, is_plain, lease, now};
use kage::ledger::{Answer, Attempt, By, Ledger, Query, Tally};
use kage::pool::{Lease, Pool, PromptLength, Slice, State, TokenCount, Usage};
use kage::prices::Prices;
use kage::report::{self, Charts, Extras, Terminal};

const BY: [By; 8] =
    [By::Subscription, By::Agent, By::Model, By::Namespace, By::Project, By::Verdict, By::Day, By::Hour];
const LONGEST_LINE: usize = 4096;

/// The input: lines of a month; or, after a zero byte, an attempt to write.
pub(crate) fn check(data: &[u8]) {
    let state = dir().join("ledger");
    let months = state.join("usage");
    drop(fs::remove_dir_all(&months));
    fs::create_dir_all(&months).expect("a directory can be created");
    let ledger = Ledger::new(&state);
    match data.split_first() {
        Some((0, attempt)) => check_write(&ledger, &months, attempt),
        _ => {
            fs::write(months.join("2026-11.jsonl"), data).expect("the file can be written");
            check_sums(&ledger, data);
        }
    }
}

fn run_query(ledger: &Ledger, by: &[By]) -> Answer {
    let zone = TimeZone::get("America/St_Johns").unwrap_or(TimeZone::UTC);
    let query = Query { by: by.to_vec(), ..Query::all(zone) };
    ledger.usage(&query, &Prices::default()).expect("lines are read or counted as damaged")
}

/// Each line is an attempt or damaged; with any grouping the sums are the same.
fn check_sums(ledger: &Ledger, data: &[u8]) {
    let all = run_query(ledger, &[]);
    let torn = !data.is_empty() && !data.ends_with(b"\n");
    let whole = data.split_inclusive(|&byte| byte == b'\n').filter(|line| line.ends_with(b"\n"));
    let lines =
        whole.filter(|line| !line.iter().all(u8::is_ascii_whitespace)).count() as u64 + u64::from(torn);
    let damaged = all.damaged.iter().map(|(_, count)| count).sum::<u64>();
    assert_eq!(all.total.attempts + damaged, lines, "a line is an attempt or damaged");
    for by in BY {
        let grouped = run_query(ledger, &[by]);
        assert_eq!(grouped.total, all.total, "{by:?}");
        if !matches!(by, By::Model | By::Verdict) {
            let mut sum = Tally::default();
            grouped.rows.values().for_each(|tally| sum += *tally);
            assert_eq!(sum, all.total, "{by:?}");
        }
    }
    check_reports(ledger);
}

/// With any lines, reports contain no escapes, no scripts and no formulas.
fn check_reports(ledger: &Ledger) {
    let (now, home): (Zoned, &Path) = (now(), Path::new("/home/user"));
    let by_day = run_query(ledger, &[By::Day, By::Subscription]);
    for by in [By::Model, By::Project, By::Verdict, By::Agent, By::Namespace] {
        let query = Query { by: vec![by], ..Query::all(TimeZone::UTC) };
        let answer = ledger.usage(&query, &Prices::default()).expect("it was read before");
        let usage =
            report::Usage { query: &query, answer: &answer, prices: "2026", zone: None, now: &now, home };
        for terminal in
            [Terminal { columns: Some(60), unicode: true }, Terminal { columns: None, unicode: false }]
        {
            let unpriced = ["odd\u{1b}[31m".to_owned()];
            let extras =
                Extras { over_time: &run_query(ledger, &[By::Day]), unpriced: &unpriced, estimated: &[] };
            assert!(is_plain(&report::table(&usage, &extras, &terminal)), "{by:?}");
        }
        let pool = Pool {
            subscriptions: BTreeMap::new(),
            routes: BTreeMap::new(),
            namespaces: BTreeMap::new(),
            strategy: kage::pool::Strategy::default(),
            rate_limit_window: SignedDuration::from_mins(1),
            rate_limit_cooldown: SignedDuration::from_mins(5),
            near_limit: 0.9,
        };
        let charts = Charts { over_time: &by_day, models: &answer, pool: &pool, state: &State::default() };
        let page = report::page(&usage, &charts);
        assert!(is_plain(&page) && !page.contains("<script"), "{by:?}");
        let csv = usage.csv();
        let formula = |line: &str| line.starts_with(['=', '+', '-', '@']);
        assert!(!csv.split("\r\n").skip(1).any(formula) || csv.contains('"'), "{csv}");
        assert!(usage.json().is_object());
    }
}

/// Numbers and texts from bytes; 0 after the end.
struct Bytes<'a>(&'a [u8]);

impl Bytes<'_> {
    fn next(&mut self) -> u8 {
        let Some((&first, rest)) = self.0.split_first() else { return 0 };
        self.0 = rest;
        first
    }

    fn number(&mut self) -> u64 {
        match self.next() {
            255 => u64::MAX,
            shift => u64::from(self.next()) << (shift % 56),
        }
    }

    fn text(&mut self) -> String {
        let length = usize::from(self.next()).min(self.0.len());
        let (text, rest) = self.0.split_at(length);
        self.0 = rest;
        String::from_utf8_lossy(text).repeat(if length > 64 { 16 } else { 1 })
    }
}

/// A written attempt is one line and is read back completely.
fn check_write(ledger: &Ledger, months: &Path, attempt: &[u8]) {
    let mut bytes = Bytes(attempt);
    let since = Timestamp::from_second(1_795_000_000).expect("it is a valid time");
    let work = "work".parse().expect("it is a valid name");
    let lease = Lease { namespace: None, cwd: bytes.text(), ..lease(&work, since) };
    let mut usage = Usage { requests: 1, ..Usage::default() };
    while !bytes.0.is_empty() {
        let hour = since + SignedDuration::from_hours(i64::from(bytes.next()) * 7);
        let (model, prompt) = (bytes.text(), PromptLength(bytes.next() % 5));
        let count = TokenCount {
            input_tokens: bytes.number(),
            output_tokens: bytes.number(),
            cache_read_tokens: bytes.number(),
            ..TokenCount::default()
        };
        *usage.slices.entry(Slice { hour, model, prompt }).or_default() += count;
    }
    let number = u32::from(bytes.next()) + 1;
    let attempt = Attempt {
        lease: &lease,
        number,
        session: None,
        verdict: "succeeded",
        exit: Some(0),
        duration_ms: 1,
        usage: &usage,
    };
    ledger.append(&attempt).expect("the file can be written");
    ledger.append(&attempt).expect("the file can be written");
    let text = fs::read(months.join("2026-11.jsonl")).expect("the month was written");
    let lines: Vec<_> = text.split_inclusive(|&byte| byte == b'\n').collect();
    assert_eq!(lines.len(), 2);
    // Lines may be longer if a model has an unrealistically long name, which kage does not truncate.
    let odd = usage.slices.keys().any(|slice| slice.model.len() > 64);
    assert!(odd || lines.iter().all(|line| line.len() <= LONGEST_LINE), "{}", lines[0].len());
    let answer = run_query(ledger, &[]);
    let mut total = usage.total();
    total += usage.total();
    assert_eq!((answer.total.attempts, answer.total.tokens), (2, total));
    assert!(answer.damaged.is_empty());
}
