use serde_json::json;

use super::*;
use crate::pool::Window;

const FIVE: &str = "You've hit your 5-hour limit · resets 1pm (UTC)";
const SOON: i64 = 1_795_352_400; // 2026-11-22T13:00:00Z
const IN_DAYS: i64 = 1_795_600_800; // 2026-11-25T10:00:00Z

fn now() -> Zoned {
    "2026-11-22T11:10:00[Europe/Berlin]".parse().unwrap()
}

fn evidence(events: &[Value]) -> Option<Evidence> {
    let lines: Vec<String> = events.iter().map(Value::to_string).collect();
    read(lines.iter().map(String::as_bytes), &now())
}

fn error(events: &[Value]) -> Option<ProviderError> {
    evidence(events).and_then(|evidence| evidence.errors.into_iter().next())
}

fn init() -> Value {
    json!({ "type": "system", "subtype": "init", "model": "claude-sonnet-5-5", "session_id": "s" })
}

fn limits(info: Value) -> Value {
    json!({ "type": "rate_limit_event", "rate_limit_info": info, "uuid": "u", "session_id": "s" })
}

fn rejected(window: &str, resets_at: i64) -> Value {
    json!({ "status": "rejected", "resetsAt": resets_at, "rateLimitType": window, "isUsingOverage": false,
        "overageStatus": "rejected", "unifiedWindows": { window: { "utilization": 1, "resetsAt": resets_at } } })
}

fn answer() -> Value {
    json!({ "type": "assistant", "parent_tool_use_id": null,
        "message": { "model": "claude-sonnet-5-5", "content": [{ "type": "text", "text": "hello" }] } })
}

/// The agent's own message about an error.
fn refused(class: &str, status: u16, text: &str) -> Value {
    json!({ "type": "assistant", "is_api_error_message": true, "error": class, "api_error_status": status,
        "parent_tool_use_id": null, "message": { "model": "<synthetic>",
            "content": [{ "type": "text", "text": text }] } })
}

fn with(mut event: Value, key: &str, value: Value) -> Value {
    event[key] = value;
    event
}

fn limited(text: &str) -> Value {
    with(refused("rate_limit", 429, text), "api_error", json!("usage_limit_reached"))
}

fn result(status: Option<u16>, text: &str) -> Value {
    json!({ "type": "result", "subtype": "success", "is_error": status.is_some(), "api_error_status": status,
        "num_turns": 1, "usage": { "output_tokens": 0 }, "result": text,
        "terminal_reason": if status.is_some() { "api_error" } else { "completed" } })
}

fn limited_result(text: &str) -> Value {
    with(result(Some(429), text), "api_error", json!("usage_limit_reached"))
}

fn window(error: &ProviderError) -> (String, String, Option<i64>) {
    let name = error.window.as_ref().map_or("none", |window: &Window| &window.name).to_owned();
    (name, error.scope.to_string(), error.resets_at.map(Timestamp::as_second))
}

#[test]
fn a_limit_is_read_from_the_stream_with_its_window_and_reset_time() {
    for (name, resets_at, text, scope) in [
        ("five_hour", SOON, FIVE, "all"),
        ("seven_day", IN_DAYS, "You've hit your weekly limit · resets Nov 25, 10am (UTC)", "all"),
        ("seven_day_opus", IN_DAYS, "You've hit your Opus limit · resets Nov 25, 10am (UTC)", "model:opus"),
    ] {
        let events = [init(), limits(rejected(name, resets_at)), limited(text), limited_result(text)];
        let whole = error(&events).unwrap();
        assert_eq!((whole.kind, whole.text.as_str()), (Kind::UsageLimit, text));
        let expected = (name.to_owned(), scope.to_owned(), Some(resets_at));
        assert_eq!(window(&whole), expected);
        // Each part alone shows the same limit: the file may be truncated, or contain only the result.
        for part in [&events[1..2], &events[2..3], &events[3..], &events[..2], &events[2..]] {
            assert_eq!(window(&error(part).unwrap()), expected, "{part:?}");
        }
        assert_eq!(window(&error(&[Value::Array(events.to_vec())]).unwrap()), expected);
    }
}

#[test]
fn work_before_a_limit_is_recorded() {
    let events = [init(), answer(), limits(rejected("five_hour", SOON)), limited(FIVE), limited_result(FIVE)];
    let evidence = evidence(&events).unwrap();
    assert_eq!((evidence.work, evidence.errors.len()), (Work::Done, 1));
    assert_eq!(evidence.model.as_deref(), Some("claude-sonnet-5-5"));
}

