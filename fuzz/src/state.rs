//! The state file: any bytes load or are refused, and no state that loads makes a run fail.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use jiff::{SignedDuration, Zoned};

use crate::input::{dir, is_plain, lease, now};
use kage::pool::{
    self, Budgets, Cooldowns, Cost, Credential, Delivery, Moment, Outcome, Pool, Ranking, Reading, Request,
    Route, Scope, Selector, Source, State, Strategy, Subscription, Usage, Verdict, Window,
};
use kage::report::{Overview, details, running, tmux, why};
use kage::store::FileStore;

pub(crate) fn check(data: &[u8]) {
    let now = now();
    let dir = dir().join("state");
    fs::create_dir_all(&dir).expect("a directory can be created");
    let file = dir.join("state.json");
    fs::write(&file, data).expect("the file can be written");
    let look = FileStore::new(&dir).read_strictly();
    assert_eq!(fs::read(&file).expect("the file exists"), data, "reading changes nothing");
    match &look {
        Ok(state) => check_rewrite(state),
        Err(refused) => {
            let why = format!("{refused:#}");
            assert!(why.contains("state.json is damaged") || why.contains("has version"), "{why}");
        }
    }
    // Without the store, which would remove the leases of dead processes.
    if let Ok(state) = serde_json::from_slice::<Whole>(data).map(|whole| whole.state) {
        check_runs(&state, &now);
        check_reports(&state, &now);
    }
}

#[derive(serde::Deserialize)]
struct Whole {
    state: State,
}

/// A state that is written is read back unchanged.
fn check_rewrite(state: &State) {
    let text = serde_json::to_vec(state).expect("a state can be written");
    let again: State = serde_json::from_slice(&text).expect("a written state can be read");
    // A floating-point number may change in its last bit when it is read.
    assert_eq!(serde_json::to_vec(&again).expect("a state can be written").len(), text.len());
    assert_eq!(without_readings(&again), without_readings(state));
}

fn without_readings(state: &State) -> State {
    let mut state = state.clone();
    for known in state.subscriptions.values_mut() {
        known.utilization.values_mut().for_each(|reading| reading.value = 0.0);
    }
    state
}

fn pool(strategy: Strategy) -> Pool {
    let subscription = |(name, priority): (&str, u8)| {
        let name: pool::Name = name.parse().expect("it is a valid name");
        let budgets = Budgets {
            tokens_per_day: Some(1000),
            cost_per_day: Cost::from_dollars(1.0),
            cost_per_month: None,
        };
        let subscription = Subscription {
            name: name.clone(),
            agent: "claude".into(),
            priority,
            tags: vec!["t".into()],
            description: None,
            credential: Credential { source: Source::Keychain, deliver: Delivery::Env },
            max_parallel: (priority > 100).then_some(2),
            env: BTreeMap::new(),
            requests_per_window: (priority < 100).then_some(5),
            budgets: if priority == 100 { budgets } else { Budgets::default() },
            enabled: true,
        };
        (name, subscription)
    };
    let route = Route { primary: vec![Selector::Tag("t".into())], fallback: Vec::new() };
    Pool {
        subscriptions: [("a", 0), ("b", 100), ("c", 255)].map(subscription).into(),
        routes: [("n".parse().expect("it is a valid name"), route)].into(),
        namespaces: [(
            "n".parse().expect("it is a valid name"),
            Budgets { tokens_per_day: Some(5000), ..Budgets::default() },
        )]
        .into(),
        strategy,
        rate_limit_window: SignedDuration::from_mins(1),
        rate_limit_cooldown: SignedDuration::from_mins(5),
        near_limit: 0.9,
    }
}

/// Books any outcome twice; the resulting state can be stored.
pub(crate) fn check_settle(outcome: &Outcome, now: &Zoned) {
    let pool = pool(Strategy::RoundRobin);
    let mut state = State::default();
    settle(&pool, &mut state, outcome, now);
    settle(&pool, &mut state, outcome, now);
    check_rewrite(&state);
}

fn settle(pool: &Pool, state: &mut State, outcome: &Outcome, now: &Zoned) {
    let moment = Moment::from(now);
    let lease = lease(&"a".parse().expect("it is a valid name"), now.timestamp());
    state.settle(&lease, outcome, &BTreeMap::new(), Cooldowns::from(pool), &moment);
}

/// Choosing and settling work with this state, and `why` explains the actual choice.
fn check_runs(state: &State, now: &Zoned) {
    let moment = Moment::from(now);
    for strategy in [Strategy::RoundRobin, Strategy::Priority, Strategy::LeastUsed] {
        let pool = pool(strategy);
        let mut state = state.clone();
        for model in [None, Some("opus".to_owned())] {
            let request =
                Request { agent: "claude".into(), namespace: "n".parse().ok(), model, ..Request::default() };
            let ranked = pool::explain(&pool, &state, &request, &moment);
            assert_eq!(ranked.len(), pool.subscriptions.len());
            assert!(is_plain(&why(&pool, &ranked, &request, now)));
            let first = ranked.first().filter(|one| matches!(one.ranking, Ranking::Ranked { rank: 1, .. }));
            let chosen = pool::take(&pool, &mut state, &request, &moment).ok().map(|chosen| chosen.name);
            assert_eq!(chosen.as_ref(), first.map(|one| &one.name));
            let lease =
                lease(chosen.as_ref().unwrap_or(&"b".parse().expect("it is a valid name")), now.timestamp());
            state.leases.push(lease.clone());
            let window = Window { name: "five_hour".into(), long: false };
            for verdict in [
                Verdict::Throttled { retry_after: None },
                Verdict::UsageLimit { scope: Scope::All, window, resets_at: None },
                Verdict::AuthRejected,
                Verdict::Succeeded,
            ] {
                let reading = Reading { value: 0.5, resets_at: None };
                let outcome = Outcome {
                    verdict,
                    usage: Usage { requests: 2, ..Usage::default() },
                    readings: [("five_hour".to_owned(), reading)].into(),
                    rule: "rule".into(),
                    evidence: None,
                    act: None,
                    also: Vec::new(),
                };
                state.settle(&lease, &outcome, &BTreeMap::new(), Cooldowns::from(&pool), &moment);
                state.credential_failed(&lease.subscription, "reason", moment.now);
            }
            assert!(!state.leases.contains(&lease));
        }
        state.pass_deadlines(moment.now);
        state.rename(&"a".parse().expect("it is a valid name"), &"z".parse().expect("it is a valid name"));
        state.reset(&"b".parse().expect("it is a valid name"), "reset", moment.now);
        state.reap(|_| false);
        check_rewrite(&state);
    }
}

/// Reports of this state contain no escapes.
fn check_reports(state: &State, now: &Zoned) {
    let pool = pool(Strategy::LeastUsed);
    let home = Path::new("/home/user");
    let mut texts = vec![
        Overview { pool: &pool, state, home, now }.text(Some(80)),
        running(&state.leases, home, Some(80), now),
        tmux(&pool, state, Some("a"), now),
    ];
    texts.extend(pool.subscriptions.values().map(|one| details(one, state, "stored", None, now)));
    for text in texts {
        let text = anstream::adapter::strip_str(&text).to_string();
        assert!(is_plain(&text), "{text:?}");
    }
}
