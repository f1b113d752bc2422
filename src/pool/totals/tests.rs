//! Totals around midnight: late bookings, and clocks that differ or change.

use jiff::{SignedDuration, Zoned};
use proptest::prelude::*;
use proptest::sample::select as one_of;

use super::*;
use crate::pool::{
    Budgets, Cooldowns, Lease, LeaseId, Name, Outcome, Pool, Ranking, Request, Rule, State, Verdict, explain,
    take,
};

/// The starts of days around which the tests place their times: first days of a month, days of 23 and 25
/// hours and the days after them, one that begins at one o'clock, and one whose first hour comes twice.
const DAYS: [&str; 9] = [
    "2026-11-22T00:00:00[UTC]",
    "2027-01-01T00:00:00[Asia/Kolkata]",
    "2028-03-01T00:00:00[Pacific/Apia]",
    "2026-03-29T00:00:00[Europe/Berlin]",
    "2026-03-30T00:00:00[Europe/Berlin]",
    "2026-10-26T00:00:00[Europe/Berlin]",
    "2026-11-01T00:00:00[Europe/Berlin]",
    "2026-03-08T01:00:00[America/Havana]",
    "2026-11-01T00:00:00-04:00[America/Havana]",
];
/// The range of minutes around the start of a day. It covers three dates, of which that day is the last.
const FIRST: i64 = -40 * 60;
const LAST: i64 = 20 * 60;

fn zoned(text: &str) -> Zoned {
    text.parse().unwrap()
}

fn at(text: &str) -> Moment {
    Moment::from(&zoned(text))
}

fn minutes_from(day: &Zoned, minutes: i64) -> Zoned {
    day + SignedDuration::from_mins(minutes)
}

fn name(text: &str) -> Name {
    text.parse().unwrap()
}

/// Tokens used at one time, with or without a price.
#[derive(Debug, Clone)]
struct Use {
    at: Zoned,
    tokens: u64,
    priced: bool,
}

impl Use {
    fn count(&self) -> TokenCount {
        TokenCount { input_tokens: self.tokens, ..TokenCount::default() }
    }

    fn cost(&self) -> Cost {
        Cost(if self.priced { u128::from(self.tokens) } else { 0 })
    }
}

/// One attempt: when it began and was booked, and what it used in between.
#[derive(Debug, Clone)]
struct Run {
    began: Zoned,
    booked: Zoned,
    uses: Vec<Use>,
    /// Whether the agent never started.
    never_started: bool,
}

impl Run {
    fn lease(&self, at: usize) -> Lease {
        let namespace = Some(name("n"));
        Lease { id: LeaseId(at.to_string()), since: self.began.timestamp(), namespace, ..Lease::on("a") }
    }

    fn outcome(&self) -> (Outcome, Costs) {
        let mut usage = Usage::default();
        for one in &self.uses {
            usage.answered(&one.at, if one.priced { "priced" } else { "unpriced" }, one.count());
        }
        let priced = usage.slices.iter().filter(|(slice, _)| slice.model == "priced");
        let costs = priced
            .map(|(slice, count)| {
                (slice.clone(), Priced { cost: Cost(count.input_tokens.into()), is_estimate: false })
            })
            .collect();
        let (verdict, readings) = (Verdict::Succeeded, BTreeMap::new());
        (
            Outcome {
                verdict,
                usage,
                readings,
                rule: "exit".into(),
                evidence: None,
                act: None,
                also: Vec::new(),
            },
            costs,
        )
    }
}

fn pool() -> Pool {
    Pool::of(&["a"])
}

fn request() -> Request {
    Request { agent: "claude".into(), namespace: Some(name("n")), ..Request::default() }
}

fn reserve(state: &mut State, moment: &Moment) {
    assert!(take(&pool(), state, &request(), moment).is_ok());
}

/// Ends a run, booked at a time that may differ from `run.booked`.
fn end(state: &mut State, run: &Run, number: usize, booked: &Zoned) {
    let lease = run.lease(number);
    if run.never_started {
        state.undo_reservation(&lease);
    } else {
        let (outcome, costs) = run.outcome();
        state.settle(&lease, &outcome, &costs, Cooldowns::from(&pool()), &booked.into());
    }
}

/// Returns the totals of the subscription and of the namespace.
fn both(state: &State) -> [Totals; 2] {
    let known = state.of(&name("a"));
    let of_namespace = state.namespaces.get("n").cloned().unwrap_or_default();
    [Totals { today: known.today, month: known.month }, of_namespace]
}