#[test]
fn a_request_that_was_answered_hit_no_limit() {
    let overage = with(rejected("five_hour", SOON), "isUsingOverage", json!(true));
    let warning = with(rejected("five_hour", SOON), "status", json!("allowed_warning"));
    let allowed = with(rejected("five_hour", SOON), "status", json!("allowed"));
    let retry =
        json!({ "type": "system", "subtype": "api_retry", "error_status": 429, "error": "rate_limit" });
    let done = || result(None, "hello");
    for (what, events) in [
        ("paid overage", vec![init(), answer(), limits(overage.clone()), done()]),
        ("paid overage, cut", vec![init(), answer(), limits(overage)]),
        ("a warning", vec![init(), answer(), limits(warning.clone()), done()]),
        ("a warning, cut", vec![init(), limits(warning)]),
        ("retries", vec![init(), retry.clone(), retry, answer(), done()]),
        (
            "recovered",
            vec![init(), refused("overloaded", 529, "API Error: 529 Overloaded"), answer(), done()],
        ),
        ("waited for", vec![init(), limits(rejected("five_hour", SOON)), limits(allowed), answer(), done()]),
        ("only the result", vec![done()]),
    ] {
        assert_eq!(error(&events), None, "{what}");
    }
}

#[test]
fn a_refusal_without_a_window_is_throttling() {
    let bare = limits(json!({ "status": "rejected", "isUsingOverage": false }));
    let text = "API Error: Server is temporarily limiting requests (not your usage limit) · Error";
    let events = [init(), bare, refused("rate_limit", 429, text), result(Some(429), text)];
    for part in [&events[..], &events[1..2], &events[2..3], &events[3..]] {
        assert_eq!(error(part).map(|error| error.kind), Some(Kind::Throttled), "{part:?}");
    }
    // A token without a subscription gets the headers of a subscription, but no window and no code.
    let text = "API Error: Request rejected (429) · This request would exceed your account's rate limit.";
    for part in [[refused("rate_limit", 429, text)], [result(Some(429), text)]] {
        assert_eq!(error(&part).map(|error| error.kind), Some(Kind::Throttled));
    }
}

#[test]
fn an_agent_that_sleeps_until_the_reset_is_limited() {
    let retry = json!({ "type": "system", "subtype": "api_retry", "retry_delay_ms": 9_420_203 });
    let error = error(&[init(), limits(rejected("five_hour", SOON)), retry]).unwrap();
    assert_eq!((error.kind, error.rule.as_ref()), (Kind::UsageLimit, "rate_limit_event"));
}

#[test]
fn every_other_error_has_the_same_kind_in_each_form() {
    for (class, status, text, kind) in [
        ("server_error", 529, "API Error: 529 Overloaded. This is a server-side issue", Kind::Overloaded),
        ("server_error", 529, "API Error: Repeated 529 Overloaded errors.", Kind::Overloaded),
        ("server_error", 500, "API Error: 500 Internal server error.", Kind::Overloaded),
        ("overloaded", 503, "API Error: 503", Kind::Overloaded),
        ("authentication_failed", 401, "Invalid API key · Fix external API key", Kind::Auth),
        ("authentication_failed", 401, "Not logged in · Please run /login", Kind::Auth),
        ("authentication_failed", 401, "Failed to authenticate. API Error: 401 OAuth token", Kind::Auth),
        ("authentication_failed", 403, "Failed to authenticate: OAuth token revoked.", Kind::Auth),
        (
            "oauth_org_not_allowed",
            403,
            "Your organization has disabled Claude subscription access",
            Kind::Organization,
        ),
        ("billing_error", 400, "Credit balance is too low", Kind::Billing),
        ("invalid_request", 400, "API Error: 400 messages: too long", Kind::None),
        ("rate_limit", 429, "API Error: Extra usage is required for long context requests.", Kind::None),
        ("something new", 429, "API Error: in new words", Kind::Throttled),
        ("something new", 401, "API Error: in new words", Kind::Auth),
    ] {
        let full = error(&[init(), refused(class, status, text), result(Some(status), text)]).unwrap();
        assert_eq!(full.kind, kind, "{text}");
        assert_eq!(error(&[result(Some(status), text)]).unwrap().kind, kind, "only the result: {text}");
    }
    let unreachable = "API Error: Connection refused — a firewall may be blocking it (ECONNREFUSED)";
    let event = with(result(Some(0), unreachable), "api_error_status", Value::Null);
    assert_eq!(error(std::slice::from_ref(&event)).unwrap().kind, Kind::Network);
    assert_eq!(error(&[with(event, "result", json!("in new words"))]).unwrap().kind, Kind::None);
}

#[test]
fn the_result_of_an_older_version_is_recognized_by_its_text() {
    let mut old = result(Some(429), "Claude AI usage limit reached|1795352400");
    old.as_object_mut()
        .unwrap()
        .retain(|key, _| ["type", "subtype", "is_error", "result"].contains(&&key[..]));
    let error = error(&[old]).unwrap();
    assert_eq!(window(&error), ("usage".into(), "all".into(), Some(SOON)));
}

#[test]
fn the_text_of_an_answer_is_not_a_refusal() {
    let turns = with(result(Some(429), FIVE), "subtype", json!("error_max_turns"));
    let stopped = with(result(Some(429), FIVE), "terminal_reason", json!("max_turns"));
    for event in [result(None, FIVE), turns, stopped] {
        assert_eq!(error(&[init(), answer(), event]), None);
    }
    // Another reason for the end does not cancel an earlier limit.
    let turns = with(result(Some(429), "x"), "subtype", json!("error_during_execution"));
    let events = [init(), limits(rejected("five_hour", SOON)), limited(FIVE), turns];
    assert_eq!(error(&events).unwrap().kind, Kind::UsageLimit);
}

