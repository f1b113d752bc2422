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

/// Books so many tokens for `backend`, and tells how far each budget was then that crossed a mark.
fn book(state: &mut State, tokens: u64, at: &str) -> Vec<u128> {
    let lease = Lease { namespace: Some("backend".parse().unwrap()), ..Lease::on("a") };
    let moment = moment(at);
    let add = |state: &mut State| {
        let known: &mut Totals = state.namespaces.entry("backend".parse().unwrap()).or_default();
        let mut today = known.today(&moment);
        today.tokens.input_tokens += tokens;
        known.today = Some(today);
    };
    let ((), crossed) = pool().crossings(state, &lease, &moment, add);
    crossed.iter().map(|gauge| gauge.used).collect()
}

#[test]
fn each_mark_is_told_once_a_day() {
    let mut state = State::default();
    let today = "2026-11-22T10:00:00[UTC]";
    let told: Vec<_> = [79, 1, 5, 14, 1, 50].map(|tokens| book(&mut state, tokens, today)).into();
    assert_eq!(told, [vec![], vec![80], vec![], vec![], vec![100], vec![]]);
    let tomorrow = "2026-11-23T00:00:00[UTC]";
    assert_eq!(book(&mut state, 79, tomorrow), []);
    assert_eq!(book(&mut state, 100, tomorrow), [179], "both marks at once are one event");
}

#[test]
fn a_clock_that_is_behind_books_on_the_budget_of_the_new_day() {
    let mut state = State::default();
    let (evening, morning) = ("2026-11-22T23:58:00[UTC]", "2026-11-23T00:01:00[UTC]");
    assert_eq!(book(&mut state, 90, evening), [90]);
    assert_eq!(book(&mut state, 85, morning), [85]);
    assert_eq!(book(&mut state, 15, evening), [100]);
    assert_eq!(book(&mut state, 80, morning), [], "it was reached before");
}

#[test]
fn nothing_is_told_where_there_is_no_budget() {
    let lease = Lease::on("a");
    let mut state = State::default();
    let ((), crossed) = pool().crossings(&mut state, &lease, &moment("2026-11-22T10:00:00[UTC]"), |_| ());
    assert_eq!(crossed, []);
}
