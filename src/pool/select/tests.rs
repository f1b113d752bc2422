use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};
use proptest::prelude::{any, prop, prop_assert, proptest};

use super::*;
use crate::pool::state::{Unhealthy, Utilization};
use crate::pool::{Budgets, Cost, Credential, Delivery, Lease, Level, Limit, LimitKind, Route, Source};
use crate::pool::{Scope, Strategy};

fn name(text: &str) -> Name {
    text.parse().unwrap()
}

fn moment() -> Moment {
    Moment::from(&"2026-11-22T11:48:00[UTC]".parse().unwrap())
}

fn in_minutes(minutes: i64) -> Timestamp {
    moment().now + SignedDuration::from_mins(minutes)
}

fn subscription(text: &str, priority: u8) -> Subscription {
    Subscription {
        name: name(text),
        agent: "claude".into(),
        priority,
        tags: Vec::new(),
        description: None,
        credential: Credential { source: Source::File, deliver: Delivery::Env },
        max_parallel: None,
        env: BTreeMap::new(),
        requests_per_window: None,
        budgets: Budgets::default(),
        enabled: true,
    }
}

/// A pool of these names and priorities.
fn pool(members: &[(&str, u8)]) -> Pool {
    let subscriptions = members.iter().map(|&(text, priority)| (name(text), subscription(text, priority)));
    Pool {
        subscriptions: subscriptions.collect(),
        routes: BTreeMap::new(),
        namespaces: BTreeMap::new(),
        strategy: Strategy::RoundRobin,
        rate_limit_window: SignedDuration::from_mins(1),
        rate_limit_cooldown: SignedDuration::from_mins(5),
        near_limit: 0.9,
    }
}

fn request() -> Request {
    Request { agent: "claude".into(), ..Request::default() }
}

fn running(on: &[&str]) -> State {
    State { leases: on.iter().map(|text| Lease::on(text)).collect(), ..State::default() }
}

fn limited(scope: Scope, until: Timestamp) -> SubscriptionState {
    let limit =
        Limit { scope, kind: LimitKind::RateLimited, window: "five_hour".into(), since: moment().now, until };
    SubscriptionState { limits: vec![limit], ..SubscriptionState::default() }
}

fn measured(value: f64) -> SubscriptionState {
    let reading = Utilization { value, resets_at: Some(in_minutes(60)), read_at: moment().now };
    SubscriptionState {
        utilization: BTreeMap::from([("five_hour".into(), reading)]),
        ..SubscriptionState::default()
    }
}

fn know(state: &mut State, text: &str, known: SubscriptionState) {
    state.subscriptions.insert(name(text), known);
}

fn choose(pool: &Pool, state: &mut State, request: &Request) -> Result<String, NotReady> {
    take(pool, state, request, &moment()).map(|selection| selection.name.to_string())
}

fn route(primary: &[&str], fallback: &[&str]) -> Route {
    let selectors = |texts: &[&str]| texts.iter().map(|text| text.parse().unwrap()).collect();
    Route { primary: selectors(primary), fallback: selectors(fallback) }
}

