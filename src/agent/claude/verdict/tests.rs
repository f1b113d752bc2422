use jiff::Timestamp;

use super::*;
use crate::pool::Usage;

fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

fn error(class: &str) -> ProviderError {
    ProviderError {
        at: at("2026-11-22T10:00:00Z"),
        class: class.into(),
        is_usage_limit: false,
        window: None,
        resets_at: None,
        text: "what the user saw".into(),
        answered_since: false,
    }
}

fn limit(window: Option<&str>, resets_at: Option<&str>) -> ProviderError {
    ProviderError {
        is_usage_limit: true,
        window: window.map(str::to_owned),
        resets_at: resets_at.map(at),
        ..error("rate_limit")
    }
}

fn verdict(exit: Exit, errors: &[ProviderError]) -> Verdict {
    judge(exit, &Evidence { usage: Usage::default(), errors: errors.to_vec() }).verdict
}

fn usage_limit(scope: Scope, name: &str, long: bool, resets_at: Option<&str>) -> Verdict {
    Verdict::UsageLimit { scope, window: Window { name: name.into(), long }, resets_at: resets_at.map(at) }
}

const SOON: Option<&str> = Some("2026-11-22T13:00:00Z");
const IN_DAYS: Option<&str> = Some("2026-11-25T10:00:00Z");

#[test]
fn every_kind_of_limit_has_its_scope_and_window() {
    let opus = || Scope::Model("opus".into());
    let cases = [
        (limit(Some("five_hour"), SOON), usage_limit(Scope::All, "five_hour", false, SOON)),
        (limit(Some("five_hour"), None), usage_limit(Scope::All, "five_hour", false, None)),
        (limit(Some("seven_day"), IN_DAYS), usage_limit(Scope::All, "seven_day", true, IN_DAYS)),
        (limit(Some("seven_day_opus"), IN_DAYS), usage_limit(opus(), "seven_day_opus", true, IN_DAYS)),
        (
            limit(Some("seven_day_overage_included"), IN_DAYS),
            usage_limit(Scope::All, "seven_day_overage_included", true, IN_DAYS),
        ),
        (limit(None, IN_DAYS), usage_limit(Scope::All, "usage", true, IN_DAYS)),
        (limit(None, None), usage_limit(Scope::All, "usage", false, None)),
    ];
    for (error, expected) in cases {
        assert_eq!(verdict(Exit::Code(1), std::slice::from_ref(&error)), expected, "{error:?}");
    }
}

#[test]
fn every_class_of_error_has_its_verdict() {
    let cases = [
        ("rate_limit", Verdict::Throttled { retry_after: None }),
        ("overloaded", Verdict::Overloaded),
        ("server_error", Verdict::Overloaded),
        ("authentication_failed", Verdict::AuthRejected),
        ("oauth_org_not_allowed", Verdict::AuthRejected),
        ("account_on_hold", Verdict::AuthRejected),
        ("billing_error", Verdict::BillingRejected),
        ("invalid_request", Verdict::AgentFailed),
        ("max_output_tokens", Verdict::AgentFailed),
        ("something new", Verdict::AgentFailed),
    ];
    for (class, expected) in cases {
        assert_eq!(verdict(Exit::Code(1), &[error(class)]), expected, "{class}");
    }
}

#[test]
fn a_terminal_session_ends_with_0_and_its_limit_counts() {
    let expected = usage_limit(Scope::All, "five_hour", false, SOON);
    assert_eq!(verdict(Exit::Code(0), &[limit(Some("five_hour"), SOON)]), expected);
    assert_eq!(verdict(Exit::Signal(15), &[limit(Some("five_hour"), SOON)]), expected);
}

#[test]
fn an_error_that_was_answered_after_is_over_unless_it_is_of_one_model() {
    let answered = |error: ProviderError| ProviderError { answered_since: true, ..error };
    for error in [limit(Some("five_hour"), SOON), error("rate_limit"), error("authentication_failed")] {
        assert_eq!(verdict(Exit::Code(0), &[answered(error)]), Verdict::Succeeded);
    }
    let opus = answered(limit(Some("seven_day_opus"), IN_DAYS));
    assert!(matches!(verdict(Exit::Code(0), &[opus]), Verdict::UsageLimit { scope: Scope::Model(_), .. }));
}

#[test]
fn without_records_only_the_exit_speaks() {
    let cases = [
        (Exit::Code(0), Verdict::Succeeded),
        (Exit::Code(1), Verdict::AgentFailed),
        (Exit::Code(130), Verdict::Interrupted),
        (Exit::Code(143), Verdict::Interrupted),
        (Exit::Signal(2), Verdict::Interrupted),
        (Exit::Signal(9), Verdict::Interrupted),
    ];
    for (exit, expected) in cases {
        assert_eq!(verdict(exit, &[]), expected, "{exit:?}");
    }
}

#[test]
fn families_are_known_by_name_and_alias() {
    assert_eq!(family("claude-opus-5-5").as_deref(), Some("opus"));
    assert_eq!(family("Sonnet").as_deref(), Some("sonnet"));
    assert_eq!(family("gpt-6"), None);
}
