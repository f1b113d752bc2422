mod faults;

use std::collections::BTreeMap;

use jiff::tz::TimeZone;

use super::*;
use crate::pool::{Cost, TokenCount, Usage};

fn name() -> Name {
    "a".parse().unwrap()
}

fn at(minutes: i64) -> Moment {
    let start: jiff::Zoned = "2026-11-22T10:00:00[UTC]".parse().unwrap();
    Moment::from(&(start + SignedDuration::from_mins(minutes)))
}

const LIMITS: Cooldowns = Cooldowns { cooldown: SignedDuration::from_mins(5), window: MINUTE };

/// A run that starts at one minute and settles at another.
fn settle(state: &mut State, began: i64, ends: i64, verdict: Verdict, requests: u64) -> Option<Change> {
    let id = LeaseId(format!("{began}-{ends}"));
    let lease = Lease { id, since: at(began).now, ..Lease::on("a") };
    state.leases.push(lease.clone());
    let count = TokenCount { input_tokens: 12, output_tokens: 34, ..TokenCount::default() };
    let mut usage = Usage { requests, ..Usage::default() };
    if requests > 0 {
        usage.summed(&at(ends).now.to_zoned(TimeZone::UTC), "sonnet", count);
    }
    let readings = BTreeMap::new();
    let outcome = Outcome {
        verdict,
        usage,
        readings,
        rule: "transcript".into(),
        evidence: Some("seen".into()),
        act: None,
        also: Vec::new(),
    };
    state.settle(&lease, &outcome, &Costs::new(), LIMITS, &at(ends))
}

fn usage_limit(window: &str, long: bool, resets_at: Option<i64>) -> Verdict {
    Verdict::UsageLimit {
        scope: Scope::All,
        window: Window { name: window.into(), long },
        resets_at: resets_at.map(|minutes| at(minutes).now),
    }
}

fn until(state: &State) -> Option<Timestamp> {
    state.of(&name()).limits.iter().map(|limit| limit.until).max()
}

#[test]
fn a_limit_holds_until_the_providers_reset_time() {
    let mut state = State::default();
    let change = settle(&mut state, 0, 1, usage_limit("five_hour", false, Some(180)), 0).unwrap();
    assert_eq!((change.to.as_str(), change.until), ("rate_limited", Some(at(180).now)));
    assert_eq!((change.rule.as_str(), change.evidence.as_deref()), ("transcript", Some("seen")));
    assert!(state.leases.is_empty());
    let change = settle(&mut state, 1, 2, usage_limit("seven_day", true, Some(5000)), 0).unwrap();
    assert_eq!((change.to.as_str(), change.until), ("exhausted", Some(at(5000).now)));
}

#[test]
fn a_later_deadline_is_never_shortened_by_an_earlier_one() {
    let mut state = State::default();
    settle(&mut state, 0, 1, usage_limit("five_hour", false, Some(180)), 0);
    assert_eq!(settle(&mut state, 0, 2, usage_limit("five_hour", false, Some(90)), 0), None);
    assert_eq!(until(&state), Some(at(180).now));
    settle(&mut state, 0, 3, Verdict::Throttled { retry_after: None }, 0);
    assert_eq!(until(&state), Some(at(180).now));
}

#[test]
fn a_limit_that_has_reset_already_changes_nothing() {
    let mut state = State::default();
    assert_eq!(settle(&mut state, 0, 200, usage_limit("five_hour", false, Some(180)), 3), None);
    assert_eq!(until(&state), None);
}

#[test]
fn without_a_reset_time_the_pause_doubles_up_to_a_maximum() {
    let pauses = |long: bool, count: i64| -> Vec<i64> {
        let mut state = State::default();
        let mut now = 0;
        let mut seen = Vec::new();
        for _ in 0..count {
            settle(&mut state, now, now, usage_limit("x", long, None), 0);
            let end = until(&state).unwrap();
            seen.push(end.duration_since(at(now).now).as_mins());
            now += seen.last().unwrap() + 1;
        }
        seen
    };
    assert_eq!(pauses(false, 6), [5, 10, 20, 40, 60, 60]);
    assert_eq!(pauses(true, 7), [60, 120, 240, 480, 960, 1440, 1440]);
}