/// Generates runs around the start of a day. Each is booked after its last use.
fn runs() -> impl Strategy<Value = (Zoned, Vec<Run>)> {
    let times = (FIRST..LAST, FIRST..LAST, prop::bool::weighted(0.2));
    let uses = prop::collection::vec((0u8..=100, 1u64..1000, any::<bool>()), 0..4);
    let runs = prop::collection::vec((times, uses), 1..6);
    (one_of(&DAYS[..]), runs).prop_map(|(day, runs)| {
        let day = zoned(day);
        let run = |((one, other, never_started), uses)| run_around(&day, [one, other], never_started, uses);
        let runs = runs.into_iter().map(run).collect();
        (day, runs)
    })
}

/// Each of `uses` is a time in percent of the run, a number of tokens, and whether they have a price.
fn run_around(day: &Zoned, minutes: [i64; 2], never_started: bool, uses: Vec<(u8, u64, bool)>) -> Run {
    let [first, last] = [minutes[0].min(minutes[1]), minutes[0].max(minutes[1])];
    let used = |(percent, tokens, priced): (u8, u64, bool)| {
        let minutes = first + (last - first) * i64::from(percent) / 100;
        Use { at: minutes_from(day, minutes), tokens, priced }
    };
    let uses = uses.into_iter().filter(|_| !never_started).map(used).collect();
    Run { began: minutes_from(day, first), booked: minutes_from(day, last), uses, never_started }
}

/// Generates the starts and ends of the runs, in any order in which each run starts before it ends.
fn shuffled(runs: usize) -> impl Strategy<Value = Vec<(usize, bool)>> {
    let twice = (0..runs).chain(0..runs).collect::<Vec<_>>();
    Just(twice).prop_shuffle().prop_map(|order| {
        let is_end = |at: usize| order[..at].contains(&order[at]);
        (0..order.len()).map(|at| (order[at], is_end(at))).collect()
    })
}

#[derive(Debug, PartialEq)]
struct Sums {
    runs: u64,
    tokens: u64,
    cost: Cost,
    unpriced: u64,
    cost_of_month: Cost,
}

/// Returns what the totals of a day and of its month must be.
fn expected(runs: &[Run], day: Date) -> Sums {
    let month = day.first_of_month();
    let mut sums = Sums { runs: 0, tokens: 0, cost: Cost(0), unpriced: 0, cost_of_month: Cost(0) };
    for run in runs {
        sums.runs += u64::from(!run.never_started && run.began.date() == day);
        for one in run.uses.iter().filter(|one| one.at.date() == day) {
            sums.tokens += one.tokens;
            sums.cost += one.cost();
            sums.unpriced += if one.priced { 0 } else { one.tokens };
        }
        for one in run.uses.iter().filter(|one| one.at.date().first_of_month() == month) {
            sums.cost_of_month += one.cost();
        }
    }
    sums
}

fn counted(totals: &Totals, moment: &Moment) -> Sums {
    let Today { runs, tokens, cost, unpriced, .. } = totals.today(moment);
    Sums { runs, tokens: tokens.tokens(), cost, unpriced, cost_of_month: totals.month(moment).cost }
}

