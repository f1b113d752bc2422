use jiff::{SignedDuration, Zoned};

use super::*;
use crate::agent::Evidence;

fn error(kind: Kind) -> ProviderError {
    ProviderError::new(kind, "what the user saw", "a record")
}

fn limit(window: Option<(&str, bool)>, resets_at: Option<&str>) -> ProviderError {
    ProviderError {
        window: window.map(|(name, long)| Window { name: name.into(), long }),
        resets_at: resets_at.map(|at| at.parse().unwrap()),
        ..error(Kind::UsageLimit)
    }
}

fn outcome(exit: Exit, errors: &[ProviderError], said: &[&str]) -> Outcome {
    let now: Zoned = "2026-11-22T10:10:00[UTC]".parse().unwrap();
    let said = said.iter().map(|&line| line.to_owned()).collect();
    let evidence = Evidence { errors: errors.to_vec(), said, ..Evidence::default() };
    judge(&Case { exit, evidence: &evidence, more: &[], model: None, now: &now }, || {
        crate::agent::Agent::markers(&crate::agent::claude::Claude)
    })
}

fn verdict(exit: Exit, errors: &[ProviderError]) -> Verdict {
    outcome(exit, errors, &[]).verdict
}

const SOON: Option<&str> = Some("2026-11-22T13:00:00Z");

#[test]
fn every_kind_of_error_has_its_verdict() {
    for (kind, expected) in [
        (Kind::Throttled, Verdict::Throttled { retry_after: None }),
        (Kind::Overloaded, Verdict::Overloaded),
        (Kind::Network, Verdict::Unreachable),
        (Kind::Timeout, Verdict::TimedOut),
        (Kind::Auth, Verdict::AuthRejected),
        (Kind::Organization, Verdict::OrganizationRefused),
        (Kind::Billing, Verdict::BillingRejected),
        (Kind::Startup, Verdict::NotStarted),
        (Kind::None, Verdict::AgentFailed),
    ] {
        assert_eq!(verdict(Exit::Code(1), &[error(kind)]), expected, "{kind:?}");
    }
    let pause = SignedDuration::from_secs(45);
    let slow = ProviderError { retry_after: Some(pause), ..error(Kind::Throttled) };
    assert_eq!(verdict(Exit::Code(1), &[slow]), Verdict::Throttled { retry_after: Some(pause) });
}

#[test]
fn a_reset_too_far_in_the_future_is_not_believed() {
    let year = SignedDuration::from_hours(366 * 24);
    for (pause, believed) in [(year, Some(year)), (year * 2, None), (SignedDuration::MAX, None)] {
        let slow = ProviderError { retry_after: Some(pause), ..error(Kind::Throttled) };
        assert_eq!(verdict(Exit::Code(1), &[slow]), Verdict::Throttled { retry_after: believed });
    }
    for (until, believed) in
        [("2027-11-22T10:10:00Z", true), ("2029-01-01T00:00:00Z", false), ("9999-12-30T22:00:00Z", false)]
    {
        let Verdict::UsageLimit { resets_at, .. } = verdict(Exit::Code(1), &[limit(None, Some(until))])
        else {
            panic!("expected a usage limit");
        };
        assert_eq!(resets_at, Some(until.parse().unwrap()).filter(|_| believed), "{until}");
    }
}

#[test]
fn a_limit_keeps_its_scope_window_and_reset() {
    let opus = ProviderError {
        scope: Scope::Model("opus".into()),
        ..limit(Some(("seven_day_opus", true)), Some("2026-11-25T10:00:00Z"))
    };
    let expected = Verdict::UsageLimit {
        scope: Scope::Model("opus".into()),
        window: Window { name: "seven_day_opus".into(), long: true },
        resets_at: Some("2026-11-25T10:00:00Z".parse().unwrap()),
    };
    assert_eq!(verdict(Exit::Code(1), &[opus]), expected);
    let nameless = Verdict::UsageLimit {
        scope: Scope::All,
        window: Window { name: "usage".into(), long: false },
        resets_at: None,
    };
    assert_eq!(verdict(Exit::Code(1), &[limit(None, None)]), nameless);
}

#[test]
fn the_limit_of_a_session_that_exits_with_0_counts() {
    for exit in [Exit::Code(0), Exit::Code(1), Exit::Code(143), Exit::Signal(15)] {
        let verdict = verdict(exit, &[limit(Some(("five_hour", false)), SOON)]);
        assert!(matches!(verdict, Verdict::UsageLimit { .. }), "{exit:?}: {verdict:?}");
    }
}

