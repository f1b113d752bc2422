use std::fmt::Write as _;

use jiff::Timestamp;

use super::*;
use crate::pool::{Lease, Limit, LimitKind, Name, Scope, Today, TokenCount, Utilization};
use crate::report::width::width;

fn now() -> Zoned {
    "2026-11-22T11:48:00[UTC]".parse().unwrap()
}

fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

fn read(value: f64, resets_at: &str, read_at: &str) -> Utilization {
    Utilization { value, resets_at: Some(at(resets_at)), read_at: at(read_at) }
}

fn today() -> Today {
    let (tokens, cost) = (TokenCount::default(), Cost::default());
    Today { date: now().date(), began: None, runs: 0, tokens, cost, estimated: Cost::default(), unpriced: 0 }
}

/// Two subscriptions with windows, one of them limited, and one without any state.
fn scene() -> (Pool, State) {
    let pool = Pool::of(&["work-premium", "personal", "spare"]);
    let mut state = State::default();
    let limit = Limit {
        scope: Scope::All,
        kind: LimitKind::RateLimited,
        window: "five_hour".into(),
        since: at("2026-11-22T11:00:00Z"),
        until: at("2026-11-22T14:30:00Z"),
    };
    let tokens = TokenCount { input_tokens: 45_000, output_tokens: 230, ..TokenCount::default() };
    let premium = SubscriptionState {
        limits: vec![limit],
        today: Some(Today { runs: 3, tokens, ..today() }),
        utilization: [
            ("seven_day".into(), read(0.724, "2026-11-25T11:48:00Z", "2026-11-22T11:43:00Z")),
            ("five_hour".into(), read(1.0, "2026-11-22T13:58:00Z", "2026-11-22T11:43:00Z")),
        ]
        .into(),
        ..SubscriptionState::default()
    };
    let personal = SubscriptionState {
        utilization: [("five_hour".into(), read(0.42, "2026-11-22T10:00:00Z", "2026-11-22T06:48:00Z"))]
            .into(),
        ..SubscriptionState::default()
    };
    state.subscriptions.insert("work-premium".parse().unwrap(), premium);
    state.subscriptions.insert("personal".parse().unwrap(), personal);
    state.leases.push(Lease {
        namespace: Some("backend".parse().unwrap()),
        cwd: "/home/user/code/api".into(),
        since: at("2026-11-22T11:36:00Z"),
        ..Lease::on("personal")
    });
    (pool, state)
}