#[test]
fn a_subagents_error_does_not_belong_to_the_conversation() {
    let inner = with(refused("authentication_failed", 401, "x"), "parent_tool_use_id", json!("toolu_1"));
    assert_eq!(error(&[init(), inner]), None);
}

#[test]
fn a_time_without_a_date_is_relative_to_the_event() {
    let at =
        |time: &str| with(limited("You've hit your session limit · resets 2am"), "timestamp", json!(time));
    let error = error(&[at("2026-10-01T20:00:00Z")]).unwrap();
    assert_eq!(error.resets_at.map(|at| at.to_string()).as_deref(), Some("2026-10-02T00:00:00Z"));
}

#[test]
fn a_field_of_an_unexpected_type_does_not_hide_an_error() {
    for (key, odd) in [
        ("timestamp", json!(1_795_352_400)),
        ("api_error_status", json!("429")),
        ("parent_tool_use_id", json!({})),
        ("error", json!({ "type": "rate_limit" })),
        ("api_error_params", json!([])),
        ("model", json!(7)),
    ] {
        let events = [with(limited(FIVE), key, odd.clone())];
        assert_eq!(error(&events).map(|error| error.kind), Some(Kind::UsageLimit), "{key}: {odd}");
    }
    for (key, odd) in [("num_turns", Value::Null), ("usage", json!(1)), ("terminal_reason", json!(false))] {
        let events = [with(limited_result(FIVE), key, odd)];
        assert_eq!(error(&events).map(|error| error.kind), Some(Kind::UsageLimit), "{key}");
    }
    for (odd, resets_at) in [
        (json!(1_795_352_400.0), Some(SOON)),
        (json!(1_795_352_400_000_i64), Some(SOON)),
        (json!("2026-11-22T13:00:00Z"), Some(SOON)),
        (json!("soon"), None),
        (Value::Null, None),
    ] {
        let info = with(rejected("five_hour", SOON), "resetsAt", odd.clone());
        assert_eq!(window(&error(&[limits(info)]).unwrap()).2, resets_at, "{odd}");
    }
}

#[test]
fn lines_of_other_agents_are_not_events() {
    for line in [
        json!({ "type": "result", "status": "error", "error": { "code": 429 } }),
        json!({ "type": "error", "message": "You've hit your usage limit." }),
        json!({ "type": "turn.failed", "error": { "message": "You've hit your usage limit." } }),
        json!({ "is_error": true, "result": FIVE }),
        json!([1, "x", null]),
    ] {
        assert_eq!(evidence(std::slice::from_ref(&line)), None, "{line}");
    }
}

#[test]
fn every_line_of_the_stream_is_classified() {
    for (event, expected) in [
        (init(), Line::Opening),
        (json!({ "type": "system", "subtype": "api_retry" }), Line::Neutral),
        (limits(json!({ "status": "allowed" })), Line::Neutral),
        (limits(rejected("five_hour", SOON)), Line::Failure),
        (limited(FIVE), Line::Failure),
        (limited_result(FIVE), Line::Failure),
        (answer(), Line::Progress),
        (result(None, "hello"), Line::Sum),
        (json!({ "type": "user", "message": { "content": limited(FIVE).to_string() } }), Line::Progress),
    ] {
        assert_eq!(classify(event.to_string().as_bytes()), expected, "{event}");
    }
    assert_eq!(classify(b"is_error: not JSON"), Line::Progress);
    assert_eq!(classify(br#"["result","","a list is no event"]"#), Line::Progress);
}

#[test]
fn the_utilization_of_the_windows_is_read() {
    let readings = evidence(&[limits(rejected("five_hour", SOON))]).unwrap().readings;
    let reading = &readings["five_hour"];
    assert!((reading.value - 1.0).abs() < f64::EPSILON);
    assert_eq!(reading.resets_at.map(Timestamp::as_second), Some(SOON));
}

fn result_with_usage(input: u64, models: Value) -> Value {
    with(
        with(result(None, "hello"), "usage", json!({ "input_tokens": input, "output_tokens": 34 })),
        "modelUsage",
        models,
    )
}

#[test]
fn the_result_contains_the_tokens_of_the_run_and_the_main_model_of_the_session() {
    let models = json!({ "claude-haiku-5": { "outputTokens": 3 }, "claude-opus-5": { "outputTokens": 900 } });
    let usage = evidence(&[result_with_usage(12, models)]).unwrap().usage;
    let models = usage.models();
    assert_eq!(models.keys().copied().collect::<Vec<_>>(), ["claude-opus-5"]);
    assert_eq!((models["claude-opus-5"].input_tokens, models["claude-opus-5"].output_tokens), (12, 34));
    let usage = evidence(&[init(), result_with_usage(12, json!(7))]).unwrap().usage;
    assert_eq!(usage.models().keys().copied().collect::<Vec<_>>(), ["claude-sonnet-5-5"]);
    assert!(evidence(&[init(), result(Some(429), FIVE)]).unwrap().usage.slices.is_empty());
}
