use super::*;
use crate::pool::{PromptLength, TokenCount};

fn parse(text: &str) -> Result<Config> {
    Config::parse(text, Path::new("/c.toml"), Path::new("/home/me"))
}

fn name(text: &str) -> Name {
    text.parse().unwrap()
}

/// Every key, as docs/config.md shows it.
pub(super) const FULL: &str = r#"
[subscriptions]
strategy = "priority"
rate_limit_window = "90s"
rate_limit_cooldown = "1h 30m"
near_limit = 0.5

[subscriptions.routing]
backend = ["work-premium", "tag:audited"]
frontend = { use = ["work-premium"], fallback = ["private"] }
high = ["work-premium"]

[subscriptions.pool.work-premium]
agent = "claude"
priority = 150
tags = ["backend", "audited"]
description = "Work account with higher limits"
credential = { from = "keychain" }
max_parallel = 4
env = { ANTHROPIC_BASE_URL = "https://gateway.example" }
requests_per_window = 60
tokens_per_day = 5000000
cost_per_day = 20
cost_per_month = 99.5

[subscriptions.pool.private]
credential = { home = "~/.claude-private" }

[namespaces.backend]
repos = ["~/code/api", "/srv/auth"]
tokens_per_day = 1000
cost_per_day = 2.5

[prices."my-model"]
input = 1.5
output = 6
cache_read = 0.15
cache_write_5m = 1.875
cache_write_1h = 3.0
from = 2026-10-01
long = { above = 200000, input = 3.0, output = 9.0 }

[[prices."claude-*"]]
input = 1
output = 2
until = 2026-10-31

[[prices."claude-*"]]
input = 2
output = 4
from = 2026-11-01
"#;

#[test]
fn every_key_is_read() {
    let config = parse(FULL).unwrap();
    let pool = &config.pool;
    assert_eq!(pool.strategy, Strategy::Priority);
    assert_eq!(pool.rate_limit_window, SignedDuration::from_secs(90));
    assert_eq!(pool.rate_limit_cooldown, SignedDuration::from_mins(90));
    assert!((pool.near_limit - 0.5).abs() < f64::EPSILON);
    let work = &pool.subscriptions["work-premium"];
    assert_eq!((work.priority, work.max_parallel, work.enabled), (150, Some(4), true));
    assert_eq!((work.requests_per_window, work.budgets.tokens_per_day), (Some(60), Some(5_000_000)));
    let dollars = |cost: Option<Cost>| cost.map(|cost| cost.to_string());
    assert_eq!(dollars(work.budgets.cost_per_day).as_deref(), Some("20.00 USD"));
    assert_eq!(dollars(work.budgets.cost_per_month).as_deref(), Some("99.50 USD"));
    let backend = pool.namespaces["backend"];
    assert_eq!((backend.tokens_per_day, backend.cost_per_month), (Some(1000), None));
    assert_eq!(dollars(backend.cost_per_day).as_deref(), Some("2.50 USD"));
    assert_eq!(work.env["ANTHROPIC_BASE_URL"], "https://gateway.example");
    assert_eq!(work.credential.source, Source::Keychain);
    let private = &pool.subscriptions["private"];
    assert_eq!(private.credential.source, Source::Home("/home/me/.claude-private".into()));
    assert_eq!((private.priority, private.agent.as_str()), (100, "claude"));
    assert_eq!(pool.routes["frontend"].fallback, [Selector::Name(name("private"))]);
    assert_eq!(pool.routes["backend"].primary[1], Selector::Tag("audited".into()));
    let repos: [PathBuf; 2] = ["/home/me/code/api".into(), "/srv/auth".into()];
    assert_eq!(config.namespaces["backend"], repos);
}

