use super::*;
use crate::agent::{Evidence, Kind};
use crate::pool::{Scope, Window};

fn now() -> Zoned {
    "2026-11-22T10:00:00Z[UTC]".parse().unwrap()
}

/// Returns the end of standard error of a failed run with text output. The real stack trace is longer.
fn text(class: &str, message: &str, code: i64) -> String {
    format!(
        "Ripgrep is not available. Falling back to GrepTool.\n\
         [Routing] NumericalClassifierStrategy failed: Error: Failed to generate content: You have exhausted\n\
         Error when talking to Gemini API Full report available at: /tmp/a b/gemini-client-error-Turn.run-2026-11-22T10-00-00-000Z.json {class}: {message}\n    \
             at classifyGoogleError (file:///opt/chunk.js:1:16)\n    \
             at async main (file:///opt/gemini.js:2:5) {{\n  \
         cause: {{\n    code: {code},\n    message: 'as above',\n    details: []\n  }},\n  \
         retryDelayMs: undefined,\n  status: {code}\n}}\n\
         An unexpected critical error occurred:[object Object]\n"
    )
}

fn judged(exit: Exit, evidence: &Evidence) -> Outcome {
    let now = now();
    let case = Case { exit, evidence, more: &[], model: None, now: &now };
    let mut outcome = crate::agent::verdict::judge(&case, || &MARKERS);
    complete(&mut outcome, &case);
    outcome
}

fn verdict_of_text(stderr: &str) -> Verdict {
    let evidence = Evidence { said: rendered(stderr.as_bytes(), &now()), ..Evidence::default() };
    judged(Exit::Code(1), &evidence).verdict
}

fn verdict_of_message(message: &str, code: i64) -> Verdict {
    let errors = vec![error(message, Some(code), &now())];
    let exit = Exit::Code(i32::try_from(code % 256).unwrap());
    judged(exit, &Evidence { errors, ..Evidence::default() }).verdict
}

fn limit(window: &str, long: bool, resets_at: Option<&str>) -> Verdict {
    Verdict::UsageLimit {
        scope: Scope::All,
        window: Window { name: window.into(), long },
        resets_at: resets_at.map(|at| at.parse().unwrap()),
    }
}

fn throttled(seconds: Option<i64>) -> Verdict {
    Verdict::Throttled { retry_after: seconds.map(jiff::SignedDuration::from_secs) }
}

const KEY_REFUSED: &str = r#"{"error":{"code":400,"message":"API key not valid. Please pass a valid API key.","status":"INVALID_ARGUMENT","details":[{"@type":"type.googleapis.com/google.rpc.ErrorInfo","reason":"API_KEY_INVALID","domain":"googleapis.com"}]}}"#;

/// The class of an error, its message, the HTTP status, and the verdict in each form.
fn table() -> Vec<(&'static str, &'static str, i64, Verdict)> {
    let midnight = Some("2026-11-23T08:00:00Z");
    vec![
        (
            "TerminalQuotaError",
            "You have exhausted your daily quota on this model.",
            429,
            limit("day", true, midnight),
        ),
        (
            "TerminalQuotaError",
            "You exceeded your current quota, please check your plan.\nSuggested retry after 3600s.",
            429,
            limit("usage", false, Some("2026-11-22T11:00:00Z")),
        ),
        (
            "TerminalQuotaError",
            "You exceeded your current quota. Quota exceeded for metric: x, limit: 0, model: y",
            429,
            limit("quota", true, None),
        ),
        (
            "TerminalQuotaError",
            "You have exhausted your capacity on this model. Your quota will reset after 8h44m7s.",
            429,
            limit("quota", true, Some("2026-11-22T18:44:07Z")),
        ),
        (
            "RetryableQuotaError",
            "You exceeded your current quota. Please retry in 2s.\nSuggested retry after 2s.",
            429,
            throttled(Some(2)),
        ),
        (
            "RetryableQuotaError",
            "* Quota exceeded for metric: x, limit: 20, model: y\nSuggested retry after 34.5s.",
            429,
            throttled(Some(35)),
        ),
        ("RetryableQuotaError", "Resource has been exhausted (e.g. check quota).", 429, throttled(None)),
        ("RetryableQuotaError", "Something new.", 429, throttled(None)),
        ("TerminalQuotaError", "No capacity available for model x on the server", 429, Verdict::Overloaded),
        ("RetryableQuotaError", "The model is overloaded. Please try again later.", 503, Verdict::Overloaded),
        ("RetryableQuotaError", "Something new.", 503, Verdict::Overloaded),
        ("_ApiError", KEY_REFUSED, 400, Verdict::AuthRejected),
        (
            "_GaxiosError",
            r#"{"error": {"code": 401, "message": "Request had invalid authentication credentials. Expected"}}"#,
            401,
            Verdict::AuthRejected,
        ),
        ("ModelNotFoundError", "models/x is not found for API version v1beta", 1, Verdict::AgentFailed),
        ("Error", "exception TypeError: fetch failed sending request", 1, Verdict::Unreachable),
    ]
}