#[test]
fn throttling_pauses_for_seconds_and_never_exhausts() {
    let mut state = State::default();
    settle(&mut state, 0, 0, Verdict::Throttled { retry_after: Some(SignedDuration::from_secs(7)) }, 0);
    assert_eq!(until(&state), Some(at(0).now + SignedDuration::from_secs(7)));
    let mut state = State::default();
    let mut now = 0;
    for _ in 0..20 {
        let change = settle(&mut state, now, now, Verdict::Throttled { retry_after: None }, 0).unwrap();
        assert_eq!(change.to, "rate_limited");
        let pause = until(&state).unwrap().duration_since(at(now).now);
        assert!(pause.as_secs() >= 30 && pause.as_mins() <= 12, "{pause:?}");
        now += 20;
    }
}

#[test]
fn a_limit_of_one_model_leaves_the_subscription_active() {
    let mut state = State::default();
    let verdict = Verdict::UsageLimit {
        scope: Scope::Model("opus".into()),
        window: Window { name: "seven_day_opus".into(), long: true },
        resets_at: Some(at(5000).now),
    };
    let change = settle(&mut state, 0, 1, verdict, 0).unwrap();
    assert_eq!(change.to, "limited for model:opus");
    assert_eq!(state.of(&name()).active_limits(at(1).now).count(), 1);
    // An answer from another model does not remove it.
    settle(&mut state, 2, 3, Verdict::Succeeded, 1);
    assert_eq!(state.of(&name()).active_limits(at(3).now).count(), 1);
}

#[test]
fn a_refused_credential_makes_it_unhealthy_immediately_and_longer_each_time() {
    let mut state = State::default();
    let mut now = 0;
    let mut seen = Vec::new();
    for _ in 0..6 {
        let change = settle(&mut state, now, now, Verdict::AuthRejected, 0).unwrap();
        assert_eq!(change.to, "unhealthy");
        seen.push(change.until.unwrap().duration_since(at(now).now).as_hours());
        now += seen.last().unwrap() * 60;
    }
    assert_eq!(seen, [1, 2, 4, 8, 16, 24]);
}

#[test]
fn runs_refused_at_the_same_time_count_as_one_failure() {
    let mut state = State::default();
    for ends in [1, 2, 3] {
        settle(&mut state, 0, ends, Verdict::AuthRejected, 0);
    }
    let known = state.of(&name());
    assert_eq!((known.consecutive_failures, known.unhealthy.unwrap().until), (1, at(63).now));
}

#[test]
fn a_success_clears_only_what_it_disproves() {
    let mut state = State::default();
    settle(&mut state, 0, 5, Verdict::AuthRejected, 0);
    // This run began before the refusal, so it proves nothing about the time after it.
    assert_eq!(settle(&mut state, 1, 6, Verdict::Succeeded, 1), None);
    assert!(state.of(&name()).unhealthy.is_some());
    let change = settle(&mut state, 7, 8, Verdict::Succeeded, 1).unwrap();
    assert_eq!(change.to, "active");
    assert!(state.of(&name()).unhealthy.is_none());

    settle(&mut state, 9, 10, usage_limit("five_hour", false, Some(180)), 0);
    settle(&mut state, 11, 12, Verdict::Succeeded, 0);
    assert_eq!(until(&state), Some(at(180).now), "an exit status alone removed a limit");
    settle(&mut state, 11, 12, Verdict::Succeeded, 1);
    assert_eq!(until(&state), None);
}

#[test]
fn a_success_without_records_makes_it_healthy_after_the_deadline() {
    let mut state = State::default();
    settle(&mut state, 0, 0, Verdict::BillingRejected, 0);
    assert_eq!(settle(&mut state, 1, 2, Verdict::Succeeded, 0), None);
    assert_eq!(settle(&mut state, 60, 61, Verdict::Succeeded, 0).unwrap().to, "active");
}

#[test]
fn outcomes_that_do_not_concern_the_subscription_change_nothing() {
    let mut state = State::default();
    for verdict in [Verdict::AgentFailed, Verdict::Interrupted, Verdict::Overloaded, Verdict::Succeeded] {
        assert_eq!(settle(&mut state, 0, 1, verdict, 0), None);
    }
    let known = state.of(&name());
    assert_eq!((known.limits.len(), known.unhealthy, known.failures), (0, None, 0));
}

#[test]
fn three_credential_failures_in_a_row_make_it_unhealthy_for_longer_each_time() {
    let mut state = State::default();
    let fail = |state: &mut State, minute: i64| state.credential_failed(&name(), "no secret", at(minute).now);
    fail(&mut state, 0);
    fail(&mut state, 0);
    assert!(state.of(&name()).unhealthy.is_none());
    let mut now = 0;
    let mut seen = Vec::new();
    for _ in 0..7 {
        fail(&mut state, now);
        let end = state.of(&name()).unhealthy.unwrap().until;
        seen.push(end.duration_since(at(now).now).as_mins());
        now += seen.last().unwrap();
    }
    assert_eq!(seen, [1, 2, 4, 8, 16, 30, 30]);
    settle(&mut state, now, now + 1, Verdict::Succeeded, 1);
    let known = state.of(&name());
    assert_eq!((known.failures, known.unhealthy), (0, None));
}