proptest! {
    /// The totals of the latest day are those of its runs, in any order of bookings.
    #[test]
    fn the_order_of_bookings_does_not_matter(
        ((_, runs), order) in runs().prop_flat_map(|runs| {
            let order = shuffled(runs.1.len());
            (Just(runs), order)
        })
    ) {
        let mut state = State::default();
        let mut latest: Option<&Zoned> = None;
        for (number, is_end) in order {
            let run = &runs[number];
            if is_end {
                end(&mut state, run, number, &run.booked);
            } else {
                reserve(&mut state, &(&run.began).into());
            }
            let is_booked = !is_end || !run.never_started;
            let time = if is_end { &run.booked } else { &run.began };
            latest = latest.max(is_booked.then_some(time));
        }
        let latest = latest.unwrap();
        for totals in both(&state) {
            prop_assert_eq!(counted(&totals, &latest.into()), expected(&runs, latest.date()), "{:?}", totals);
        }
    }

    /// Any booking at any time keeps the totals of a later day or month, and a run that began before a day is
    /// not undone on that day.
    #[test]
    fn a_booking_removes_nothing_from_a_later_day(
        (day, runs) in runs(),
        steps in prop::collection::vec((any::<prop::sample::Index>(), 0u8..3, FIRST..LAST), 1..12),
    ) {
        let mut state = State::default();
        for (number, kind, minutes) in steps {
            let number = number.index(runs.len());
            let run = Run { never_started: kind == 2, ..runs[number].clone() };
            let time = minutes_from(&day, minutes);
            let before = both(&state);
            if kind == 0 {
                reserve(&mut state, &(&time).into());
            } else {
                end(&mut state, &run, number, &time);
            }
            for (before, after) in before.iter().zip(&both(&state)) {
                let said = format!("{before:?} became {after:?}");
                if let Some(known) = &before.today {
                    let now = after.today.as_ref().unwrap();
                    let sums = |day: &Today| (day.tokens.tokens(), day.cost, day.unpriced);
                    prop_assert!(now.date >= known.date, "{}", said);
                    let was_counted = kind == 2 && run.began.date() >= known.date;
                    let least = known.runs.saturating_sub(u64::from(was_counted));
                    if now.date == known.date {
                        let (now_sums, known_sums) = (sums(now), sums(known));
                        prop_assert!(now_sums.0 >= known_sums.0, "{}", said);
                        prop_assert!(now_sums.1 >= known_sums.1 && now_sums.2 >= known_sums.2, "{}", said);
                        prop_assert!(now.runs >= least, "{}", said);
                    }
                }
                if let Some(known) = &before.month {
                    let now = after.month.as_ref().unwrap();
                    prop_assert!(now.first >= known.first, "{}", said);
                    prop_assert!(now.first > known.first || now.cost >= known.cost, "{}", said);
                }
            }
        }
    }

    /// A budget that is used up on the latest day or in its month is also used up for a kage with a slow
    /// clock, until that day or month ends.
    #[test]
    fn a_slow_clock_reopens_no_budget(
        (day, runs) in runs(),
        earlier in FIRST..LAST,
        of_namespace in any::<bool>(),
        of_month in any::<bool>(),
    ) {
        let mut state = State::default();
        for (number, run) in runs.iter().enumerate() {
            reserve(&mut state, &(&run.began).into());
            end(&mut state, run, number, &run.booked);
        }
        let latest = runs.iter().map(|run| if run.never_started { &run.began } else { &run.booked });
        let latest = latest.max().unwrap();
        let used = vec![Use { at: latest.clone(), tokens: 1, priced: true }];
        let last = Run { began: latest.clone(), booked: latest.clone(), uses: used, never_started: false };
        end(&mut state, &last, runs.len(), latest);
        let used = counted(&both(&state)[0], &latest.into());
        let earlier = minutes_from(&day, earlier).min(latest.clone());
        let mut pool = pool();
        let budgets = if of_month {
            Budgets { cost_per_month: Some(used.cost_of_month), ..Budgets::default() }
        } else {
            Budgets { tokens_per_day: Some(used.tokens), ..Budgets::default() }
        };
        if of_namespace {
            pool.namespaces.insert(name("n"), budgets);
        } else {
            pool.subscriptions.get_mut("a").unwrap().budgets = budgets;
        }
        let last = if of_month { latest.last_of_month().unwrap() } else { latest.clone() };
        let ends = last.tomorrow().unwrap().start_of_day().unwrap().timestamp();
        let candidate = explain(&pool, &state, &request(), &(&earlier).into()).remove(0);
        let Ranking::Excluded(why) = candidate.ranking else { panic!("open at {earlier}: {state:?}") };
        prop_assert_eq!((why.rule, why.until), (Rule::Budget, Some(ends)));
    }
}

/// Returns an attempt in the namespace `n` that used tokens at these times.
fn run(began: &str, uses: &[(&str, u64)]) -> Run {
    let uses = uses.iter().map(|&(time, tokens)| Use { at: zoned(time), tokens, priced: true });
    Run { began: zoned(began), booked: zoned(began), uses: uses.collect(), never_started: false }
}

fn tokens(state: &State, moment: &Moment) -> [u64; 2] {
    both(state).map(|totals| totals.today(moment).tokens.tokens())
}