#[test]
fn an_error_has_the_same_verdict_as_text_as_an_object_and_as_a_line() {
    for (class, message, code, verdict) in table() {
        assert_eq!(verdict_of_text(&text(class, message, code)), verdict, "as text: {message}");
        assert_eq!(verdict_of_message(message, code), verdict, "as an object: {message}");
        let advice = "\nPlease wait and try again later. To increase your limits, request a quota increase";
        assert_eq!(
            verdict_of_message(&format!("[API Error: {message}]{advice}"), code),
            verdict,
            "as a line: {message}"
        );
    }
}

#[test]
fn an_error_that_the_agent_does_not_retry_is_a_quota_with_any_text() {
    let unknown = text("TerminalQuotaError", "Something new.", 429);
    assert_eq!(verdict_of_text(&unknown), limit("quota", true, None));
}

#[test]
fn a_notice_of_a_wait_for_hours_is_a_quota() {
    let waits = |reset: &str, wait: &str| {
        format!(
            "Attempt 1 failed: You have exhausted your capacity on this model. Your quota will reset after \
             {reset}.. Retrying after {wait}ms...\n"
        )
    };
    let long = verdict_of_text(&waits("8h44m7s", "37485929"));
    assert_eq!(long, limit("quota", true, Some("2026-11-22T18:44:07Z")));
    assert_eq!(verdict_of_text(&waits("5s", "5827")), Verdict::AgentFailed);
}

#[test]
fn only_the_error_that_ended_the_run_counts() {
    let earlier = "Attempt 1 failed: You have exhausted your daily quota on this model.. Retrying\n\
         Error generating content via API. Full report available at: /tmp/x.json TerminalQuotaError: You have \
         exhausted your daily quota on this model.\n";
    assert_eq!(verdict_of_text(earlier), Verdict::AgentFailed);
    let final_error = text("Error", "exception TypeError: fetch failed sending request", 1);
    assert_eq!(verdict_of_text(&format!("{earlier}{final_error}")), Verdict::Unreachable);
}

#[test]
fn an_error_before_the_start_is_not_a_refusal() {
    for line in [
        "Invalid auth method selected.",
        "Unknown argument: nonsense",
        "\u{1b}[31mGemini CLI is not running in a trusted directory. To proceed, either use\u{1b}[0m",
        "Error resuming session: Invalid session identifier \"x\".",
    ] {
        assert_eq!(
            verdict_of_text(&format!("Ripgrep is not available.\n{line}\n")),
            Verdict::NotStarted,
            "{line}"
        );
    }
}

#[test]
fn the_exit_status_counts_if_there_is_no_text() {
    let none = Evidence::default();
    let table = [
        (0, Verdict::Succeeded),
        (1, Verdict::AgentFailed),
        (41, Verdict::AuthRejected),
        (42, Verdict::NotStarted),
        (52, Verdict::NotStarted),
        (53, Verdict::AgentFailed),
        (55, Verdict::NotStarted),
        (130, Verdict::Interrupted),
        (144, Verdict::AgentFailed),
        (145, Verdict::AuthRejected),
        (173, throttled(None)),
        (244, Verdict::Overloaded),
        (247, Verdict::Overloaded),
    ];
    for (code, verdict) in table {
        assert_eq!(judged(Exit::Code(code), &none).verdict, verdict, "{code}");
    }
}