#[test]
fn tokens_count_for_today_and_requests_for_the_window() {
    let mut state = State::default();
    settle(&mut state, 0, 1, Verdict::Succeeded, 5);
    settle(&mut state, 0, 1, usage_limit("five_hour", false, Some(180)), 1);
    let known = state.of(&name());
    assert_eq!(known.today(&at(1)).tokens.tokens(), 92);
    assert_eq!(known.requests.total(LIMITS.window, at(1).now), 4, "the first counts at the start");
    assert_eq!(known.today(&at(24 * 60)).tokens.tokens(), 0);
    assert_eq!(known.recent_tokens(at(1).now), 92);
    assert_eq!(known.recent_tokens(at(6 * 60).now), 0);
}

#[test]
fn an_outcome_counts_even_if_the_lease_is_gone() {
    let mut state = State::default();
    settle(&mut state, 0, 1, usage_limit("five_hour", false, Some(180)), 1);
    let mut reaped = State::default();
    reaped.leases.clear();
    let gone = |state: &mut State| {
        let change = settle(state, 0, 1, usage_limit("five_hour", false, Some(180)), 1);
        state.leases.clear();
        change
    };
    assert_eq!(gone(&mut reaped).unwrap().to, "rate_limited");
    assert_eq!(until(&reaped), until(&state));
}

#[test]
fn a_success_that_proves_nothing_keeps_the_failure_count() {
    let mut state = State::default();
    settle(&mut state, 0, 0, Verdict::AuthRejected, 0);
    settle(&mut state, 60, 61, Verdict::Succeeded, 0);
    let change = settle(&mut state, 62, 62, Verdict::AuthRejected, 0).unwrap();
    assert_eq!(change.until, Some(at(62 + 120).now));
    settle(&mut state, 200, 201, Verdict::Succeeded, 1);
    let change = settle(&mut state, 202, 202, Verdict::AuthRejected, 0).unwrap();
    assert_eq!(change.until, Some(at(202 + 60).now));
}

#[test]
fn reset_clears_limits_and_health_and_keeps_totals() {
    let mut state = State::default();
    settle(&mut state, 0, 1, usage_limit("five_hour", false, Some(180)), 1);
    settle(&mut state, 0, 1, Verdict::AuthRejected, 0);
    state.reset(&name(), "reset", at(2).now);
    let known = state.of(&name());
    assert_eq!((known.limits.len(), known.unhealthy.is_none()), (0, true));
    assert_eq!(known.today(&at(2)).tokens.tokens(), 46);
    assert_eq!(known.changes.last().unwrap().rule, "reset");
}

#[test]
fn a_passed_deadline_makes_it_active_once() {
    let mut state = State::default();
    settle(&mut state, 0, 1, usage_limit("five_hour", false, Some(180)), 0);
    assert_eq!(state.pass_deadlines(at(179).now), [] as [Name; 0]);
    assert_eq!(state.pass_deadlines(at(180).now), [name()]);
    assert_eq!(state.pass_deadlines(at(181).now), [] as [Name; 0]);
    let last = state.of(&name()).changes.pop().unwrap();
    assert_eq!((last.to.as_str(), last.rule.as_str()), ("active", "deadline"));
}

#[test]
fn failures_of_the_provider_and_the_command_line_do_not_concern_the_subscription() {
    let mut state = State::default();
    for verdict in [Verdict::Overloaded, Verdict::Unreachable, Verdict::TimedOut, Verdict::NotStarted] {
        assert_eq!(settle(&mut state, 0, 1, verdict, 0), None);
    }
    assert_eq!(settle(&mut state, 1, 2, Verdict::OrganizationRefused, 0).unwrap().to, "unhealthy");
}