#[test]
fn the_users_prices_are_read() {
    let prices = parse(FULL).unwrap().prices;
    let input = |model: &str, day: &str, prompt| {
        let count = TokenCount { input_tokens: 1_000_000, ..TokenCount::default() };
        let cost = prices.of(model).cost(day.parse().unwrap(), PromptLength(prompt), &count);
        cost.map(|priced| priced.cost.to_string())
    };
    assert_eq!(input("my-model", "2026-10-01", 0).as_deref(), Some("1.50 USD"));
    assert_eq!(input("my-model", "2026-10-01", 3).as_deref(), Some("3.00 USD"));
    assert_eq!(input("my-model", "2026-09-30", 0), None);
    assert_eq!(input("claude-opus-5-5", "2026-10-31", 0).as_deref(), Some("1.00 USD"));
    assert_eq!(input("claude-opus-5-5", "2026-11-01", 0).as_deref(), Some("2.00 USD"));
}

#[test]
fn a_text_that_is_not_toml_is_rejected_with_its_line() {
    let refused = parse("s = { p = \nu g = [\"t\"] } } }\n[s.r]\n").unwrap_err().to_string();
    assert!(refused.starts_with("/c.toml:2: "), "{refused}");
}

#[test]
fn everything_is_optional() {
    let config = parse("").unwrap();
    assert!(config.pool.subscriptions.is_empty() && config.namespaces.is_empty());
    assert_eq!(config.pool.strategy, Strategy::RoundRobin);
    assert_eq!(config.pool.rate_limit_cooldown, SignedDuration::from_mins(5));
}

#[test]
fn the_older_name_of_strategy_means_the_same() {
    let config = parse("[subscriptions]\ndefault_priority = \"least-used\"").unwrap();
    assert_eq!(config.pool.strategy, Strategy::LeastUsed);
}

#[test]
fn a_credential_may_be_delivered_through_a_pipe() {
    let text = "[subscriptions.pool.a]\ncredential = { command = \"pass a\", deliver = \"fd\" }";
    let credential = parse(text).unwrap().pool.subscriptions["a"].credential.clone();
    assert_eq!(
        credential,
        Credential { source: Source::Command("pass a".into()), deliver: crate::pool::Delivery::Fd }
    );
}

#[test]
fn a_list_is_not_accepted_as_a_table() {
    for (text, location) in [
        ("\nsubscriptions = []", ":2: `subscriptions`"),
        ("[subscriptions.pool]\na = []", ":2: `subscriptions.pool.a`"),
        ("[subscriptions.pool]\na = [\"claude\", 5]", ":2: `subscriptions.pool.a`"),
        ("[namespaces]\na = []", ":2: `namespaces.a`"),
        ("[agents]\na = []", ":2: `agents.a`"),
        ("failover = [1]", ":1: `failover`"),
    ] {
        let refused = parse(text).unwrap_err().to_string();
        assert_eq!(refused, format!("/c.toml{location}: expected a table, not a list"));
    }
}

#[test]
fn deep_nesting_is_rejected_with_its_line() {
    let dotted = vec!["a"; 90].join(".");
    for deep in [format!("{dotted} = 1"), format!("a = {}{}", "[".repeat(90), "]".repeat(90))] {
        let text = format!("# mine\n[failover]\nattempts = 2\n{deep}\nb = [\n1,\n2,\n3,\n4,\n5\n]\n");
        let refused = parse(&text).unwrap_err().to_string();
        assert!(refused.starts_with("/c.toml:4: ") && refused.contains("nested too deeply"), "{refused}");
    }
    let lines = format!("a = [\n{}", "[\n".repeat(90));
    let refused = parse(&lines).unwrap_err().to_string();
    assert!(refused.starts_with("/c.toml:8") && refused.contains("nested too deeply"), "{refused}");
    let refused = parse("[recursion]").unwrap_err().to_string();
    assert!(!refused.contains("nested too deeply"), "{refused}");
}