#[test]
fn a_daily_quota_is_reset_at_midnight_pacific_time_even_when_clocks_change() {
    let table = [
        ("2026-11-22T10:00:00Z[UTC]", "2026-11-23T08:00:00Z"),
        ("2026-07-01T06:59:59Z[UTC]", "2026-07-01T07:00:00Z"),
        ("2026-07-01T07:00:00Z[UTC]", "2026-07-02T07:00:00Z"),
        ("2026-11-01T08:00:00Z[UTC]", "2026-11-02T08:00:00Z"),
    ];
    for (now, reset) in table {
        assert_eq!(next_day(&now.parse().unwrap()), Some(reset.parse().unwrap()), "{now}");
    }
}

#[test]
fn every_marker_has_a_kind_and_compiles() {
    assert!(MARKERS.len() > 20);
    let known = error("You have exhausted your daily quota on this model.", None, &now());
    assert_eq!((known.kind, known.rule.as_ref()), (Kind::UsageLimit, "marker quota of a day"));
}

/// The notice of a request that was refused and then answered.
const RETRIED: &str = "Attempt 1 failed with status 429. Retrying with backoff... _ApiError: {\"error\":{\"code\":429}}\n    \
     at throwErrorIfNotOK (file:///opt/chunk.js:1:16) {\n  status: 429\n}\n";

#[test]
fn a_refusal_followed_by_an_answer_does_not_explain_a_later_failure() {
    for after in [
        "",
        "Error executing tool x: no\n",
        "rm:\nPermission denied: /x\n",
        "status: 429\n",
        "API key not valid. Please pass a valid API key.\n",
    ] {
        assert_eq!(verdict_of_text(&format!("{RETRIED}{after}")), Verdict::AgentFailed, "{after}");
    }
    let final_error = text("Error", "Something odd.", 400);
    assert_eq!(verdict_of_text(&format!("{RETRIED}{final_error}")), Verdict::AgentFailed);
    assert_eq!(verdict_of_text(&format!("{final_error}{RETRIED}")), Verdict::AgentFailed);
}

#[test]
fn an_exit_status_for_a_local_problem_is_not_a_refusal() {
    let now = now();
    let said = rendered(text("TerminalQuotaError", "Something new.", 429).as_bytes(), &now);
    let evidence = Evidence { said, ..Evidence::default() };
    for (code, verdict) in [
        (42, Verdict::NotStarted),
        (53, Verdict::AgentFailed),
        (55, Verdict::NotStarted),
        (130, Verdict::Interrupted),
    ] {
        let case = Case { exit: Exit::Code(code), evidence: &evidence, more: &[], model: None, now: &now };
        assert_eq!(crate::agent::Agent::judge(&super::super::Gemini, &case).verdict, verdict, "{code}");
    }
}

#[test]
fn a_saved_text_counts_only_without_other_text_around_the_error() {
    let message = "You have exhausted your daily quota on this model.";
    let traced = text("TerminalQuotaError", message, 429);
    let bare = format!("{ENDED} Full report available at: /x.json TerminalQuotaError: {message}");
    let shown = format!("[API Error: {message}]\nPlease wait and try again later.");
    for (text, is) in [
        (traced.clone(), true),
        (bare.clone(), true),
        (shown.clone(), true),
        (message.to_owned(), true),
        (format!("{traced}is what it printed\n"), false),
        (format!("{bare}\nis a quote\n"), false),
        (format!("I quote:\n{bare}\n"), false),
        (format!("It says:\n{shown}\n"), false),
        (format!("{shown}\nis shown\n"), false),
        (format!("It says:\n{message}\n"), false),
    ] {
        let evidence = Evidence { said: saved_error_lines(text.as_bytes()), ..Evidence::default() };
        let is_limit = matches!(judged(Exit::Code(1), &evidence).verdict, Verdict::UsageLimit { .. });
        assert_eq!(is_limit, is, "{text}");
    }
}

