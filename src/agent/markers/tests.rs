mod agents;

use super::*;

/// A Sunday around noon in Berlin.
fn now() -> Zoned {
    "2026-11-22T11:10:00[Europe/Berlin]".parse().unwrap()
}

fn claude() -> Vec<Marker> {
    built_in(include_str!("../claude.toml"))
}

fn found(line: &str) -> Option<ProviderError> {
    find([line.to_owned()].iter(), &[&claude()], &now())
}

/// Returns the window, scope and reset of a limit.
fn limit(line: &str) -> Option<(String, String, Option<String>)> {
    let error = found(line).filter(|error| error.kind == Kind::UsageLimit)?;
    let resets_at = error.resets_at.map(|at| at.strftime("%m-%d %H:%M").to_string());
    Some((error.window?.name, error.scope.to_string(), resets_at))
}

const UNKNOWN: &str = "";

/// Every known text with its meaning. Times are UTC; the user is in Berlin.
const LIMITS: &[(&str, &str, &str, &str)] = &[
    // up to 1.0.83
    ("Claude AI usage limit reached|1795352400", "usage", "all", "11-22 13:00"),
    ("Claude AI usage limit reached|1795352400000", "usage", "all", "11-22 13:00"),
    ("Claude AI usage limit reached", "usage", "all", UNKNOWN),
    (
        "Claude usage limit reached. Your limit will reset at 3pm (America/Bogota).",
        "usage",
        "all",
        "11-22 20:00",
    ),
    // August 2025 to 2.0
    ("5-hour limit reached ∙ resets 2am", "five_hour", "all", "11-23 01:00"),
    (
        "5-hour limit reached · resets 2am (America/Toronto) · /upgrade to Max 20x or turn on /extra-usage",
        "five_hour",
        "all",
        "11-23 07:00",
    ),
    ("5-hour limit reached", "five_hour", "all", UNKNOWN),
    ("5-hour limit reached · /upgrade to Max 20x", "five_hour", "all", UNKNOWN),
    ("Session limit reached ∙ resets 2am", "five_hour", "all", "11-23 01:00"),
    ("Weekly limit reached · resets Nov 25, 10am", "seven_day", "all", "11-25 09:00"),
    ("Opus limit reached · resets Nov 25, 10am", "seven_day_opus", "model:opus", "11-25 09:00"),
    ("Opus weekly limit reached ∙ resets Nov 25, 10am", "seven_day_opus", "model:opus", "11-25 09:00"),
    // 2.1, January 2026
    ("You've hit your limit · resets 8am (Europe/London)", "usage", "all", "11-23 08:00"),
    ("You've hit your limit · resets 8am", "usage", "all", "11-23 07:00"),
    ("You've hit your limit · resets Dec 11, 10am (America/Los_Angeles)", "usage", "all", "12-11 18:00"),
    ("You've hit your limit · resets Nov 23 at 4pm (America/Recife)", "usage", "all", "11-23 19:00"),
    ("You've hit your limit · resets 2:10pm", "usage", "all", "11-22 13:10"),
    ("You've hit your limit · resets 11:36am (UTC)", "usage", "all", "11-22 11:36"),
    ("You've hit your usage limit", "usage", "all", UNKNOWN),
    ("You've hit your limit · /upgrade to increase your usage limit", "usage", "all", UNKNOWN),
    // from May 2026 on
    ("You've hit your session limit · resets 5:30pm (Asia/Jerusalem)", "five_hour", "all", "11-22 15:30"),
    ("You've hit your weekly limit · resets 3am (Europe/London)", "seven_day", "all", "11-23 03:00"),
    ("You've hit your 5-hour limit · resets 1pm (UTC)", "five_hour", "all", "11-22 13:00"),
    ("You've reached your 5-hour limit · resets 1pm (UTC)", "five_hour", "all", "11-22 13:00"),
    ("You've hit your weekly limit · resets Nov 25, 10am (UTC)", "seven_day", "all", "11-25 10:00"),
    ("You've hit your Opus limit · resets Nov 25, 10am (UTC)", "seven_day_opus", "model:opus", "11-25 10:00"),
    ("You've hit your Sonnet limit · resets Nov 25, 10am", "seven_day_sonnet", "model:sonnet", "11-25 09:00"),
    ("You've hit your Fable 5 limit · resets Nov 25, 10am", "seven_day_fable", "model:fable", "11-25 09:00"),
    ("You've hit your Opus 4.5 weekly limit", "seven_day_opus", "model:opus", UNKNOWN),
    ("You've hit your weekly Opus limit", "seven_day_opus", "model:opus", UNKNOWN),
    ("You've hit your lunar limit · resets 1pm", "lunar", "all", "11-22 12:00"),
    // credits and spend
    ("You're out of extra usage · resets 10pm (Asia/Tokyo)", "extra_usage_credits", "all", "11-22 13:00"),
    ("You're out of usage credits", "extra_usage_credits", "all", UNKNOWN),
    (
        "You're out of extra usage · /usage-credits to finish what you're working on",
        "extra_usage_credits",
        "all",
        UNKNOWN,
    ),
    (
        "You've hit your extra usage spend limit ∙ Your limit resets at 3:00 PM",
        "extra_usage_spend",
        "all",
        "11-22 14:00",
    ),
    (
        "You've hit your org's monthly spend limit · ask your admin to raise it at claude.ai/settings/usage",
        "monthly_spend",
        "all",
        UNKNOWN,
    ),
    // 2.1.234 on, at the terminal
    (
        "Usage limit reached · continuing automatically at 7pm · esc or type to cancel",
        "usage",
        "all",
        "11-22 18:00",
    ),
    ("● Usage limit reached · set to continue automatically at 1pm", "usage", "all", "11-22 12:00"),
    ("⚠ Usage limit reached · limit resets 1pm", "usage", "all", "11-22 12:00"),
];

