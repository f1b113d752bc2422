use jiff::SignedDuration;

use super::*;
use crate::ledger::Tally;
use crate::pool::{Cost, Lease, Limit, LimitKind, Scope, TokenCount, Utilization};

fn answer(names: &[&str], tally: Tally) -> Answer {
    let keys = names.iter().map(|name| Key::Text((*name).to_owned())).collect();
    Answer { rows: [(keys, tally)].into(), ..Answer::default() }
}

fn state(now: Timestamp) -> State {
    let at = |hours| now + SignedDuration::from_hours(hours);
    let read = |value, resets_at| Utilization { value, resets_at, read_at: now };
    let mut state = State { leases: vec![Lease::on("work")], ..State::default() };
    let known = state.subscriptions.entry("work".parse().unwrap()).or_default();
    known.utilization.insert("five_hour".into(), read(0.425, Some(at(1))));
    known.utilization.insert("over".into(), read(0.9, Some(at(-1))));
    known.utilization.insert("quota".into(), read(0.5, None));
    let window = "five_hour".to_owned();
    let (scope, kind) = (Scope::All, LimitKind::RateLimited);
    known.limits.push(Limit { scope, kind, window, since: now, until: at(1) });
    state
}

#[test]
fn counters_and_gauges_end_with_an_eof_line() {
    let now = "2026-11-22T10:00:00Z".parse().unwrap();
    let tokens = TokenCount { input_tokens: 7, output_tokens: 5, ..TokenCount::default() };
    let tally = Tally { runs: 3, attempts: 4, tokens, cost: Cost(1_500_000_000_000), ..Tally::default() };
    let pool = Pool::of(&["work"]);
    let text = metrics(&Metrics {
        attempts: &answer(&["work", "claude", "succeeded"], tally),
        models: &answer(&["work", "a\"b\\c\nd"], tally),
        pool: &pool,
        state: &state(now),
        now,
    });
    let expected = r#"# TYPE kage_runs counter
# HELP kage_runs Runs of kage exec that started on the subscription.
kage_runs_total{subscription="work"} 3
# TYPE kage_attempts counter
# HELP kage_attempts Starts of an agent, by verdict.
kage_attempts_total{subscription="work",agent="claude",verdict="succeeded"} 4
# TYPE kage_tokens counter
# UNIT kage_tokens tokens
# HELP kage_tokens Tokens, by kind; each kind has its own price.
kage_tokens_total{subscription="work",model="a\"b\\c\nd",kind="input"} 7
kage_tokens_total{subscription="work",model="a\"b\\c\nd",kind="output"} 5
kage_tokens_total{subscription="work",model="a\"b\\c\nd",kind="cache_read"} 0
kage_tokens_total{subscription="work",model="a\"b\\c\nd",kind="cache_write_5m"} 0
kage_tokens_total{subscription="work",model="a\"b\\c\nd",kind="cache_write_1h"} 0
# TYPE kage_cost_usd counter
# UNIT kage_cost_usd usd
# HELP kage_cost_usd API-equivalent cost of tokens with a known price; not what you paid.
kage_cost_usd_total{subscription="work",model="a\"b\\c\nd"} 1.5
# TYPE kage_subscription_status gauge
# HELP kage_subscription_status 1 for the current status, 0 for the others.
kage_subscription_status{subscription="work",status="active"} 0
kage_subscription_status{subscription="work",status="rate_limited"} 1
kage_subscription_status{subscription="work",status="exhausted"} 0
kage_subscription_status{subscription="work",status="unhealthy"} 0
kage_subscription_status{subscription="work",status="disabled"} 0
# TYPE kage_running_agents gauge
# HELP kage_running_agents Agents that are running.
kage_running_agents{subscription="work"} 1
# TYPE kage_utilization_ratio gauge
# UNIT kage_utilization_ratio ratio
# HELP kage_utilization_ratio Utilization of a window, as last read.
kage_utilization_ratio{subscription="work",window="five_hour"} 0.425
kage_utilization_ratio{subscription="work",window="quota"} 0.5
# TYPE kage_reset_seconds gauge
# UNIT kage_reset_seconds seconds
# HELP kage_reset_seconds Time until the window resets.
kage_reset_seconds{subscription="work",window="five_hour"} 3600
# TYPE kage_limit_seconds gauge
# UNIT kage_limit_seconds seconds
# HELP kage_limit_seconds Time until the limit ends.
kage_limit_seconds{subscription="work",scope="all",window="five_hour"} 3600
# EOF
"#;
    assert_eq!(text, expected);
}

#[test]
fn unpriced_tokens_have_no_cost() {
    let tokens = TokenCount { input_tokens: 7, ..TokenCount::default() };
    let unpriced = answer(&["work", "a"], Tally { tokens, unpriced: 7, ..Tally::default() });
    let [_, cost] = super::tokens(&unpriced);
    assert_eq!(cost.samples, Vec::<String>::new());
}