#[test]
fn a_message_is_recognized_as_the_user_sees_it() {
    for (shown, known) in [
        ("[API Error: Resource has been exhausted (e.g. check quota).]", throttled(None)),
        ("[API Error: You have exhausted your capacity on this model.]", limit("quota", true, None)),
        (
            "[API Error: You have exhausted your daily quota on this model.]",
            limit("day", true, Some("2026-11-23T08:00:00Z")),
        ),
        ("status: 429", Verdict::AgentFailed),
        ("Permission denied: /etc/shadow", Verdict::AgentFailed),
        ("reason: 'QUOTA_EXHAUSTED' is in the switch", Verdict::AgentFailed),
    ] {
        let evidence = Evidence { said: saved_error_lines(shown.as_bytes()), ..Evidence::default() };
        assert_eq!(judged(Exit::Code(1), &evidence).verdict, known, "{shown}");
    }
}

#[test]
fn a_saved_text_that_ends_with_a_retry_is_from_a_killed_run() {
    let trace = "Attempt 1 failed with status 429. Retrying with backoff... _ApiError: {\"error\":{}}\n    \
                     at throwErrorIfNotOK (file:///opt/chunk.js:1:24)\n    \
                     at async main (file:///opt/gemini.js:2:5) {\n  status: 429\n";
    let cut = format!("Ripgrep is not available. Falling back to GrepTool.\n{trace}}}\n{trace}");
    assert_eq!(saved_error_lines(cut.as_bytes()), ["status: 429"]);
    // If other text follows, the agent recovered from the error.
    let continued = format!("{cut}}}\nReached max session turns for this session.\n");
    assert_eq!(saved_error_lines(continued.as_bytes()), [] as [&str; 0]);
    assert_ne!(saved_error_lines(b"Attempt 1 failed with status 429, says the log.\n"), ["status: 429"]);
}

#[test]
fn a_page_in_the_place_of_an_answer_is_the_networks() {
    let page = r#"{"error":{"message":"<html><head><title>403 Forbidden</title></head></html>","code":403,"status":"Forbidden"}}"#;
    assert_eq!(verdict_of_message(page, 403), Verdict::Unreachable);
    let text = |message: &str| {
        format!(
            "Error when talking to Gemini API Full report available at: /tmp/x.json {message}\n    at throwErrorIfNotOK (file:///x.js:1:2) {{\n  status: 403\n}}\nAn unexpected critical error occurred:[object Object]\n"
        )
    };
    assert_eq!(verdict_of_text(&text(&format!("_ApiError: {page}"))), Verdict::Unreachable);
    let portal = text("Error: Incomplete JSON segment at the end");
    assert_eq!(verdict_of_text(&portal), Verdict::Unreachable);
    let denied =
        page.replace("<html><head><title>403 Forbidden</title></head></html>", "Permission denied: x");
    assert_eq!(verdict_of_message(&denied, 403), Verdict::AuthRejected);
}

#[test]
fn a_retry_after_spent_credits_is_hopeless_and_one_after_throttling_is_not() {
    let notice = |message: &str| {
        format!(
            "Attempt 1 failed with status 429. Retrying with backoff... _ApiError: {{\"error\":{{\"code\":429,\"message\":\"{message}\",\"status\":\"RESOURCE_EXHAUSTED\",\"details\":[]}}}}"
        )
    };
    for (message, is_hopeless) in [
        (
            "Your prepayment credits are depleted. Please go to AI Studio at https://ai.studio/projects to manage.",
            true,
        ),
        ("Your project's prepaid credits have been used up.", true),
        ("Resource has been exhausted (e.g. check quota).", false),
        ("The model is overloaded. Please try again later.", false),
        ("Please retry in 7.5s.", false),
    ] {
        let line = notice(message);
        assert_eq!(super::is_useless_retry(line.as_bytes()), is_hopeless, "{message}");
        assert!(!super::is_useless_retry(format!("tool: {line}").as_bytes()));
        let stderr = format!("{line}\n    at x (file:///y)\n  status: 429\n}}\n");
        let verdict = verdict_of_text(&stderr);
        assert_eq!(verdict == Verdict::BillingRejected, is_hopeless, "{message}: {verdict:?}");
        let recovered = verdict_of_text(&format!("{stderr}Done.\n"));
        assert_eq!(recovered, Verdict::AgentFailed, "{message}");
    }
}