/// Returns the eligible names by rank, and the excluded names with their rule.
fn order(pool: &Pool, state: &State, request: &Request) -> (Vec<String>, Vec<(String, &'static str)>) {
    let (mut ranked, mut excluded) = (Vec::new(), Vec::new());
    for candidate in explain(pool, state, request, &moment()) {
        match candidate.ranking {
            Ranking::Ranked { .. } => ranked.push(candidate.name.to_string()),
            Ranking::Excluded(why) => excluded.push((candidate.name.to_string(), why.rule.word())),
        }
    }
    (ranked, excluded)
}

#[test]
fn equal_priorities_give_an_exact_rotation() {
    let pool = pool(&[("a", 100), ("b", 100), ("c", 100)]);
    let mut state = State::default();
    let turns: Vec<_> = (0..9).map(|_| choose(&pool, &mut state, &request()).unwrap()).collect();
    assert_eq!(turns, ["a", "b", "c", "a", "b", "c", "a", "b", "c"]);
}

#[test]
fn work_is_shared_in_proportion_to_priority() {
    let pool = pool(&[("a", 150), ("b", 100), ("c", 50)]);
    let mut state = State::default();
    let turns: Vec<_> = (0..6).map(|_| choose(&pool, &mut state, &request()).unwrap()).collect();
    assert_eq!(turns, ["a", "b", "a", "c", "b", "a"]);
}

#[test]
fn a_subscription_with_priority_zero_is_still_chosen() {
    let pool = pool(&[("a", 0), ("b", 1)]);
    let mut state = State::default();
    let turns: Vec<_> = (0..4).map(|_| choose(&pool, &mut state, &request()).unwrap()).collect();
    assert_eq!(turns, ["a", "b", "a", "b"]);
}

#[test]
fn among_equals_the_one_with_the_fewest_running_agents_is_chosen() {
    let pool = pool(&[("a", 100), ("b", 100), ("c", 100)]);
    assert_eq!(choose(&pool, &mut running(&["a", "a", "c"]), &request()), Ok("b".into()));
    assert_eq!(order(&pool, &running(&["a", "a", "c"]), &request()).0, ["b", "c", "a"]);
}

#[test]
fn priority_chooses_the_highest_and_rotates_among_equals() {
    let mut pool = pool(&[("a", 100), ("b", 200), ("c", 200)]);
    pool.strategy = Strategy::Priority;
    let mut state = State::default();
    let turns: Vec<_> = (0..4).map(|_| choose(&pool, &mut state, &request()).unwrap()).collect();
    assert_eq!(turns, ["b", "c", "b", "c"]);
    assert_eq!(order(&pool, &state, &request()).0, ["b", "c", "a"]);
}

#[test]
fn least_used_compares_utilization_if_all_are_known() {
    let mut pool = pool(&[("a", 100), ("b", 100), ("c", 200)]);
    pool.strategy = Strategy::LeastUsed;
    let mut state = State::default();
    know(&mut state, "a", measured(0.5));
    know(&mut state, "b", measured(0.2));
    know(&mut state, "c", measured(0.5));
    assert_eq!(order(&pool, &state, &request()).0, ["b", "c", "a"]);
}

#[test]
fn least_used_compares_tokens_if_one_utilization_is_unknown() {
    let mut pool = pool(&[("a", 100), ("b", 100)]);
    pool.strategy = Strategy::LeastUsed;
    let mut state = State::default();
    let mut used = measured(0.1);
    used.tokens.add(5000, super::super::state::USAGE_WINDOW, moment().now);
    know(&mut state, "a", used);
    assert_eq!(order(&pool, &state, &request()).0, ["b", "a"]);
}

#[test]
fn subscriptions_near_a_limit_rank_last() {
    let mut pool = pool(&[("a", 200), ("b", 100), ("c", 100), ("d", 1)]);
    pool.strategy = Strategy::Priority;
    pool.subscriptions.get_mut("b").unwrap().budgets.tokens_per_day = Some(100);
    pool.subscriptions.get_mut("c").unwrap().requests_per_window = Some(10);
    let mut state = State::default();
    know(&mut state, "a", measured(0.9));
    let mut spent = SubscriptionState::default();
    let mut today = spent.today(&moment());
    today.tokens.output_tokens = 80;
    spent.today = Some(today);
    know(&mut state, "b", spent);
    let mut busy = SubscriptionState::default();
    busy.requests.add(8, pool.rate_limit_window, moment().now);
    know(&mut state, "c", busy);
    assert_eq!(order(&pool, &state, &request()).0, ["d", "a", "b", "c"]);
}

#[test]
fn each_rule_excludes_and_is_reported() {
    let mut pool = pool(&[
        ("agent", 1),
        ("budget", 1),
        ("disabled", 1),
        ("free", 1),
        ("limited", 1),
        ("parallel", 1),
        ("route", 1),
        ("sick", 1),
        ("tag", 1),
        ("tried", 1),
    ]);
    for member in pool.subscriptions.values_mut().filter(|member| member.name.as_str() != "tag") {
        member.tags = vec!["t".into()];
    }
    pool.subscriptions.get_mut("agent").unwrap().agent = "codex".into();
    pool.subscriptions.get_mut("disabled").unwrap().enabled = false;
    pool.subscriptions.get_mut("parallel").unwrap().max_parallel = Some(2);
    pool.subscriptions.get_mut("budget").unwrap().requests_per_window = Some(1);
    let all_but_one = ["agent", "budget", "disabled", "free", "limited", "parallel", "sick", "tag", "tried"];
    pool.routes.insert(name("ns"), route(&all_but_one, &[]));
    let mut state = running(&["parallel", "parallel"]);
    know(&mut state, "limited", limited(Scope::All, in_minutes(72)));
    let mut spent = SubscriptionState::default();
    spent.requests.add(1, pool.rate_limit_window, moment().now);
    know(&mut state, "budget", spent);
    let unhealthy = Unhealthy { reason: "refused".into(), since: moment().now, until: in_minutes(9) };
    know(
        &mut state,
        "sick",
        SubscriptionState { unhealthy: Some(unhealthy), ..SubscriptionState::default() },
    );
    let request = Request {
        namespace: Some(name("ns")),
        tags: vec!["t".into()],
        tried: vec![name("tried")],
        ..request()
    };
    let (ranked, excluded) = order(&pool, &state, &request);
    assert_eq!(ranked, ["free"]);
    let rules: Vec<_> = excluded.iter().map(|(text, rule)| (text.as_str(), *rule)).collect();
    assert_eq!(
        rules,
        [
            ("agent", "agent"),
            ("budget", "budget"),
            ("disabled", "disabled"),
            ("limited", "limited"),
            ("parallel", "parallel"),
            ("route", "route"),
            ("sick", "unhealthy"),
            ("tag", "tag"),
            ("tried", "tried"),
        ]
    );
}

#[test]
fn a_limited_subscription_is_skipped_until_reset() {
    let pool = pool(&[("a", 100)]);
    let mut state = State::default();
    know(&mut state, "a", limited(Scope::All, in_minutes(1)));
    let refused = choose(&pool, &mut state, &request()).unwrap_err();
    let NotReady::Excluded(candidates) = refused else { panic!("{refused:?}") };
    let Ranking::Excluded(why) = &candidates[0].ranking else { panic!("{candidates:?}") };
    assert_eq!((why.rule, why.until), (Rule::Limited, Some(in_minutes(1))));
    let later = Moment { now: in_minutes(1), ..moment() };
    assert!(take(&pool, &mut state, &request(), &later).is_ok());
}

#[test]
fn a_limit_of_one_model_excludes_only_requests_for_it_and_ranks_others_last() {
    let pool = pool(&[("a", 200), ("b", 100)]);
    let mut state = State::default();
    know(&mut state, "a", limited(Scope::Model("opus".into()), in_minutes(60)));
    assert_eq!(order(&pool, &state, &request()).0, ["b", "a"]);
    let opus = Request { model: Some("opus".into()), ..request() };
    assert_eq!(order(&pool, &state, &opus), (vec!["b".into()], vec![("a".into(), "limited")]));
}

#[test]
fn after_its_deadline_an_unhealthy_subscription_is_tried_by_one_run() {
    let pool = pool(&[("a", 100)]);
    let unhealthy = Unhealthy { reason: "x".into(), since: moment().now, until: moment().now };
    let known = SubscriptionState { unhealthy: Some(unhealthy), ..SubscriptionState::default() };
    let mut state = State::default();
    know(&mut state, "a", known.clone());
    assert_eq!(choose(&pool, &mut state, &request()), Ok("a".into()));
    let mut probing = running(&["a"]);
    know(&mut probing, "a", known);
    assert_eq!(order(&pool, &probing, &request()).1, [("a".to_owned(), "unhealthy")]);
}

#[test]
fn a_route_is_a_closed_set_and_its_fallback_is_chosen_when_nothing_else_is_ready() {
    let mut pool = pool(&[("a", 100), ("b", 100), ("c", 200)]);
    pool.routes.insert(name("ns"), route(&["a"], &["b"]));
    let routed = Request { namespace: Some(name("ns")), ..request() };
    let mut state = State::default();
    assert_eq!(order(&pool, &state, &routed), (vec!["a".into(), "b".into()], vec![("c".into(), "route")]));
    know(&mut state, "a", limited(Scope::All, in_minutes(1)));
    assert_eq!(choose(&pool, &mut state, &routed), Ok("b".into()));
    know(&mut state, "b", limited(Scope::All, in_minutes(1)));
    assert!(choose(&pool, &mut state, &routed).is_err(), "work left its closed set");
}

#[test]
fn the_routes_of_namespace_and_level_intersect() {
    let mut pool = pool(&[("a", 100), ("b", 100), ("c", 100)]);
    pool.subscriptions.get_mut("b").unwrap().tags = vec!["audited".into()];
    pool.routes.insert(name("ns"), route(&["a", "tag:audited"], &[]));
    pool.routes.insert(name("high"), route(&["b", "c"], &[]));
    pool.routes.insert(name("batch"), route(&["c"], &[]));
    let request_at = |level| Request { namespace: Some(name("ns")), level, ..request() };
    assert_eq!(order(&pool, &State::default(), &request_at(Level::High)).0, ["b"]);
    assert_eq!(order(&pool, &State::default(), &request_at(Level::Normal)).0, ["a", "b"]);
    let refused = choose(&pool, &mut State::default(), &request_at(Level::Batch));
    assert_eq!(refused, Err(NotReady::EmptyRoute(vec!["ns".into(), "batch".into()])));
}

#[test]
fn naming_a_subscription_overrules_limits_and_routes_but_not_its_settings() {
    let mut pool = pool(&[("a", 100), ("b", 100)]);
    let mut state = State::default();
    know(&mut state, "a", limited(Scope::All, in_minutes(1)));
    let named = Request { only: Some(name("a")), ..request() };
    let selection = take(&pool, &mut state, &named, &moment()).unwrap();
    assert_eq!(selection.overruled.map(|why| why.rule), Some(Rule::Limited));
    pool.subscriptions.get_mut("a").unwrap().max_parallel = Some(1);
    state.leases = vec![Lease::on("a")];
    assert!(choose(&pool, &mut state, &named).is_err(), "max_parallel was exceeded");
    state.leases.clear();
    pool.subscriptions.get_mut("a").unwrap().enabled = false;
    assert!(choose(&pool, &mut state, &named).is_err(), "a disabled subscription was used");
}

#[test]
fn a_resumed_conversation_prefers_the_subscription_that_ran_it() {
    let pool = pool(&[("a", 200), ("b", 100)]);
    let resumed = Request { prefer: Some(name("b")), ..request() };
    let mut state = State::default();
    assert_eq!(choose(&pool, &mut state, &resumed), Ok("b".into()));
    know(&mut state, "b", limited(Scope::All, in_minutes(1)));
    assert_eq!(choose(&pool, &mut state, &resumed), Ok("a".into()));
}

#[test]
fn an_empty_pool_is_reported() {
    assert_eq!(choose(&pool(&[]), &mut State::default(), &request()), Err(NotReady::EmptyPool));
}

#[test]
fn explaining_changes_nothing_and_ranks_the_next_choice_first() {
    let pool = pool(&[("a", 150), ("b", 100), ("c", 50)]);
    let mut state = State::default();
    for _ in 0..12 {
        let before = state.clone();
        let first = order(&pool, &state, &request()).0[0].clone();
        assert_eq!(state, before);
        assert_eq!(choose(&pool, &mut state, &request()), Ok(first));
    }
}

proptest! {
    /// Each subscription receives its share, for any number of overlapping runs of any length.
    #[test]
    fn shares_stay_proportional_no_matter_when_runs_end(
        weights in prop::collection::vec(20u8..=200, 2..6),
        parallel in 1usize..12,
        ends in prop::collection::vec(any::<prop::sample::Index>(), 400),
    ) {
        let names: Vec<String> = (0..weights.len()).map(|at| format!("s{at}")).collect();
        let members: Vec<_> = names.iter().map(String::as_str).zip(weights.iter().copied()).collect();
        let pool = pool(&members);
        let mut state = State::default();
        let mut counts: BTreeMap<String, i64> = BTreeMap::new();
        for end in &ends {
            if state.leases.len() >= parallel {
                state.leases.remove(end.index(state.leases.len()));
            }
            let chosen = choose(&pool, &mut state, &request()).unwrap();
            state.leases.push(Lease::on(&chosen));
            *counts.entry(chosen).or_default() += 1;
        }
        let total: i64 = weights.iter().map(|&weight| i64::from(weight)).sum();
        for (text, weight) in members {
            let count = counts.get(text).copied().unwrap_or(0);
            let share = 400 * i64::from(weight) / total;
            prop_assert!((count - share).abs() <= 3, "{text}: {count} of {share}, {weights:?}");
        }
    }

    /// While runs only start, the numbers of agents on subscriptions of equal weight differ by at most one.
    #[test]
    fn equal_weights_stay_within_one(members in 1usize..8, runs in 1usize..60) {
        let names: Vec<String> = (0..members).map(|at| format!("s{at}")).collect();
        let pool = pool(&names.iter().map(|text| (text.as_str(), 100)).collect::<Vec<_>>());
        let mut state = State::default();
        for _ in 0..runs {
            let chosen = choose(&pool, &mut state, &request()).unwrap();
            state.leases.push(Lease::on(&chosen));
        }
        let counts: Vec<_> = names.iter().map(|text| state.running(&name(text))).collect();
        prop_assert!(counts.iter().max().unwrap() - counts.iter().min().unwrap() <= 1, "{counts:?}");
    }
}

mod budgets;
