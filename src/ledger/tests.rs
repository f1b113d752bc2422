use jiff::{SignedDuration, Zoned};
use proptest::prelude::*;
use tempfile::TempDir;

use super::*;
use crate::pool::{Lease, LeaseId, Name, Record, TokenCount, Usage};

/// A ledger in a temporary directory.
struct Scene {
    dir: TempDir,
    ledger: Ledger,
}

/// An attempt in a test. A part is: hours after the beginning, model, input tokens.
#[derive(Debug, Clone)]
struct Entry {
    time: Timestamp,
    subscription: &'static str,
    namespace: Option<&'static str>,
    cwd: &'static str,
    number: u32,
    verdict: &'static str,
    parts: Vec<(i64, &'static str, u64)>,
}

impl Default for Entry {
    fn default() -> Self {
        Self {
            time: at("2026-11-22T10:00:00Z"),
            subscription: "a",
            namespace: None,
            cwd: "/work",
            number: 1,
            verdict: "succeeded",
            parts: vec![(0, "opus", 10)],
        }
    }
}

fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

fn zone(name: &str) -> TimeZone {
    TimeZone::get(name).unwrap()
}

fn name(text: &str) -> Name {
    text.parse().unwrap()
}

fn tokens(input: u64) -> TokenCount {
    TokenCount { input_tokens: input, cache_read_tokens: 2 * input, ..TokenCount::default() }
}

impl Scene {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let ledger = Ledger::new(dir.path());
        Self { dir, ledger }
    }

    fn append(&self, entry: &Entry) -> Lease {
        let lease = Lease {
            id: LeaseId(format!("run-{}-{}", entry.subscription, entry.time)),
            since: entry.time,
            namespace: entry.namespace.map(name),
            cwd: entry.cwd.to_owned(),
            ..Lease::on(entry.subscription)
        };
        let mut usage = Usage::default();
        for &(hours, model, input) in &entry.parts {
            let at: Zoned = (entry.time + SignedDuration::from_hours(hours)).to_zoned(TimeZone::UTC);
            usage.answered(&at, model, tokens(input));
        }
        self.ledger
            .append(&Attempt {
                lease: &lease,
                number: entry.number,
                session: None,
                verdict: entry.verdict,
                exit: Some(0),
                duration_ms: 5,
                usage: &usage,
            })
            .unwrap();
        lease
    }

    fn ask(&self, query: &Query) -> Answer {
        self.ledger.usage(query, &Prices::default()).unwrap()
    }

    fn month(&self, name: &str) -> PathBuf {
        self.dir.path().join("usage").join(name).with_extension("jsonl")
    }

