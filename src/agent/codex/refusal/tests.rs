use serde_json::json;

use super::*;
use crate::pool::Scope;

fn at() -> Zoned {
    "2026-11-22T10:12:00Z[Europe/Berlin]".parse().unwrap()
}

fn plain(info: Value, text: &str) -> ProviderError {
    refusal(&info, text, &BTreeMap::new(), &at(), "rollout")
}

fn windows(five_hour: f64, seven_day: f64) -> BTreeMap<String, Reading> {
    let reading = |value, at: &str| Reading { value, resets_at: Some(at.parse().unwrap()) };
    let five_hour = reading(five_hour, "2026-11-22T12:13:17Z");
    [("five_hour".into(), five_hour), ("seven_day".into(), reading(seven_day, "2026-11-27T00:00:09Z"))].into()
}

const LIMIT: &str = "You\u{2019}ve hit your usage limit. Upgrade to Pro (https://chatgpt.com/explore/pro), visit \
    https://chatgpt.com/settings/usage to purchase more credits or try again at 1:13 PM.";

const FILTER: &str =
    "unexpected status 403 Forbidden: <html><head><title>Blocked</title></head></html>, url: x";
const REGION: &str = r#"unexpected status 403 Forbidden: {"error":{"code":"unsupported_country_region_territory","message":"Country, region, or territory not supported"}}, url: x"#;
const NO_ACCESS: &str =
    r#"unexpected status 403 Forbidden: {"error":{"message":"You do not have access"}}, url: x"#;
const DEACTIVATED: &str = r#"unexpected status 401 Unauthorized: {"error":{"message":"Your OpenAI account has been deactivated","code":"account_deactivated"}}, url: x"#;

#[test]
fn the_code_decides_the_kind_or_else_the_text_does() {
    let status = |word: &str, status: u64| json!({ word: { "http_status_code": status } });
    for (info, text, kind) in [
        (json!("usage_limit_exceeded"), LIMIT, Kind::UsageLimit),
        (json!("usage_limit_exceeded"), "Words of another year.", Kind::UsageLimit),
        (
            json!("usage_limit_exceeded"),
            "Quota exceeded. Check your plan and billing details.",
            Kind::Billing,
        ),
        (
            json!("usage_limit_exceeded"),
            "To use Codex with your ChatGPT plan, upgrade to Plus: x",
            Kind::Billing,
        ),
        (json!("rate_limit_exceeded"), "rate limit exceeded: slow", Kind::Throttled),
        (json!("server_overloaded"), "Selected model is at capacity. Please try another.", Kind::Overloaded),
        (json!("internal_server_error"), "", Kind::Overloaded),
        (status("http_connection_failed", 401), "unexpected status 401 Unauthorized: x", Kind::Auth),
        (status("http_connection_failed", 402), "", Kind::Billing),
        (status("http_connection_failed", 404), "", Kind::None),
        (status("response_too_many_failed_attempts", 429), "exceeded retry limit", Kind::Throttled),
        (status("response_stream_disconnected", 503), "", Kind::Overloaded),
        (json!({ "response_stream_disconnected": { "http_status_code": null } }), "", Kind::Network),
        (status("http_connection_failed", 403), FILTER, Kind::Network),
        (status("http_connection_failed", 403), REGION, Kind::Network),
        (status("http_connection_failed", 403), NO_ACCESS, Kind::Auth),
        (status("response_too_many_failed_attempts", 407), "", Kind::Network),
        (json!("other"), FILTER, Kind::Network),
        (json!("other"), "unexpected status 403 Forbidden: Access denied, url: https://x", Kind::Network),
        (json!("other"), "unexpected status 407 Proxy Authentication Required: , url: x", Kind::Network),
        (json!("other"), "Access blocked by Cloudflare. This usually happens when connecting", Kind::Network),
        (json!("other"), DEACTIVATED, Kind::Auth),
        (json!("context_window_exceeded"), LIMIT, Kind::None),
        (json!("other"), "Your access token could not be refreshed. Please log out.", Kind::Auth),
        (json!("other"), "{\"error\":\"bad\"}", Kind::None),
        (Value::Null, LIMIT, Kind::UsageLimit),
        (Value::Null, "Selected model is at capacity. Please try a different model.", Kind::Overloaded),
    ] {
        assert_eq!(plain(info.clone(), text).kind, kind, "{info} {text}");
    }
}

#[test]
fn the_full_window_gives_the_reset_time_to_the_second() {
    for (five_hour, seven_day, name, resets_at) in [
        (1.0, 0.2, "five_hour", "2026-11-22T12:13:17Z"),
        (0.4, 1.0, "seven_day", "2026-11-27T00:00:09Z"),
        (1.0, 1.0, "seven_day", "2026-11-27T00:00:09Z"),
        // Full, but reported as less: the text contains the minute of its reset time.
        (0.99, 0.2, "five_hour", "2026-11-22T12:13:17Z"),
    ] {
        let info = json!("usage_limit_exceeded");
        let error = refusal(&info, LIMIT, &windows(five_hour, seven_day), &at(), "rollout");
        let window = error.window.unwrap();
        assert_eq!((window.name.as_str(), window.long), (name, name == "seven_day"));
        assert_eq!(error.resets_at, Some(resets_at.parse().unwrap()));
    }
}

#[test]
fn without_windows_the_text_gives_the_reset_time_in_local_time() {
    for (text, resets_at, long) in [
        (LIMIT, Some("2026-11-22T12:13:00Z"), false),
        (
            "You've hit your usage limit. Try again at Nov 27th, 2026 6:16 PM.",
            Some("2026-11-27T17:16:00Z"),
            true,
        ),
        ("You've hit your usage limit. Try again later.", None, false),
    ] {
        let error = plain(json!("usage_limit_exceeded"), text);
        assert_eq!(error.resets_at, resets_at.map(|at| at.parse().unwrap()), "{text}");
        assert_eq!(error.window.unwrap().long, long, "{text}");
    }
}

#[test]
fn a_limit_of_a_model_covers_only_that_model() {
    let text = "You've hit your usage limit for GPT-5.3-Codex-Spark. Switch to another model now, or try \
        again at 1:13 PM.";
    let error = refusal(&json!("usage_limit_exceeded"), text, &windows(0.4, 0.2), &at(), "rollout");
    assert_eq!(error.scope, Scope::Model("gpt-5.3-codex-spark".into()));
    assert_eq!(error.resets_at, Some("2026-11-22T12:13:00Z".parse().unwrap()));
}

#[test]
fn the_credits_of_a_workspace_are_a_separate_window() {
    let error = refusal(
        &json!("usage_limit_exceeded"),
        "Your workspace is out of credits. Add credits to continue.",
        &windows(1.0, 0.2),
        &at(),
        "rollout",
    );
    let window = error.window.unwrap();
    assert_eq!((window.name.as_str(), window.long), ("credits", true));
}

#[test]
fn a_rate_limit_contains_the_time_to_wait() {
    let error = plain(json!("rate_limit_exceeded"), "rate limit exceeded: Please try again in 7s.");
    assert_eq!(error.retry_after, Some(SignedDuration::from_secs(7)));
}