#[test]
fn every_text_of_a_limit_is_read_with_its_window_scope_and_reset() {
    for (line, window, scope, resets_at) in LIMITS {
        let resets_at = Some((*resets_at).to_owned()).filter(|at| at != UNKNOWN);
        let expected = Some(((*window).to_owned(), (*scope).to_owned(), resets_at));
        assert_eq!(limit(line), expected, "{line}");
    }
}

#[test]
fn apostrophes_and_escape_sequences_make_no_difference() {
    for (line, ..) in LIMITS {
        let expected = limit(line);
        for variant in [
            line.replace('\'', "\u{2019}"),
            format!("  {line}\r"),
            format!("\u{1b}[31m{line}\u{1b}[0m"),
            format!("\u{1b}[1m\u{1b}[31m{}\u{1b}[39m\u{1b}[22m", line.replace('\'', "\u{2019}")),
        ] {
            assert_eq!(limit(&variant), expected, "{variant:?}");
        }
    }
}

#[test]
fn every_separator_is_recognized() {
    for (lead, window) in [
        ("You've hit your session limit", "five_hour"),
        ("You've hit your limit", "usage"),
        ("5-hour limit reached", "five_hour"),
        ("Weekly limit reached", "seven_day"),
        ("You're out of extra usage", "extra_usage_credits"),
    ] {
        for separator in ["|", " | ", " ∙ ", " · ", " • ", " - ", ". ", ", ", " "] {
            let line = format!("{lead}{separator}resets 1pm (UTC)");
            let expected = (window.to_owned(), "all".to_owned(), Some("11-22 13:00".to_owned()));
            assert_eq!(limit(&line), Some(expected), "{line}");
        }
    }
}

#[test]
fn windows_of_days_are_distinguished_from_windows_of_hours() {
    let long = |line: &str| found(line).and_then(|error| error.window).map(|window| window.long);
    for line in ["You've hit your weekly limit", "You've hit your Opus limit", "You're out of extra usage"] {
        assert_eq!(long(line), Some(true), "{line}");
    }
    for line in ["You've hit your session limit", "You've hit your limit", "5-hour limit reached"] {
        assert_eq!(long(line), Some(false), "{line}");
    }
    assert_eq!(long("You've hit your limit · resets Nov 25, 10am"), Some(true));
}

#[test]
fn every_other_refusal_has_its_kind() {
    for (kind, lines) in [
        (
            Kind::Throttled,
            &[
                "API Error: Rate limit reached",
                "API Error: Request rejected (429) · Error",
                "API Error: Server is temporarily limiting requests (not your usage limit) · Rate limited",
                "API Error: 429 {\"type\":\"error\",\"error\":{\"type\":\"rate_limit_error\"}}",
                "API Error (429 {\"type\":\"error\"}) · Retrying in 5 seconds… (attempt 1/10)",
            ][..],
        ),
        (
            Kind::Overloaded,
            &[
                "API Error: Repeated 529 Overloaded errors. The API is at capacity — this is usually temporary.",
                "API Error: 529 Overloaded. This is a server-side issue, usually temporary — try again.",
                "API Error: 500 Internal server error. This is a server-side issue",
                "API Error (529 {\"type\":\"error\",\"error\":{\"type\":\"overloaded_error\",\"message\":\
                 \"Overloaded\"}}) · Retrying in 8 seconds… (attempt 4/10)",
                "API Error: 503 upstream connect error",
            ],
        ),
        (
            Kind::Billing,
            &[
                "Credit balance is too low",
                "Credit balance too low · Add funds: https://platform.claude.com/settings/billing",
            ],
        ),
        (
            Kind::Auth,
            &[
                "OAuth token has expired. Please obtain a new token or refresh your existing token.",
                "Please run /login · API Error: 401 {\"type\":\"error\"}",
                "OAuth session expired and could not be refreshed",
                "Not logged in · Please run /login",
                "Login expired · Please run /login",
                "Invalid API key · Fix external API key",
                "Failed to authenticate: OAuth token revoked. Please log in again.",
                "Failed to authenticate. API Error: 403 Your account does not have permission.",
                "API Error: Could not load AWS credentials · Could not load credentials from any providers.",
            ],
        ),
        (
            Kind::Organization,
            &["Your organization has disabled Claude subscription access for Claude Code · Use an API key"],
        ),
        (Kind::Network, &["API Error: Connection refused — a firewall may be blocking it (ECONNREFUSED)"]),
        (Kind::Timeout, &["Request timed out. If the API is slow to answer, set API_TIMEOUT_MS above 5000."]),
        (
            Kind::Startup,
            &[
                "Error: Session ID 11111111-2222-4333-8444-555555555555 is already in use.",
                "No conversation found with session ID: 99999999-2222-4333-8444-555555555555",
                "Error: No deferred tool marker found in the resumed session. Provide a prompt.",
                "Error: Settings file not found: /home/user/flag.json",
            ],
        ),
    ] {
        for line in lines {
            assert_eq!(found(line).map(|error| error.kind), Some(kind), "{line}");
        }
    }
}

