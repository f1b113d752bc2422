//! Whose fault a refusal is: the account's for good, a subagent's, the machine's.

use super::*;
use crate::pool::state::UNTIL_RESET;

fn outcome(verdict: Verdict) -> Outcome {
    Outcome {
        verdict,
        usage: Usage::default(),
        readings: BTreeMap::new(),
        rule: "transcript".into(),
        evidence: None,
        act: None,
        also: Vec::new(),
    }
}

fn settle_on(state: &mut State, subscription: &str, outcome: &Outcome, minutes: i64) -> Option<Change> {
    let lease = Lease { since: at(minutes).now, ..Lease::on(subscription) };
    state.settle(&lease, outcome, &Costs::new(), LIMITS, &at(minutes))
}

#[test]
fn an_account_that_a_person_must_repair_is_unhealthy_until_it_is_reset() {
    for verdict in [Verdict::AuthRejected, Verdict::OrganizationRefused, Verdict::BillingRejected] {
        let mut state = State::default();
        let refused = Outcome { act: Some("its terms must be accepted".into()), ..outcome(verdict) };
        let change = settle_on(&mut state, "a", &refused, 0).unwrap();
        assert_eq!((change.to.as_str(), change.until), ("unhealthy", None));
        let unhealthy = state.of(&name()).unhealthy.unwrap();
        assert_eq!((unhealthy.reason.as_str(), unhealthy.until), ("its terms must be accepted", UNTIL_RESET));
        // A success without an answer proves nothing, even after a year.
        settle_on(&mut state, "a", &outcome(Verdict::Succeeded), 366 * 24 * 60);
        assert!(state.of(&name()).unhealthy.is_some());
        state.reset(&name(), "reset", at(1).now);
        assert!(state.of(&name()).unhealthy.is_none());
    }
}

#[test]
fn a_limit_that_someone_must_lift_is_tried_again_after_a_day_then_rarely() {
    for window in ["seat", "allocation", "org_usage", "monthly_spend", "group_pool"] {
        let mut state = State::default();
        let mut begins = 0;
        for days in [1, 2, 4, 7, 7] {
            settle_on(&mut state, "a", &outcome(usage_limit(window, true, None)), begins);
            begins += days * 24 * 60;
            assert_eq!(until(&state), Some(at(begins).now), "{window}: {days} days");
        }
    }
}

#[test]
fn a_limit_that_only_a_subagent_met_is_booked_beside_the_success() {
    let mut state = State::default();
    let answered = Usage { requests: 1, ..Usage::default() };
    let also = vec![usage_limit("five_hour", false, Some(180))];
    let succeeded = Outcome { usage: answered, also, ..outcome(Verdict::Succeeded) };
    let change = settle_on(&mut state, "a", &succeeded, 1).unwrap();
    assert_eq!((change.to.as_str(), change.rule.as_str()), ("rate_limited", "subagent"));
    assert_eq!(until(&state), Some(at(180).now));
}

#[test]
fn subscriptions_that_are_throttled_at_once_are_not_put_away_one_after_another() {
    let throttled = outcome(Verdict::Throttled { retry_after: None });
    let mut state = State::default();
    assert!(settle_on(&mut state, "a", &throttled, 0).is_some());
    for other in ["b", "c", "d"] {
        assert_eq!(settle_on(&mut state, other, &throttled, 0), None);
        assert!(state.of(&other.parse().unwrap()).limits.is_empty());
    }
    // Minutes later it is the subscription's own.
    assert!(settle_on(&mut state, "b", &throttled, 2).is_some());
    // So is a long pause that the provider names.
    let long = outcome(Verdict::Throttled { retry_after: Some(SignedDuration::from_hours(1)) });
    assert!(settle_on(&mut state, "d", &long, 2).is_some());
    // Another kind of refusal at the same time is too.
    assert!(settle_on(&mut state, "c", &outcome(usage_limit("five_hour", false, Some(180))), 2).is_some());
}

#[test]
fn a_403_of_two_subscriptions_within_seconds_is_the_networks() {
    let forbidden = |verdict| Outcome {
        evidence: Some("API Error: 403 Your account does not have access".to_owned()),
        ..outcome(verdict)
    };
    for second in [Verdict::AuthRejected, Verdict::Unreachable] {
        let mut state = State::default();
        let change = settle_on(&mut state, "a", &forbidden(Verdict::AuthRejected), 0).unwrap();
        assert_eq!(change.to, "unhealthy");
        let mark = state.of(&name()).unhealthy.unwrap();
        assert_eq!(mark.reason, "its credential was rejected (HTTP 403)");
        assert_eq!(settle_on(&mut state, "b", &forbidden(second), 0), None);
        for name in ["a", "b"] {
            let known = state.of(&name.parse().unwrap());
            assert_eq!((known.unhealthy, known.consecutive_failures), (None, 0), "{name}");
            assert!(known.changes.is_empty(), "{name}: {:?}", known.changes);
        }
    }
    // Minutes later, with a 401, or for a known reason, it is the account's.
    let known = Outcome { act: Some("its account is disabled".into()), ..forbidden(Verdict::AuthRejected) };
    let unauthorized =
        Outcome { evidence: Some("API Error: 401 x".into()), ..outcome(Verdict::AuthRejected) };
    for (outcome, minutes) in [(&forbidden(Verdict::AuthRejected), 1), (&unauthorized, 0), (&known, 0)] {
        let mut state = State::default();
        settle_on(&mut state, "a", outcome, 0).unwrap();
        settle_on(&mut state, "b", outcome, minutes).unwrap();
        for name in ["a", "b"] {
            assert!(state.of(&name.parse().unwrap()).unhealthy.is_some(), "{name}: {outcome:?}");
        }
    }
}