#[test]
fn undoing_a_run_of_yesterday_does_not_change_todays_count() {
    let mut state = State::default();
    let (evening, morning) = ("2026-11-22T23:59:00[Europe/Berlin]", "2026-11-23T00:01:00[Europe/Berlin]");
    reserve(&mut state, &at(evening));
    reserve(&mut state, &at(morning));
    let unstarted = |began: &str| Run { never_started: true, ..run(began, &[]) };
    end(&mut state, &unstarted(evening), 0, &zoned(morning));
    assert_eq!(both(&state).map(|totals| totals.today(&at(morning)).runs), [1, 1]);
    end(&mut state, &unstarted(morning), 1, &zoned(morning));
    assert_eq!(both(&state).map(|totals| totals.today(&at(morning)).runs), [0, 0]);
}

/// A container in UTC and a shell in California: from four in the afternoon it is already tomorrow in the
/// container.
#[test]
fn in_two_time_zones_the_later_day_counts_for_both() {
    let mut state = State::default();
    let (utc, local) = ("2026-11-23T01:00:00[UTC]", "2026-11-22T18:00:00[America/Los_Angeles]");
    end(&mut state, &run(utc, &[(utc, 100)]), 0, &zoned(utc));
    let before = "2026-11-22T14:30:00[America/Los_Angeles]";
    end(&mut state, &run(before, &[(before, 7), (local, 20)]), 1, &zoned(local));
    assert_eq!(tokens(&state, &at(local)), [120, 120], "usage since the UTC day began");
    assert_eq!(tokens(&state, &at(utc)), [120, 120]);
    let morning = "2026-11-23T09:00:00[America/Los_Angeles]";
    end(&mut state, &run(morning, &[(morning, 3)]), 2, &zoned(morning));
    assert_eq!(tokens(&state, &at(morning)), [123, 123]);
    let next = "2026-11-24T01:00:00[UTC]";
    assert_eq!(tokens(&state, &at(next)), [0, 0]);
}

#[test]
fn the_day_of_a_wrong_clock_does_not_stay() {
    let mut state = State::default();
    let (wrong, right) = ("2027-05-01T12:00:00[UTC]", "2026-11-22T12:00:00[UTC]");
    reserve(&mut state, &at(wrong));
    end(&mut state, &run(wrong, &[(wrong, 100)]), 0, &zoned(wrong));
    assert_eq!(tokens(&state, &at(right)), [0, 0]);
    reserve(&mut state, &at(right));
    end(&mut state, &run(right, &[(right, 5)]), 1, &zoned(right));
    assert_eq!(tokens(&state, &at(right)), [5, 5]);
    assert_eq!(both(&state).map(|totals| totals.month(&at(right)).cost), [Cost(5), Cost(5)]);
}

#[test]
fn a_namespace_is_forgotten_when_its_month_is_over_on_every_clock() {
    let mut state = State::default();
    let autumn = "2026-11-30T23:58:00[UTC]";
    end(&mut state, &run(autumn, &[(autumn, 100)]), 0, &zoned(autumn));
    let other = Request { namespace: Some(name("m")), ..request() };
    for (time, is_known) in
        [("2026-12-01T00:01:00[UTC]", true), (autumn, true), ("2026-12-03T00:00:00[UTC]", false)]
    {
        assert!(take(&pool(), &mut state, &other, &at(time)).is_ok());
        assert_eq!(state.namespaces.contains_key("n"), is_known, "{time}");
    }
}

/// Older versions did not store when a day began.
#[test]
fn a_day_without_a_stored_start_begins_at_midnight() {
    let known = r#"{"today":{"date":"2026-11-23","runs":3,"tokens":{"input_tokens":7}}}"#;
    let state = format!(r#"{{"subscriptions":{{"a":{known}}},"namespaces":{{"n":{known}}}}}"#);
    for (time, counted) in
        [("2026-11-22T23:59:00[Europe/Berlin]", 0), ("2026-11-23T00:01:00[Europe/Berlin]", 1)]
    {
        let mut state: State = serde_json::from_str(&state).unwrap();
        reserve(&mut state, &at(time));
        let uses = [("2026-11-22T22:10:00[Europe/Berlin]", 100), ("2026-11-23T00:00:30[Europe/Berlin]", 5)];
        end(&mut state, &run(time, &uses), 0, &zoned(time));
        assert_eq!(tokens(&state, &at(time)), [12, 12], "{time}");
        assert_eq!(both(&state).map(|totals| totals.today(&at(time)).runs), [3 + counted; 2], "{time}");
    }
}