fn with<T>(scene: &(Pool, State), show: impl FnOnce(&Overview<'_>) -> T) -> T {
    let (pool, state) = scene;
    show(&Overview { pool, state, home: Path::new("/home/user"), now: &now() })
}

/// The lines without colors. The bars are the same for every locale.
fn plain_text(lines: &[String]) -> String {
    let mut text = String::new();
    for line in lines {
        let line = anstream::adapter::strip_str(line).to_string();
        writeln!(text, "{}", line.replace(['█', '#'], "=").replace(['░', '-'], ".")).unwrap();
    }
    text
}

fn windows_at(columns: usize) -> String {
    let scene = scene();
    plain_text(&with(&scene, |overview| overview.windows(&overview.rows(), Some(columns))))
}

#[test]
fn a_window_has_a_line_with_its_bar_its_reset_and_the_age_of_the_reading() {
    let expected = "\
personal      5h ..........    .  has reset                    read 5h ago
work.premium  5h ========== 100%  resets in 2h 10m (13:58)     read 5m ago
work.premium  7d =======PART  72%  resets in 3d (Nov 25 11:48)  read 5m ago
";
    for part in ["▎..", "..."] {
        if windows_at(74) == expected.replace("PART", part) {
            return;
        }
    }
    panic!("{}", windows_at(74));
}

#[test]
fn a_narrow_terminal_drops_the_reading_then_the_clock_then_part_of_the_bar() {
    let line = |columns| {
        let text = windows_at(columns);
        assert!(text.lines().all(|line| width(line) <= columns), "{columns}: {text}");
        text.lines().nth(1).unwrap().to_owned()
    };
    assert_eq!(line(73), "work.premium  5h ========== 100%  resets in 2h 10m (13:58)");
    assert_eq!(line(60), "work.premium  5h ========== 100%  resets in 2h 10m");
    assert_eq!(line(49), "work.premium  5h ========= 100%  resets in 2h 10m");
    assert_eq!(line(44), "work.premium  5h ==== 100%  resets in 2h 10m");
    assert_eq!(line(43), "work.premium  5h ========== 100%  in 2h 10m");
    assert_eq!(line(40), "work.premium  5h ======= 100%  in 2h 10m");
    assert!(line(36).ends_with("  5h ==== 100%  in 2h 10m"));
}

#[test]
fn the_color_of_a_bar_depends_on_the_utilization() {
    let scene = scene();
    let lines = with(&scene, |overview| overview.windows(&overview.rows(), None));
    assert!(lines[1].contains("\u{1b}[31m") && lines[2].contains("\u{1b}[33m"), "{lines:?}");
    assert!(!lines[0].contains('\u{1b}'), "the utilization after a reset is unknown: {lines:?}");
}

#[test]
fn the_overview_has_totals_then_the_table_the_windows_and_the_agents() {
    let scene = scene();
    let text = plain_text(&with(&scene, |overview| overview.lines(&overview.rows(), Some(100))));
    let mut from = 0;
    for part in [
        "Subscription Pool Status\n",
        "\nActive:       2/3\nRate Limited: 1\nRunning:      1\nTotal Usage:  45,230 tokens today\n\n",
        " Priority ",
        " rate_limited until 14:30 (2h 42m) ",
        " 45,230 tokens ",
        "\n\npersonal      5h ",
        "\n\nRunning   Namespace  Age  Directory\npersonal  backend    12m  ~/code/api\n",
    ] {
        let at = text[from..].find(part).unwrap_or_else(|| panic!("no `{part}` after {from} in\n{text}"));
        from += at + part.len();
    }
    assert_eq!(from, text.len(), "{text}");
}

#[test]
fn a_table_drops_the_least_important_parts_until_it_fits() {
    let scene = scene();
    let lines = |columns| {
        let lines = with(&scene, |overview| table(&overview.rows(), Some(columns), overview.now));
        assert!(lines.iter().all(|line| width(line) <= columns), "{lines:?}");
        plain_text(&lines)
    };
    assert!(lines(90).contains("Priority"));
    let without_priority = lines(80);
    assert!(!without_priority.contains("Priority") && without_priority.contains("14:30 (2h 42m)"));
    let without_distance = lines(70);
    assert!(without_distance.contains("until 14:30 ") && without_distance.contains("45,230 tokens"));
    assert!(lines(62).contains("Running") && !lines(62).contains("45,230 tokens"));
    assert!(!lines(58).contains("Running") && lines(58).contains("until 14:30"));
    assert!(lines(42).contains("rate_limited ") && !lines(42).contains("until"));
    let expected = "\
personal      active        0 tokens
spare         active        0 tokens
work.premium  rate_limited  45,230 tokens
";
    let narrowest = with(&scene, |overview| plain(&overview.rows(), TableForm::NoUntil, overview.now));
    assert_eq!(plain_text(&narrowest), expected);
}

#[test]
fn a_screen_with_few_lines_has_no_headings_and_no_borders() {
    let scene = scene();
    let frame = |columns, height| {
        let lines = with(&scene, |overview| overview.frame(columns, height));
        assert!(lines.len() <= height && lines.iter().all(|line| width(line) <= columns), "{lines:?}");
        plain_text(&lines)
    };
    let expected = "\
2/3 active, 45,230 tokens today
personal      active                    0 tokens
spare         active                    0 tokens
work.premium  rate_limited until 14:30  45,230 tokens
personal      5h ..........    .  has reset
work.premium  5h ========== 100%  resets in 2h 10m
";
    let low = frame(58, 13);
    assert!(low.starts_with(expected), "{low}");
    assert!(low.ends_with("personal  backend    12m  ~/code/api\n"), "{low}");
    assert!(frame(58, 40).starts_with("Subscription Pool Status\n"));
    let cut = frame(58, 4);
    assert!(cut.ends_with("6 more lines; enlarge the terminal\n") && cut.lines().count() == 4, "{cut}");
    assert_eq!(frame(3, 1).len(), 4, "three columns and a line break");
    frame(0, 0);
}

#[test]
fn todays_cost_is_api_equivalent_and_unpriced_tokens_are_named() {
    let (pool, mut state) = scene();
    let mut used = |name: &str, cost: u128, unpriced: u64| {
        let known = state.subscriptions.entry(name.parse().unwrap()).or_default();
        known.today = Some(Today { cost: Cost(cost * 10_000_000_000), unpriced, ..today() });
    };
    used("work-premium", 1234, 0);
    used("personal", 0, 9);
    used("spare", 5, 1);
    let text = Overview { pool: &pool, state: &state, home: Path::new("/home/user"), now: &now() }.text(None);
    assert!(text.contains(", $12.39 + unpriced API-equivalent\n"), "{text}");
    for (name, cell) in
        [("work-premium", " $12.34 "), ("personal", " unpriced "), ("spare", " $0.05 + unpriced ")]
    {
        let row = text.lines().find(|line| line.contains(name)).unwrap();
        assert!(row.contains(cell), "{row}");
    }
    let answer = pool_json(&pool, &state, None, &now());
    let costs = answer["subscriptions"].as_array().unwrap().iter().map(|one| one["cost_today_usd"].clone());
    assert_eq!(
        costs.collect::<Vec<_>>(),
        [serde_json::Value::Null, serde_json::json!(0.05), serde_json::json!(12.34)]
    );
}

#[test]
fn json_has_each_window_and_the_totals() {
    let (pool, state) = scene();
    let answer = pool_json(&pool, &state, None, &now());
    assert_eq!(
        (&answer["running"], &answer["tokens_today"], &answer["cost_today_usd"]),
        (&1.into(), &45_230.into(), &serde_json::json!(0.0))
    );
    let expected = serde_json::json!([
        { "window": "five_hour", "utilization": 0.42, "resets_at": "2026-11-22T10:00:00Z", "read_at": "2026-11-22T06:48:00Z" },
    ]);
    let personal = answer["subscriptions"].as_array().unwrap().iter().find(|one| one["name"] == "personal");
    assert_eq!(personal.unwrap()["windows"], expected);
    let limited = pool_json(&pool, &state, Some("rate_limited"), &now());
    assert_eq!((&limited["running"], &limited["tokens_today"]), (&0.into(), &45_230.into()));
}

#[test]
fn the_details_of_a_subscription_include_its_windows() {
    let (pool, state) = scene();
    let subscription = &pool.subscriptions[&"personal".parse::<Name>().unwrap()];
    let text = details(subscription, &state, "keychain", Some(80), &now());
    let window = text.lines().find(|line| line.starts_with("Window")).unwrap();
    assert!(
        window.starts_with("Window          5h ") && window.ends_with("-  has reset  read 5h ago"),
        "{text}"
    );
}
