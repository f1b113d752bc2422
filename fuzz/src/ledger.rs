//! The ledger: any bytes can be summed up, and an attempt that is written is read back to the last token.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp, Zoned};

use crate::input::{dir, is_plain, lease, now};
use kage::ledger::{Answer, Attempt, By, Ledger, Query, Tally};
use kage::pool::{Lease, Pool, PromptLength, Slice, State, TokenCount, Usage};
use kage::prices::Prices;
use kage::report::{self, Around, Charts, Terminal};

const BY: [By; 8] =
    [By::Subscription, By::Agent, By::Model, By::Namespace, By::Project, By::Verdict, By::Day, By::Hour];
const LONGEST_LINE: usize = 4096;

/// Lines of a month; or, behind a zero, an attempt that is to be written.
pub(crate) fn check(data: &[u8]) {
    let state = dir().join("ledger");
    let months = state.join("usage");
    drop(fs::remove_dir_all(&months));
    fs::create_dir_all(&months).expect("a directory");
    let ledger = Ledger::new(&state);
    match data.split_first() {
        Some((0, attempt)) => written(&ledger, &months, attempt),
        _ => {
            fs::write(months.join("2026-11.jsonl"), data).expect("it can be written");
            summed_up(&ledger, data);
        }
    }
}

fn asked(ledger: &Ledger, by: &[By]) -> Answer {
    let zone = TimeZone::get("America/St_Johns").unwrap_or(TimeZone::UTC);
    let query = Query { by: by.to_vec(), ..Query::all(zone) };
    ledger.usage(&query, &Prices::default()).expect("lines are read or counted as damaged")
}

/// Each line is an attempt or damaged; however it is told apart, the sums are the same.
fn summed_up(ledger: &Ledger, data: &[u8]) {
    let all = asked(ledger, &[]);
    let torn = !data.is_empty() && !data.ends_with(b"\n");
    let whole = data.split_inclusive(|&byte| byte == b'\n').filter(|line| line.ends_with(b"\n"));
    let lines =
        whole.filter(|line| !line.iter().all(u8::is_ascii_whitespace)).count() as u64 + u64::from(torn);
    let damaged = all.damaged.iter().map(|(_, count)| count).sum::<u64>();
    assert_eq!(all.total.attempts + damaged, lines, "a line is an attempt or damaged");
    for by in BY {
        let told_apart = asked(ledger, &[by]);
        assert_eq!(told_apart.total, all.total, "{by:?}");
        if !matches!(by, By::Model | By::Verdict) {
            let mut sum = Tally::default();
            told_apart.rows.values().for_each(|tally| sum += *tally);
            assert_eq!(sum, all.total, "{by:?}");
        }
    }
    shown(ledger);
}

/// Whatever stands in the lines, a terminal gets no escapes of it, and a spreadsheet no formula.
fn shown(ledger: &Ledger) {
    let (now, home): (Zoned, &Path) = (now(), Path::new("/home/user"));
    let by_day = asked(ledger, &[By::Day, By::Subscription]);
    for by in [By::Model, By::Project, By::Verdict, By::Agent, By::Namespace] {
        let query = Query { by: vec![by], ..Query::all(TimeZone::UTC) };
        let answer = ledger.usage(&query, &Prices::default()).expect("it was read before");
        let usage =
            report::Usage { query: &query, answer: &answer, prices: "2026", zone: None, now: &now, home };
        for terminal in
            [Terminal { columns: Some(60), unicode: true }, Terminal { columns: None, unicode: false }]
        {
            let unpriced = ["odd\u{1b}[31m".to_owned()];
            let around = Around { over_time: &asked(ledger, &[By::Day]), unpriced: &unpriced };
            assert!(is_plain(&report::table(&usage, &around, &terminal)), "{by:?}");
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

/// A small number for each byte; 0 behind the end.
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

fn written(ledger: &Ledger, months: &Path, attempt: &[u8]) {
    let mut bytes = Bytes(attempt);
    let since = Timestamp::from_second(1_795_000_000).expect("it is a time");
    let work = "work".parse().expect("it is a name");
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
    ledger.append(&attempt).expect("it can be written");
    ledger.append(&attempt).expect("it can be written");
    let text = fs::read(months.join("2026-11.jsonl")).expect("it is there");
    let lines: Vec<_> = text.split_inclusive(|&byte| byte == b'\n').collect();
    assert_eq!(lines.len(), 2);
    // Names of models that are longer than any are no business of kage's to cut.
    let odd = usage.slices.keys().any(|slice| slice.model.len() > 64);
    assert!(odd || lines.iter().all(|line| line.len() <= LONGEST_LINE), "{}", lines[0].len());
    let answer = asked(ledger, &[]);
    let mut total = usage.total();
    total += usage.total();
    assert_eq!((answer.total.attempts, answer.total.tokens), (2, total));
    assert!(answer.damaged.is_empty());
}