    fn sums(&self) -> Vec<String> {
        let entries = fs::read_dir(self.dir.path().join("usage/sums")).into_iter().flatten().flatten();
        let mut names: Vec<_> = entries.map(|entry| entry.file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }
}

fn all(by: &[By]) -> Query {
    Query::all(TimeZone::UTC).by(by)
}

/// Returns rows as keys, runs, attempts, limits and input tokens.
fn rows(answer: &Answer) -> Vec<(String, u64, u64, u64, u64)> {
    let text = |key: &Key| match key {
        Key::Day(day) => day.to_string(),
        Key::Hour(hour) => hour.to_string(),
        Key::Text(text) => text.clone(),
    };
    let row = |(keys, tally): (&Keys, &Tally)| {
        let keys: Vec<_> = keys.iter().map(text).collect();
        (keys.join(" "), tally.runs, tally.attempts, tally.limits, tally.tokens.input_tokens)
    };
    answer.rows.iter().map(row).collect()
}

#[test]
fn a_run_that_continued_on_another_subscription_is_one_run_and_two_attempts() {
    let scene = Scene::new();
    scene.append(&Entry { verdict: "usage_limit", ..Entry::default() });
    scene.append(&Entry {
        time: at("2026-11-22T10:01:00Z"),
        subscription: "b",
        number: 2,
        parts: vec![(0, "opus", 5), (0, "haiku", 3)],
        ..Entry::default()
    });
    let answer = scene.ask(&all(&[By::Subscription]));
    assert_eq!(rows(&answer), [("a".into(), 1, 1, 1, 10), ("b".into(), 0, 1, 0, 8)]);
    assert_eq!((answer.total.runs, answer.total.attempts, answer.total.limits), (1, 2, 1));
    assert_eq!(answer.total.tokens, tokens(18));
    assert_eq!(answer.total.duration, SignedDuration::from_millis(10));
    let by_model = scene.ask(&all(&[By::Model]));
    assert_eq!(rows(&by_model), [("haiku".into(), 0, 1, 0, 3), ("opus".into(), 0, 2, 0, 15)]);
    assert_eq!(by_model.total, answer.total);
    let by_verdict = scene.ask(&all(&[By::Verdict]));
    assert_eq!(rows(&by_verdict), [("succeeded".into(), 0, 1, 0, 0), ("usage_limit".into(), 1, 1, 1, 0)]);
}

#[test]
fn tokens_are_counted_on_the_day_of_their_use_and_an_attempt_on_the_day_it_began() {
    let scene = Scene::new();
    scene.append(&Entry {
        time: at("2026-11-30T22:30:00Z"),
        parts: vec![(0, "opus", 1), (1, "opus", 10), (2, "opus", 100), (48, "opus", 1000)],
        ..Entry::default()
    });
    let by_day = rows(&scene.ask(&all(&[By::Day])));
    let expected = [
        ("2026-11-30".into(), 1, 1, 0, 11),
        ("2026-12-01".into(), 0, 0, 0, 100),
        ("2026-12-02".into(), 0, 0, 0, 1000),
    ];
    assert_eq!(by_day, expected);
    let berlin = Query { zone: zone("Europe/Berlin"), ..all(&[By::Day]) };
    let expected = [
        ("2026-11-30".into(), 1, 1, 0, 1),
        ("2026-12-01".into(), 0, 0, 0, 110),
        ("2026-12-02".into(), 0, 0, 0, 1000),
    ];
    assert_eq!(rows(&scene.ask(&berlin)), expected);
    let december = Query { since: Some("2026-12-01".parse().unwrap()), ..all(&[By::Hour]) };
    let expected =
        [("2026-12-01T00:00:00Z".into(), 0, 0, 0, 100), ("2026-12-02T22:00:00Z".into(), 0, 0, 0, 1000)];
    assert_eq!(rows(&scene.ask(&december)), expected);
    let november = Query { until: Some("2026-11-30".parse().unwrap()), ..all(&[]) };
    assert_eq!(scene.ask(&november).total.tokens, tokens(11));
}

#[test]
fn an_answer_contains_only_what_the_query_selects() {
    let scene = Scene::new();
    scene.append(&Entry { namespace: Some("backend"), ..Entry::default() });
    scene.append(&Entry { subscription: "b", namespace: Some("frontend"), cwd: "/é", ..Entry::default() });
    scene.append(&Entry { parts: vec![(0, "opus", 1), (0, "sonnet", 2)], ..Entry::default() });
    let total = |query: Query| {
        let Tally { attempts, tokens, .. } = scene.ask(&query).total;
        (attempts, tokens.input_tokens)
    };
    assert_eq!(total(all(&[])), (3, 23));
    assert_eq!(total(Query { subscription: Some(name("b")), ..all(&[]) }), (1, 10));
    assert_eq!(total(Query { subscription: Some(name("c")), ..all(&[]) }), (0, 0));
    assert_eq!(total(Query { namespace: Some(name("backend")), ..all(&[]) }), (1, 10));
    assert_eq!(total(Query { model: Some("son".into()), ..all(&[]) }), (1, 2));
    assert_eq!(total(Query { model: Some("zzz".into()), ..all(&[By::Model]) }), (0, 0));
    let projects = rows(&scene.ask(&all(&[By::Project])));
    assert_eq!(projects, [("/work".into(), 2, 2, 0, 13), ("/é".into(), 1, 1, 0, 10)]);
}

#[test]
fn a_torn_line_is_reported_and_does_not_damage_the_next_line() {
    let scene = Scene::new();
    let month = scene.month("2026-11");
    scene.append(&Entry::default());
    let whole = fs::read(&month).unwrap();
    for cut in 1..whole.len() - 1 {
        fs::write(&month, [&whole[..], &whole[..cut]].concat()).unwrap();
        let answer = scene.ask(&all(&[]));
        assert_eq!((answer.total.attempts, answer.damaged[0].1), (1, 1), "cut at {cut}");
        scene.append(&Entry::default());
        let answer = scene.ask(&all(&[]));
        assert_eq!((answer.total.attempts, answer.damaged[0].1), (2, 1), "cut at {cut}");
    }
    // Only the newline is missing.
    fs::write(&month, [&whole[..], &whole[..whole.len() - 1]].concat()).unwrap();
    scene.append(&Entry::default());
    let answer = scene.ask(&all(&[]));
    assert_eq!((answer.total.attempts, answer.damaged), (3, vec![]));
}

#[test]
fn sums_of_past_months_are_saved_and_discarded_when_the_file_of_the_month_is_replaced() {
    let scene = Scene::new();
    scene.append(&Entry { time: at("2026-10-05T00:00:00Z"), ..Entry::default() });
    assert_eq!(scene.ask(&all(&[])).total.attempts, 1);
    assert_eq!(scene.sums(), Vec::<String>::new(), "the only month may still grow");
    scene.append(&Entry::default());
    assert_eq!(scene.ask(&all(&[])).total.attempts, 2);
    assert_eq!(scene.sums().len(), 1);
    // Late lines are added; another zone has its own sums; a zone with the same days shares them.
    scene.append(&Entry { time: at("2026-10-06T00:00:00Z"), ..Entry::default() });
    assert_eq!(scene.ask(&all(&[])).total.attempts, 3);
    scene.ask(&Query::all(zone("Africa/Abidjan")));
    assert_eq!(scene.sums().len(), 1);
    scene.ask(&Query::all(zone("Europe/Berlin")));
    assert_eq!(scene.sums().len(), 2);
    // The answer is right even if the saved sums are damaged.
    for odd in [b"".as_slice(), b"\x01", &[0xff; 90], b"\x02\x00\x00"] {
        for file in scene.sums() {
            fs::write(scene.dir.path().join("usage/sums").join(file), odd).unwrap();
        }
        assert_eq!(scene.ask(&all(&[])).total.attempts, 3);
    }
    let sums: Vec<_> =
        scene.sums().iter().map(|file| scene.dir.path().join("usage/sums").join(file)).collect();
    for file in &sums {
        let kept = fs::read(file).unwrap();
        for at in 0..kept.len() {
            let mut changed = kept.clone();
            changed[at] ^= 1;
            fs::write(file, changed).unwrap();
            let answer = scene.ask(&all(&[]));
            assert_eq!((answer.total.attempts, answer.damaged.len()), (3, 0), "byte {at} of {file:?}");
        }
    }
    // Another file of the same name, longer than the one that was summed.
    let other = scene.dir.path().join("other");
    fs::write(&other, fs::read_to_string(scene.month("2026-10")).unwrap().repeat(2)).unwrap();
    fs::rename(&other, scene.month("2026-10")).unwrap();
    assert_eq!(scene.ask(&all(&[])).total.attempts, 5);
    fs::write(scene.month("2026-10"), "").unwrap();
    assert_eq!(scene.ask(&all(&[])).total.attempts, 1, "the file is shorter than the part that was summed");
    scene.ledger.rebuild(&TimeZone::UTC).unwrap();
    assert_eq!(scene.ask(&all(&[])).total.attempts, 1);
}

#[test]
fn pruning_deletes_only_attempts_that_began_before_the_day() {
    let scene = Scene::new();
    for time in
        ["2026-09-30T23:00:00Z", "2026-10-31T22:59:00Z", "2026-10-31T23:00:00Z", "2026-11-22T10:00:00Z"]
    {
        scene.append(&Entry { time: at(time), ..Entry::default() });
    }
    let mut october = fs::read(scene.month("2026-10")).unwrap();
    october.extend_from_slice(b"damaged\n");
    fs::write(scene.month("2026-10"), october).unwrap();
    scene.ask(&all(&[]));
    let day = "2026-11-01".parse().unwrap();
    assert_eq!(scene.ledger.prune(day, &zone("Europe/Berlin")).unwrap(), 2);
    let answer = scene.ask(&all(&[]));
    assert_eq!((answer.total.attempts, answer.damaged[0].1), (2, 1));
    assert!(!scene.month("2026-09").exists());
    assert_eq!(scene.ledger.prune(day, &zone("Europe/Berlin")).unwrap(), 0);
    assert_eq!(Scene::new().ledger.prune(day, &TimeZone::UTC).unwrap(), 0);
}

#[test]
fn the_attempts_of_a_lost_lease_are_found() {
    let scene = Scene::new();
    let record =
        |session: &str| Some(Record { dir: "/r".into(), session: Some(session.into()), cwd: "/".into() });
    let lease = |second: i64, session: &str| Lease {
        since: at("2026-10-31T23:59:00Z") + SignedDuration::from_secs(second),
        record: record(session),
        ..Lease::on("a")
    };
    let append = |lease: &Lease, session: &str| {
        let usage = Usage::default();
        let (verdict, exit, duration_ms) = ("succeeded", None, 0);
        let attempt =
            Attempt { lease, number: 1, session: Some(session), verdict, exit, duration_ms, usage: &usage };
        scene.ledger.append(&attempt).unwrap();
    };
    let lost = lease(0, "s");
    assert_eq!(scene.ledger.trace(&lost), Trace::default());
    // An earlier attempt of its run; two later attempts in the conversation, in the next month; an attempt in
    // another conversation.
    append(&lease(-9, "s"), "s");
    append(&Lease { id: LeaseId("x".into()), ..lease(600, "s") }, "s");
    append(&Lease { id: LeaseId("y".into()), ..lease(90, "s") }, "s");
    append(&Lease { id: LeaseId("z".into()), ..lease(5, "t") }, "t");
    let next = Some(lost.since + SignedDuration::from_secs(90));
    assert_eq!(scene.ledger.trace(&lost), Trace { attempts: 1, is_booked: false, next });
    append(&lost, "s");
    assert_eq!(scene.ledger.trace(&lost), Trace { attempts: 2, is_booked: true, next });
}

fn entries() -> impl Strategy<Value = Vec<Entry>> {
    let subscription = prop::sample::select(vec!["a", "b", "ü"]);
    let namespace = prop::option::of(prop::sample::select(vec!["x", "y"]));
    let cwd = prop::sample::select(vec!["/p", "/q"]);
    let part = (0i64..60, prop::sample::select(vec!["opus", "haiku"]), 0u64..300_000);
    let entry = (0i64..90 * 24, subscription, namespace, cwd, 1u32..3, prop::collection::vec(part, 0..4));
    let entry = entry.prop_map(|(hour, subscription, namespace, cwd, number, parts)| Entry {
        time: at("2026-09-01T00:10:00Z") + SignedDuration::from_hours(hour),
        subscription,
        namespace,
        cwd,
        number,
        parts,
        ..Entry::default()
    });
    prop::collection::vec(entry, 0..30)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(12))]

    /// Queries between the appends save sums; the last answers equal those of a ledger without saved sums.
    #[test]
    fn sums_never_change_an_answer(batches in prop::collection::vec(entries(), 1..4)) {
        let (queried, fresh) = (Scene::new(), Scene::new());
        let by = [vec![], vec![By::Day, By::Subscription], vec![By::Model], vec![By::Project, By::Verdict], vec![By::Hour, By::Namespace]];
        let zones = ["UTC", "America/St_Johns", "Australia/Lord_Howe"].map(zone);
        let since = Some("2026-09-20".parse().unwrap());
        let queries = || by.iter().flat_map(|by| zones.iter().map(|zone| Query { since, ..Query::all(zone.clone()).by(by) }));
        for batch in &batches {
            for entry in batch {
                queried.append(entry);
                fresh.append(entry);
            }
            queries().for_each(|query| drop(queried.ask(&query)));
        }
        for query in queries() {
            let expected = fresh.ask(&query);
            prop_assert_eq!(queried.ask(&query), expected);
            fresh.ledger.sums().clear().unwrap();
        }
        let whole: u64 = batches.iter().flatten().flat_map(|entry| &entry.parts).map(|part| part.2).sum();
        prop_assert_eq!(queried.ask(&all(&[By::Hour])).total.tokens, tokens(whole));
    }
}