#[test]
fn an_error_followed_by_an_answer_is_over_unless_it_limits_one_model() {
    let answered = |error: ProviderError| ProviderError { answered_since: true, ..error };
    for over in [limit(None, SOON), error(Kind::Throttled), error(Kind::Auth), error(Kind::Overloaded)] {
        assert_eq!(verdict(Exit::Code(0), &[answered(over)]), Verdict::Succeeded);
    }
    let opus = ProviderError { scope: Scope::Model("opus".into()), ..answered(limit(None, SOON)) };
    assert!(matches!(
        verdict(Exit::Code(0), std::slice::from_ref(&opus)),
        Verdict::UsageLimit { scope: Scope::Model(_), .. }
    ));
    assert_eq!(verdict(Exit::Code(1), &[opus, error(Kind::Auth)]), Verdict::AuthRejected);
}

#[test]
fn the_last_error_counts_unless_a_limit_before_it_has_not_been_reset() {
    let errors = [error(Kind::Overloaded), error(Kind::Auth)];
    assert_eq!(verdict(Exit::Code(1), &errors), Verdict::AuthRejected);
    let errors = [limit(None, SOON), error(Kind::Network)];
    assert!(matches!(verdict(Exit::Code(1), &errors), Verdict::UsageLimit { .. }));
    let over = limit(None, Some("2026-11-22T10:00:00Z"));
    assert_eq!(verdict(Exit::Code(1), &[over, error(Kind::Network)]), Verdict::Unreachable);
}

#[test]
fn text_counts_only_if_the_attempt_failed_and_no_record_has_an_error() {
    let line = "You've hit your 5-hour limit · resets 1pm (UTC)";
    let from_text = outcome(Exit::Code(1), &[], &[line]);
    assert!(matches!(from_text.verdict, Verdict::UsageLimit { .. }));
    assert_eq!(
        (from_text.rule.as_ref(), from_text.evidence.as_deref()),
        ("marker limit of a window", Some(line))
    );
    for (exit, expected) in [
        (Exit::Code(0), Verdict::Succeeded),
        (Exit::Signal(9), Verdict::Interrupted),
        (Exit::Signal(15), Verdict::Interrupted),
    ] {
        assert_eq!(outcome(exit, &[], &[line]).verdict, expected, "{exit:?}");
    }
    assert_eq!(outcome(Exit::Code(1), &[error(Kind::Auth)], &[line]).verdict, Verdict::AuthRejected);
}

#[test]
fn evidence_contains_no_secret() {
    let refused = ProviderError::new(Kind::Auth, "Incorrect API key: sk-proj-invented", "a record");
    let from_record = outcome(Exit::Code(1), &[refused], &[]);
    assert_eq!(from_record.evidence.as_deref(), Some("Incorrect API key: [redacted]"));
    let line = "API Error: 401 invalid x-api-key sk-ant-api03-invented";
    let from_text = outcome(Exit::Code(1), &[], &[line]);
    assert_eq!(from_text.evidence.as_deref(), Some("API Error: 401 invalid x-api-key [redacted]"));
}

#[test]
fn without_evidence_only_the_exit_status_counts() {
    for (exit, expected) in [
        (Exit::Code(0), Verdict::Succeeded),
        (Exit::Code(1), Verdict::AgentFailed),
        (Exit::Code(-1), Verdict::AgentFailed),
        (Exit::Code(129), Verdict::Interrupted),
        (Exit::Code(130), Verdict::Interrupted),
        (Exit::Code(143), Verdict::Interrupted),
        (Exit::Signal(2), Verdict::Interrupted),
    ] {
        assert_eq!(verdict(exit, &[]), expected, "{exit:?}");
        assert_eq!(outcome(exit, &[], &["I am done."]).rule, "exit");
    }
}

#[test]
fn a_user_marker_classifies_an_error_of_unknown_kind() {
    let now: Zoned = "2026-11-22T10:10:00[UTC]".parse().unwrap();
    let raw: crate::agent::RawMarker =
        toml::from_str("kind = 'billing'\npattern = 'The purse is empty'").unwrap();
    let more = [raw.compile("mine", &BTreeMap::new()).unwrap()];
    let error = |kind| ProviderError::new(kind, "The purse is empty.", "result");
    for (exit, error, expected) in [
        (1, error(Kind::None), Verdict::BillingRejected),
        (0, error(Kind::None), Verdict::Succeeded),
        (1, error(Kind::Auth), Verdict::AuthRejected),
        (1, ProviderError { answered_since: true, ..error(Kind::None) }, Verdict::AgentFailed),
    ] {
        let evidence = Evidence { errors: vec![error], ..Evidence::default() };
        let case = Case { exit: Exit::Code(exit), evidence: &evidence, more: &more, model: None, now: &now };
        assert_eq!(judge(&case, || &[]).verdict, expected, "{exit}");
    }
}