#[test]
fn a_message_that_only_looks_like_a_limit_is_not_one() {
    for line in [
        "You've used 90% of your session limit · resets 7:20pm",
        "Couldn't reset your session limit right now · try again in a moment",
        "Your session limit is already being reset · try again in a moment",
        "Upgrade to Max for higher session limits every month",
        "Extra usage is required for long context requests.",
        "API Error: Extra usage is required for long context requests.",
    ] {
        assert_eq!(found(line), None, "{line}");
        let known = read(line, &[&claude()], &now());
        assert_eq!(known.map(|error| error.kind), Some(Kind::None), "{line}");
    }
}

#[test]
fn a_long_line_is_not_a_message() {
    let line = format!("You've hit your limit · {}", "x".repeat(LONGEST_LINE));
    assert_eq!(found(&line), None);
}

fn own(text: &str) -> Marker {
    toml::from_str::<RawMarker>(text).unwrap().compile("1 of [agents.mine]", &BTreeMap::new()).unwrap()
}

#[test]
fn a_user_marker_finds_the_reset() {
    let reset = |text: &str, line: &str| {
        let error = find([line.to_owned()].iter(), &[&[own(text)]], &now()).unwrap();
        (error.rule.into_owned(), error.resets_at.map(|at| at.strftime("%m-%d %H:%M").to_string()))
    };
    let one = "kind = 'usage_limit'\npattern = 'No quota'\nreset = '90m'";
    assert_eq!(reset(one, "No quota left"), ("marker 1 of [agents.mine]".into(), Some("11-22 11:40".into())));
    let two = "name = 'q'\nkind = 'usage_limit'\npattern = 'No quota'\nreset = 'until (.+)$'";
    assert_eq!(reset(two, "No quota until 3pm"), ("marker q".into(), Some("11-22 14:00".into())));
    assert_eq!(reset(two, "No quota at all"), ("marker q".into(), None));
    let three = "kind = 'throttled'\npattern = 'Slow down, (?P<reset>\\d+s)'";
    let error = find(["Slow down, 45s".to_owned()].iter(), &[&[own(three)]], &now()).unwrap();
    assert_eq!(error.retry_after, Some(SignedDuration::from_secs(45)));
}

#[test]
fn the_organization_kind_has_two_spellings() {
    for kind in ["organisation", "organization"] {
        let mine = own(&format!("kind = '{kind}'\npattern = 'Not for your team'"));
        let found = find(["Not for your team".to_owned()].iter(), &[&[mine]], &now());
        assert_eq!(found.map(|error| error.kind), Some(Kind::Organization));
    }
}

#[test]
fn user_markers_come_first() {
    let mine = own("kind = 'none'\npattern = \"You've hit your lunar limit\"");
    let line = ["You've hit your lunar limit".to_owned()];
    assert_eq!(find(line.iter(), &[&[mine], &claude()], &now()), None);
}

#[test]
fn an_invalid_pattern_is_refused() {
    let raw = |text: &str| toml::from_str::<RawMarker>(text).unwrap().compile("x", &BTreeMap::new());
    assert!(raw("kind = 'billing'\npattern = '('").is_err());
    assert!(raw("kind = 'billing'\npattern = 'a'\nreset = '('").is_err());
    let why = raw("kind = 'billing'\npattern = '('").unwrap_err();
    assert!(why.starts_with("`(` is not a valid pattern"), "{why}");
    for every in ["", ".*", "x?", "a|"] {
        assert!(raw(&format!("kind = 'billing'\npattern = '{every}'")).is_err(), "{every}");
        assert!(raw(&format!("kind = 'none'\npattern = '{every}'")).is_ok(), "{every}");
    }
}
