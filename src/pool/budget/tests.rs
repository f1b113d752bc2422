use std::collections::BTreeMap;

use jiff::SignedDuration;

use super::*;
use crate::pool::Strategy;
use crate::pool::totals::Totals;
use crate::pool::{Lease, Pool, State};

fn moment(text: &str) -> Moment {
    Moment::from(&text.parse().unwrap())
}

/// A pool in which runs of `backend` may use 100 tokens a day.
fn pool() -> Pool {
    let budgets = Budgets { tokens_per_day: Some(100), ..Budgets::default() };
    Pool {
        subscriptions: BTreeMap::new(),
        routes: BTreeMap::new(),
        namespaces: BTreeMap::from([("backend".parse().unwrap(), budgets)]),
        strategy: Strategy::RoundRobin,
        rate_limit_window: SignedDuration::from_mins(1),
        rate_limit_cooldown: SignedDuration::from_mins(5),
        near_limit: 0.9,
    }
}

/// Books tokens for `backend`. Returns how much is used of each budget that crossed 80 or 100 %.
fn book(state: &mut State, tokens: u64, at: &str) -> Vec<u128> {
    let lease = Lease { namespace: Some("backend".parse().unwrap()), ..Lease::on("a") };
    let moment = moment(at);
    let add = |state: &mut State| {
        let known: &mut Totals = state.namespaces.entry("backend".parse().unwrap()).or_default();
        let mut today = known.today(&moment);
        today.tokens.input_tokens += tokens;
        known.today = Some(today);
    };
    let ((), crossed) = pool().budgets_crossed_by(state, &lease, &moment, add);
    crossed.iter().map(|gauge| gauge.used).collect()
}

#[test]
fn each_threshold_is_reported_once_a_day() {
    let mut state = State::default();
    let today = "2026-11-22T10:00:00[UTC]";
    let crossed: Vec<_> = [79, 1, 5, 14, 1, 50].map(|tokens| book(&mut state, tokens, today)).into();
    assert_eq!(crossed, [vec![], vec![80], vec![], vec![], vec![100], vec![]]);
    let tomorrow = "2026-11-23T00:00:00[UTC]";
    assert_eq!(book(&mut state, 79, tomorrow), []);
    assert_eq!(book(&mut state, 100, tomorrow), [179], "crossing both thresholds is one event");
}

#[test]
fn a_slow_clock_books_on_the_budget_of_the_new_day() {
    let mut state = State::default();
    let (evening, morning) = ("2026-11-22T23:58:00[UTC]", "2026-11-23T00:01:00[UTC]");
    assert_eq!(book(&mut state, 90, evening), [90]);
    assert_eq!(book(&mut state, 85, morning), [85]);
    assert_eq!(book(&mut state, 15, evening), [100]);
    assert_eq!(book(&mut state, 80, morning), [], "the budget was already used up");
}

#[test]
fn nothing_is_reported_without_a_budget() {
    let lease = Lease::on("a");
    let mut state = State::default();
    let moment = moment("2026-11-22T10:00:00[UTC]");
    let ((), crossed) = pool().budgets_crossed_by(&mut state, &lease, &moment, |_| ());
    assert_eq!(crossed, []);
}
