//! How the budgets of subscriptions and namespaces affect the choice.

use super::*;
use crate::pool::totals::Totals;

/// Returns the state of a subscription that used this many tokens and cents today, and this many cents this
/// month.
fn used(tokens: u64, today_cents: u128, month_cents: u128) -> SubscriptionState {
    let mut state = SubscriptionState::default();
    let mut today = state.today(&moment());
    today.tokens.output_tokens = tokens;
    today.cost = cents(today_cents);
    let mut month = state.month(&moment());
    month.cost = cents(month_cents);
    (state.today, state.month) = (Some(today), Some(month));
    state
}

fn cents(cents: u128) -> Cost {
    Cost(cents * 10_000_000_000)
}

/// 1,000 tokens and 5 dollars a day, 20 dollars a month.
fn budgets() -> Budgets {
    Budgets { tokens_per_day: Some(1000), cost_per_day: Some(cents(500)), cost_per_month: Some(cents(2000)) }
}

fn why_not(pool: &Pool, state: &State, request: &Request, moment: &Moment) -> Option<(String, String)> {
    let mut excluded =
        explain(pool, state, request, moment).into_iter().filter_map(|one| match one.ranking {
            Ranking::Excluded(why) => Some((why.detail, why.until.unwrap().to_string())),
            Ranking::Ranked { .. } => None,
        });
    excluded.next()
}

#[test]
fn a_budget_that_is_used_up_excludes_until_its_day_or_month_ends() {
    let mut pool = pool(&[("a", 100)]);
    pool.subscriptions.get_mut("a").unwrap().budgets = budgets();
    let (midnight, month_ends) = ("2026-11-23T00:00:00Z", "2026-12-01T00:00:00Z");
    let of_month = "it is out of budget (20.00 USD API-equivalent per month)";
    for (tokens, today, month, expected) in [
        (999, 499, 1999, None),
        (1000, 0, 0, Some(("it is out of budget (1000 tokens per day)", midnight))),
        (0, 500, 500, Some(("it is out of budget (5.00 USD API-equivalent per day)", midnight))),
        (0, 0, 2000, Some((of_month, month_ends))),
        // the budget that lasts longest decides
        (9999, 999, 9999, Some((of_month, month_ends))),
    ] {
        let mut state = State::default();
        know(&mut state, "a", used(tokens, today, month));
        let expected = expected.map(|(detail, until)| (detail.to_owned(), until.to_owned()));
        assert_eq!(why_not(&pool, &state, &request(), &moment()), expected, "{tokens} {today} {month}");
    }
    let mut state = State::default();
    know(&mut state, "a", used(1000, 500, 2000));
    let at = |time: &str| Moment::from(&time.parse().unwrap());
    let tomorrow = why_not(&pool, &state, &request(), &at("2026-11-23T00:00:00[UTC]")).unwrap();
    assert!(tomorrow.0.contains("per month"), "the daily budgets were not reset: {tomorrow:?}");
    assert_eq!(why_not(&pool, &state, &request(), &at("2026-12-01T00:00:00[UTC]")), None);
}

#[test]
fn the_budget_of_a_namespace_covers_its_runs_on_any_subscription() {
    let mut pool = pool(&[("a", 100), ("b", 100)]);
    pool.namespaces.insert(name("backend"), budgets());
    let mut state = State::default();
    let SubscriptionState { today, month, .. } = used(0, 500, 500);
    state.namespaces.insert(name("backend"), Totals { today, month });
    let backend = Request { namespace: Some(name("backend")), ..request() };
    let reason = why_not(&pool, &state, &backend, &moment()).unwrap();
    let clause = "namespace `backend` is out of budget (5.00 USD API-equivalent per day)";
    assert_eq!(reason, (clause.to_owned(), "2026-11-23T00:00:00Z".to_owned()));
    assert_eq!(order(&pool, &state, &backend).1.len(), 2);
    for other in [None, Some(name("frontend"))] {
        let request = Request { namespace: other, ..request() };
        assert!(choose(&pool, &mut state, &request).is_ok());
    }
    // The run would wait for the budget, not for a limit that ends before midnight.
    know(&mut state, "a", limited(Scope::All, in_minutes(5)));
    let not_ready = take(&pool, &mut state, &backend, &moment()).unwrap_err();
    assert_eq!(not_ready.earliest(), Some(moment().end_of(moment().today)));
}

#[test]
fn over_budget_overrules_budgets_and_nothing_else() {
    let mut pool = pool(&[("a", 100), ("b", 100)]);
    pool.subscriptions.get_mut("a").unwrap().budgets = budgets();
    let mut state = State::default();
    know(&mut state, "a", used(0, 500, 500));
    know(&mut state, "b", limited(Scope::All, in_minutes(1)));
    let over = Request { over_budget: true, waits: true, ..request() };
    let selection = take(&pool, &mut state, &over, &moment()).unwrap();
    assert_eq!((selection.name.as_str(), selection.overruled.unwrap().rule), ("a", Rule::Budget));
    let known = state.subscriptions.get_mut("a").unwrap();
    known.limits = limited(Scope::All, in_minutes(1)).limits;
    assert_eq!(order(&pool, &state, &over).1, [("a".into(), "limited"), ("b".into(), "limited")]);
    assert_eq!(order(&pool, &state, &request()).1[0].1, "budget", "until midnight, which is later");
    state.subscriptions.clear();
    know(&mut state, "a", used(0, 500, 500));
    assert_eq!(order(&pool, &state, &over).0, ["b", "a"], "a subscription within its budget ranks first");
}

#[test]
fn a_subscription_that_used_80_percent_of_a_budget_ranks_last() {
    let mut pool = pool(&[("a", 200), ("b", 100)]);
    pool.strategy = Strategy::Priority;
    pool.subscriptions.get_mut("a").unwrap().budgets = budgets();
    for (tokens, today, month, first) in
        [(799, 399, 1599, "a"), (800, 0, 0, "b"), (0, 400, 0, "b"), (0, 0, 1600, "b")]
    {
        let mut state = State::default();
        know(&mut state, "a", used(tokens, today, month));
        assert_eq!(order(&pool, &state, &request()).0[0], first, "{tokens} {today} {month}");
    }
}