/// Each mistake with the parts that the error must contain: the line, the key, and the words for the mistake.
#[test]
fn a_mistake_is_reported_with_file_line_and_key() {
    let cases: &[(&str, &[&str])] = &[
        ("[subscriptions]\n\nstrateggy = \"priority\"", &["/c.toml:3: ", "strateggy"]),
        ("[subscription]\n", &["/c.toml:1: ", "subscription"]),
        ("[subscriptions]\nstrategy = \"random\"", &[":2: `subscriptions.strategy`", "random"]),
        (
            "[subscriptions]\nstrategy = \"priority\"\ndefault_priority = \"priority\"",
            &[":3: `subscriptions.default_priority`", "both"],
        ),
        (
            "[subscriptions]\nrate_limit_window = \"soon\"",
            &[":2: `subscriptions.rate_limit_window`", "`soon`"],
        ),
        ("[subscriptions]\nrate_limit_cooldown = \"-5m\"", &[":2: `subscriptions.rate_limit_cooldown`"]),
        ("[subscriptions]\nrate_limit_cooldown = 5", &[":2: `subscriptions.rate_limit_cooldown`"]),
        ("[subscriptions]\nnear_limit = 1.5", &[":2: `subscriptions.near_limit`", "1.5"]),
        ("[subscriptions.pool.a]\n\npriority = 256", &[":3: `subscriptions.pool.a.priority`", "256"]),
        ("[subscriptions.pool.a]\npriority = -1", &[":2: `subscriptions.pool.a.priority`", "-1"]),
        ("[subscriptions.pool]\na = { priority = 999 }", &[":2: `subscriptions.pool.a.priority`", "999"]),
        ("[subscriptions.pool.a]\nmax_parallel = 0", &[":2: `subscriptions.pool.a.max_parallel`"]),
        ("[subscriptions.pool.a]\ntags = [\"x y\"]", &[":2: `subscriptions.pool.a.tags`", "x y"]),
        (
            "[subscriptions.pool.a]\nenv = { \"A\\u001b[2J\" = \"1\" }",
            &[":2: ", "`A\\u{1b}[2J` is not a valid variable name"],
        ),
        ("[subscriptions.pool.a]\ncolour = 1", &[":2: `subscriptions.pool.a.colour`"]),
        ("[subscriptions.pool.a]\nagent = \"clod\"", &[":2: `subscriptions.pool.a.agent`", "clod"]),
        ("[subscriptions.pool.\"\"]\n", &[":1: ", "must not be empty"]),
        ("[subscriptions.pool.\"a b\"]\n", &[":1: ", "` ` is not allowed in a name"]),
        ("[subscriptions.pool.a]\ncredential = { from = \"air\" }", &[":2: ", "credential", "air"]),
        ("[subscriptions.pool.a]\ncredential = {}", &[":2: ", "one of `from`, `command` and `home`"]),
        (
            "[subscriptions.pool.a]\ncredential = { from = \"file\", home = \"x\" }",
            &[":2: ", "one of `from`, `command` and `home`"],
        ),
        ("[subscriptions.pool.a]\ncredential = { home = \"x\", deliver = \"fd\" }", &[":2: ", "`deliver`"]),
        ("[subscriptions.routing]\nns = [\"ghost\"]", &[":2: `subscriptions.routing.ns`", "`ghost`"]),
        ("[subscriptions.routing]\nns = [\"tag:\"]", &[":2: `subscriptions.routing.ns`", "tag"]),
        ("[subscriptions.routing]\nns = { fallback = [] }", &[":2: `subscriptions.routing.ns`", "use"]),
        ("[subscriptions.routing]\nns = 5", &[":2: `subscriptions.routing.ns`", "list of subscriptions"]),
        (
            "[subscriptions.pool.a]\ncost_per_day = 0",
            &[":2: `subscriptions.pool.a.cost_per_day`", "0 is not"],
        ),
        (
            "[namespaces.a]\ncost_per_month = -1",
            &[":2: `namespaces.a.cost_per_month`", "-1 is not an amount"],
        ),
        ("[namespaces.a]\ncost_per_day = \"5\"", &[":2: ", "expected a number, not the string"]),
        (
            "[prices.a]\ninput = -1\noutput = 2",
            &[":2: `prices.a.input`", "-1 is not a price in US dollars per million tokens"],
        ),
        ("[prices.a]\ninput = 1", &[":1: `prices.a`", "the key `output` is missing"]),
        ("[prices]\na = { input = 1, output = 2, cahce_read = 1 }", &[":2: `prices.a.cahce_read`"]),
        (
            "[prices.a]\ninput = 1\noutput = 2\nlong = { above = 150000 }",
            &[":4: `prices.a.long.above`", "100000, 128000, 200000, 272000", "not 150000"],
        ),
        ("[prices.a]\ninput = 1\noutput = 2\nfrom = \"soon\"", &[":4: `prices.a.from`"]),
        ("[prices]\na = 5", &[":2: `prices.a`", "expected a table of prices, or a list of them"]),
        ("[prices]\na = []", &[":2: `prices.a`", "the list has no prices"]),
        ("[prices.\"a*b\"]\ninput = 1\noutput = 2", &[":1: `prices.a*b`", "only at the end"]),
        ("[[prices.a]]\ninput = 1\noutput = 2\n[[prices.a]]\ninput = 1\noutput = x", &[":6: "]),
        (
            "[[prices.a]]\ninput = 1\noutput = 2\n[[prices.a]]\ninput = 1\noutput = -2",
            &[":6: ", "-2 is not a price"],
        ),
        (
            "[[prices.a]]\ninput = 1\noutput = 2\n[[prices.a]]\ninput = 1\noutput = 2",
            &[":1: `prices.a`", "two of its prices apply to the same day"],
        ),
        ("[namespaces.high]\nrepos = []", &[":1: `namespaces.high`", "level"]),
        ("[namespaces.x]\nrepo = []", &[":2: `namespaces.x.repo`"]),
        (
            "[subscriptions]\nstrategy = \"priority\"\nstrategy = \"priority\"",
            &["/c.toml:3: `strategy` is defined twice"],
        ),
        ("[subscriptions.pool.a]\n[subscriptions.pool.a]", &["/c.toml:2: `a` is defined twice"]),
        ("[subscriptions.pool.a]\nmax_parallel = 5000000000", &[":2: ", "5000000000 is too large"]),
        (
            "[subscriptions.pool.a]\npriority = \"x\"",
            &[":2: ", "expected a whole number, not the string \"x\""],
        ),
        ("[subscriptions.pool]\na = 5", &[":2: `subscriptions.pool.a`: expected a table"]),
        ("[subscriptions.pool.a]\ncredential = \"x\"", &[":2: ", "expected a table, not the string \"x\""]),
        ("[subscriptions]\nstrategy = 1", &[":2: `subscriptions.strategy`: expected a string"]),
        ("[subscriptions\n", &["/c.toml:1: "]),
        ("a = 1\nb = \n", &["/c.toml:2: "]),
    ];
    for (text, parts) in cases {
        let refused = parse(text).err().unwrap_or_else(|| panic!("accepted: {text}"));
        let failure = refused.downcast_ref::<Failure>().unwrap_or_else(|| panic!("{refused:#}"));
        for part in *parts {
            assert!(failure.message.contains(part), "{text}\nno `{part}` in: {}", failure.message);
        }
        assert!(!failure.message.contains('\n'), "{}", failure.message);
        assert!(failure.hint.is_some(), "{}", failure.message);
        assert_eq!(failure.status, crate::error::Status::Usage);
    }
}

#[test]
fn a_mistyped_name_in_a_route_is_suggested() {
    let text = "[subscriptions.routing]\nns = [\"wrok\"]\n[subscriptions.pool.work]\n";
    let refused = parse(text).unwrap_err();
    let failure = refused.downcast_ref::<Failure>().unwrap();
    assert_eq!(failure.hint.as_deref(), Some("did you mean `work`?"));
}