#[test]
fn a_utilization_reading_is_kept() {
    let mut state = State::default();
    let lease = Lease { since: at(0).now, ..Lease::on("a") };
    let reading = Reading { value: 0.42, resets_at: Some(at(60).now) };
    let outcome = Outcome {
        verdict: Verdict::Succeeded,
        usage: Usage::default(),
        readings: BTreeMap::from([("five_hour".to_owned(), reading)]),
        rule: "exit".into(),
        evidence: None,
        act: None,
        also: Vec::new(),
    };
    state.settle(&lease, &outcome, &Costs::new(), LIMITS, &at(1));
    let known = state.of(&name());
    assert_eq!(known.highest_utilization(None, at(2).now), Some(0.42));
    assert_eq!(known.highest_utilization(None, at(60).now), None, "the window has reset");
}

/// Settles an attempt in the namespace `backend` that used, at each of these times, 100 tokens for one dollar
/// and 100 tokens without a price.
fn used(state: &mut State, times: &[&str], ends: &str) {
    let lease = Lease { namespace: Some("backend".parse().unwrap()), ..Lease::on("a") };
    let count = TokenCount { input_tokens: 100, ..TokenCount::default() };
    let mut usage = Usage::default();
    for time in times {
        usage.answered(&time.parse().unwrap(), "priced", count);
        usage.answered(&time.parse().unwrap(), "unpriced", count);
    }
    let priced = usage.slices.keys().filter(|slice| slice.model == "priced");
    let costs: Costs = priced
        .map(|slice| {
            (slice.clone(), crate::pool::Priced { cost: Cost(1_000_000_000_000), is_estimate: false })
        })
        .collect();
    let (verdict, readings) = (Verdict::Succeeded, BTreeMap::new());
    let outcome = Outcome {
        verdict,
        usage,
        readings,
        rule: "exit".into(),
        evidence: None,
        act: None,
        also: Vec::new(),
    };
    state.settle(&lease, &outcome, &costs, LIMITS, &Moment::from(&ends.parse::<jiff::Zoned>().unwrap()));
}

#[test]
fn usage_counts_on_the_day_and_month_of_its_use() {
    let mut state = State::default();
    let ends = "2026-12-01T00:40:00[Europe/Berlin]";
    let times = [
        "2026-11-30T22:10:00[Europe/Berlin]",
        "2026-11-30T23:59:59[Europe/Berlin]",
        "2026-12-01T00:10:00[Europe/Berlin]",
    ];
    used(&mut state, &times, ends);
    let moment = Moment::from(&ends.parse::<jiff::Zoned>().unwrap());
    let namespace = state.namespaces["backend"].clone();
    let known = state.of(&name());
    for (today, month) in
        [(known.today(&moment), known.month(&moment)), (namespace.today(&moment), namespace.month(&moment))]
    {
        assert_eq!((today.tokens.tokens(), today.unpriced), (200, 100), "yesterday counts separately");
        assert_eq!((today.cost, month.cost), (Cost(1_000_000_000_000), Cost(1_000_000_000_000)));
    }
    let later = "2026-12-02T09:00:00[Europe/Berlin]";
    used(&mut state, &["2026-12-01T23:10:00[Europe/Berlin]", later], later);
    let moment = Moment::from(&later.parse::<jiff::Zoned>().unwrap());
    let known = state.of(&name());
    assert_eq!(known.today(&moment).cost, Cost(1_000_000_000_000), "the totals of a new day begin at zero");
    assert_eq!(known.month(&moment).cost, Cost(3_000_000_000_000), "the month continues");
}

#[test]
fn a_run_that_never_started_is_not_counted_for_its_namespace() {
    let mut state = State::default();
    let namespace = Some("backend".parse().unwrap());
    let lease = Lease { namespace, since: at(0).now, ..Lease::on("a") };
    state.namespaces.entry("backend".parse().unwrap()).or_default().count_run(&at(0));
    state.undo_reservation(&lease);
    assert_eq!(state.namespaces["backend"].today(&at(0)).runs, 0);
}

#[test]
fn a_state_from_before_costs_is_read() {
    let old =
        r#"{"subscriptions":{"a":{"today":{"date":"2026-11-22","runs":3,"tokens":{"input_tokens":7}}}}}"#;
    let state: State = serde_json::from_str(old).unwrap();
    let today = state.of(&name()).today(&at(0));
    assert_eq!((today.runs, today.tokens.tokens(), today.cost), (3, 7, Cost::default()));
    let written = serde_json::to_string(&state).unwrap();
    assert!(!written.contains("cost") && !written.contains("namespaces"), "{written}");
    let mut state = state;
    used(&mut state, &["2026-11-22T10:00:00[UTC]"], "2026-11-22T10:00:00[UTC]");
    let written = serde_json::to_string(&state).unwrap();
    assert_eq!(serde_json::from_str::<State>(&written).unwrap(), state);
}
