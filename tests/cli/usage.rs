//! Reports on the ledger: `kage usage` as a table, as JSON, as CSV and as a page, and `kage metrics`.

// A failed unwrap is a failed test.
#![allow(clippy::unwrap_used)]

mod browser;

use crate::support::Sandbox;
use rustix::termios::{Winsize, tcsetwinsize};
use serde_json::{Value, json};

const MONTH: &str = "home/.local/state/kage/usage/2026-11.jsonl";
/// All of November 2026, independent of the current date.
const NOVEMBER: [&str; 4] = ["--since", "2026-11-01", "--until", "2026-11-30"];

/// One attempt of a ledger. The price of the model of `personal` is not known.
fn attempt(time: &str, subscription: &str, cwd: &str, verdict: &str, tokens: u64) -> Value {
    let model = if subscription == "personal" { "homemade-1" } else { "claude-opus-5" };
    json!({
        "time": time, "run": "0123456789abcdef", "attempt": 1, "subscription": subscription,
        "agent": "claude", "namespace": "backend", "level": "normal", "cwd": cwd, "verdict": verdict,
        "exit": 0, "duration_ms": 1000,
        "models": { model: { "input_tokens": tokens, "output_tokens": 10,
            "cache_read_tokens": 700, "cache_write_5m_tokens": 50 } },
    })
}

fn ledger(attempts: &[Value]) -> Sandbox {
    let sandbox = Sandbox::new();
    let lines: Vec<_> = attempts.iter().map(Value::to_string).collect();
    sandbox.write(MONTH, &(lines.join("\n") + "\n"));
    sandbox
}

/// Three attempts on two days, one of which hit a limit.
fn november() -> Sandbox {
    ledger(&[
        attempt("2026-11-20T10:00:00Z", "work", "/srv/api", "succeeded", 2000),
        attempt("2026-11-20T11:00:00Z", "work", "/srv/日本語", "usage_limit", 90),
        attempt("2026-11-22T12:00:00Z", "personal", "/srv/🚀", "succeeded", 990),
    ])
}

fn usage(sandbox: &Sandbox, more: &[&str]) -> crate::support::Call {
    sandbox.kage(["usage"].into_iter().chain(NOVEMBER).chain(more.iter().copied()))
}

fn json_of(call: crate::support::Call) -> Value {
    serde_json::from_str(&call.run().success().says("").stdout()).unwrap()
}

#[test]
fn a_table_shows_rows_and_tokens_by_day() {
    let expected = "\
Usage from 2026-11-01 to 2026-11-30

┌──────────────┬──────┬──────┬─────┬────────────┬─────────┬──────────────────┬──────────────────────┐
│ Subscription │ Runs │   In │ Out │ Cache read │ Written │             Cost │                      │
├──────────────┼──────┼──────┼─────┼────────────┼─────────┼──────────────────┼──────────────────────┤
│ work         │    2 │ 2.1k │  20 │       1.4k │     100 │            $0.01 │ ████████████████████ │
│ personal     │    1 │  990 │  10 │        700 │      50 │         unpriced │ █████████▌           │
├──────────────┼──────┼──────┼─────┼────────────┼─────────┼──────────────────┼──────────────────────┤
│ Total        │    3 │ 3.1k │  30 │       2.1k │     150 │ $0.01 + unpriced │                      │
└──────────────┴──────┴──────┴─────┴────────────┴─────────┴──────────────────┴──────────────────────┘
";
    let sandbox = november();
    let shown = usage(&sandbox, &[]).run().success().says("").stdout();
    assert!(shown.starts_with(expected), "{shown}");
    assert!(shown.contains("\nTokens by day (peak 2.1k)\nNov 1                    █ ▄"), "{shown}");
    let note = "\nNo price is known for homemade-1; add prices in `[prices]` of the config";
    assert!(shown.contains(note), "{shown}");
    let words = ["subscription", "usage"].into_iter().chain(NOVEMBER);
    sandbox.kage(words).run().success().prints(&shown);
}

#[test]
fn json_and_csv_are_exact_and_filtered() {
    let sandbox = november();
    let answer = json_of(usage(&sandbox, &["--subscription", "work", "--by", "day,model", "--json"]));
    let numbers = |limits: u64| {
        json!({
            "runs": 0, "attempts": 2, "limits": limits, "duration_ms": 0, "input_tokens": 2090,
            "output_tokens": 20, "cache_read_tokens": 1400, "cache_write_5m_tokens": 100,
            "cache_write_1h_tokens": 0, "reasoning_tokens": 0, "tokens": 2110, "cost_usd": 0.012_275,
            "unpriced_tokens": 0, "estimated_cost_usd": 0.0,
        })
    };
    let (mut row, mut total) = (numbers(0), numbers(1));
    row["day"] = json!("2026-11-20");
    row["model"] = json!("claude-opus-5");
    total["runs"] = json!(2);
    total["duration_ms"] = json!(2000);
    let expected = json!({
        "schema": 1, "since": "2026-11-01", "until": "2026-11-30", "zone": "UTC", "prices": answer["prices"],
        "rows": [row], "total": total,
    });
    assert_eq!(answer, expected);
    let csv = usage(&sandbox, &["--by", "namespace,subscription", "--csv"]).run().success().stdout();
    let lines: Vec<_> = csv.split("\r\n").collect();
    assert_eq!(
        lines[0].split(',').take(4).collect::<Vec<_>>(),
        ["namespace", "subscription", "runs", "attempts"]
    );
    assert_eq!(lines[1], "backend,work,2,2,1,2000,2090,20,1400,100,0,0,2110,0.012275,0,0.00");
    assert_eq!(lines[2..], ["backend,personal,1,1,0,1000,990,10,700,50,0,0,1000,,1750,0.00", ""]);
    let only = json_of(usage(&sandbox, &["-n", "other", "--json"]));
    assert_eq!((&only["rows"], &only["total"]["runs"]), (&json!([]), &json!(0)));
}

#[test]
fn days_are_those_of_the_users_time_zone() {
    // 23:30 in Berlin, 14:30 in Los Angeles, 07:30 of the next day in Tokyo.
    let sandbox = ledger(&[attempt("2026-11-20T22:30:00Z", "work", "/srv", "succeeded", 90)]);
    let key = |by: &str, zone: &str, more: &[&str]| {
        let words = ["--by", by, "--json"].into_iter().chain(more.iter().copied());
        let answer = json_of(usage(&sandbox, &words.collect::<Vec<_>>()).env("TZ", zone));
        (answer["rows"][0][by].as_str().unwrap().to_owned(), answer["zone"].clone())
    };
    for (zone, day) in
        [("Europe/Berlin", "2026-11-20"), ("America/Los_Angeles", "2026-11-20"), ("Asia/Tokyo", "2026-11-21")]
    {
        assert_eq!(key("day", zone, &[]), (day.to_owned(), json!(zone)));
    }
    assert_eq!(key("day", "Asia/Tokyo", &["--utc"]), ("2026-11-20".to_owned(), json!("UTC")));
    assert_eq!(key("hour", "Asia/Tokyo", &[]).0, "2026-11-20T22:00:00Z");
    let of_one_day = ["usage", "--since", "2026-11-21", "--until", "2026-11-21"];
    let shown = sandbox.kage(of_one_day).env("TZ", "Asia/Tokyo").run().success().stdout();
    assert!(shown.contains("Tokens by hour (peak 100)\n00:00        █"), "{shown}");
}

#[test]
fn the_table_fits_a_narrow_terminal() {
    let sandbox = november();
    let row = |columns: u16| {
        let words = [
            "-c",
            "read -r go; exec \"$0\" \"$@\"",
            crate::support::kage().to_str().unwrap(),
            "usage",
            "--by",
        ]
        .map(str::to_owned);
        let words = words.into_iter().chain(["project".to_owned()]).chain(NOVEMBER.map(str::to_owned));
        let mut session = crate::shell::at_a_terminal(sandbox.call("/bin/sh".as_ref(), words));
        let size = Winsize { ws_row: 40, ws_col: columns, ws_xpixel: 0, ws_ypixel: 0 };
        tcsetwinsize(&session.process.pty, size).unwrap();
        session.send_line("go").unwrap();
        // The session returns each byte as a character.
        let bytes = session.exp_eof().unwrap().chars().map(|byte| u8::try_from(byte).unwrap()).collect();
        let shown = String::from_utf8(bytes).unwrap();
        let widest = shown.lines().map(unicode_columns).max().unwrap();
        assert!(widest <= columns.into(), "{columns}:\n{shown}");
        let row = shown.lines().find(|line| line.contains("日本語")).unwrap_or_else(|| panic!("{shown}"));
        row.split('│').map(str::trim).filter(|cell| !cell.is_empty()).map(str::to_owned).collect::<Vec<_>>()
    };
    assert_eq!(row(120), ["/srv/日本語", "1", "90", "10", "700", "50", "<$0.01", "█"]);
    assert_eq!(row(60), ["/srv/日本語", "90", "10", "<$0.01", "▌"]);
    assert_eq!(row(40), ["/srv/日本語", "100", "<$0.01"]);
}

/// The width of a line in which only these characters have two columns.
fn unicode_columns(line: &str) -> usize {
    line.chars().map(|letter| if "日本語🚀".contains(letter) { 2 } else { 1 }).sum()
}

#[test]
fn an_invalid_query_is_refused_with_one_line_and_a_hint() {
    let sandbox = november();
    sandbox.config("[subscriptions.pool.studio]\nagent = \"gemini\"\n");
    for (words, part) in [
        (vec!["--since", "2026-11-20", "--until", "2026-11-01"], "kage usage --since 2026-11-01 --until"),
        (vec!["--subscription", "wrk"], "did you mean `work`?"),
        (vec!["--subscription", "studo"], "did you mean `studio`?"),
        (vec!["--subscription", "nobody"], "kage subscription list"),
        (vec!["--period", "year"], "year"),
        (vec!["--by", "colour"], "colour"),
        (vec!["--since", "yesterday"], "yesterday"),
        (vec!["--json", "--csv"], "--csv"),
        (vec!["--html", "."], "is a directory"),
    ] {
        let line = ["usage"].into_iter().chain(words);
        sandbox.kage(line).run().status(2).is_one_line_and_a_hint().mentions(part).prints("");
    }
    usage(&sandbox, &["--subscription", "personal"]).run().success().says("");
    usage(&sandbox, &["--subscription", "studio"])
        .run()
        .success()
        .says("")
        .prints("Nothing ran from 2026-11-01 to 2026-11-30 on studio.\n");
}

#[test]
fn without_runs_usage_says_so() {
    let sandbox = Sandbox::new();
    sandbox.kage(["usage", "--period", "all"]).run().success().says("").prints("Nothing has run yet.\n");
    sandbox.kage(["usage", "--period", "today"]).run().success().says("").prints("Nothing ran today.\n");
    let csv = sandbox.kage(["usage", "--csv"]).run().success().stdout();
    assert_eq!(csv.lines().count(), 1, "{csv}");
    let page = sandbox.kage(["usage", "--html", "-"]).run().success().says("").stdout();
    assert!(page.contains("Nothing ran since"), "{page}");
    assert!(!sandbox.path("home/.local/state/kage").exists(), "a query writes nothing");
}

#[test]
fn damaged_lines_are_reported_and_skipped() {
    let sandbox = november();
    let text = sandbox.read(MONTH);
    let file = sandbox.write(MONTH, &format!("{{\"time\":\n{text}not json\n"));
    let warning = format!("kage: warning: 2 lines of {} are damaged and were skipped\n", file.display());
    let shown = usage(&sandbox, &["--json"]).run().success().says(&warning).stdout();
    assert_eq!(serde_json::from_str::<Value>(&shown).unwrap()["total"]["runs"], 3);
}

#[test]
fn a_page_is_written_to_a_file_through_a_link_and_to_a_device() {
    let sandbox = november();
    let message = "kage: wrote usage.html\n";
    usage(&sandbox, &["--html", "usage.html"]).run().success().says(message).prints("");
    let page = sandbox.read("work/usage.html");
    assert!(page.starts_with("<!DOCTYPE html>\n") && page.ends_with("</html>\n"), "{page}");
    std::os::unix::fs::symlink("usage.html", sandbox.path("work/link.html")).unwrap();
    usage(&sandbox, &["--html", "link.html"]).run().success();
    assert!(sandbox.path("work/link.html").is_symlink(), "the link was replaced");
    let through = usage(&sandbox, &["--html", "/dev/stdout"]).run().success().stdout();
    assert!(through.starts_with("<!DOCTYPE html>"), "{through}");
    usage(&sandbox, &["--html", "missing/usage.html"]).run().status(1).mentions("could not write missing");
    let left: Vec<_> = std::fs::read_dir(sandbox.path("work")).unwrap().flatten().collect();
    assert_eq!(left.len(), 2, "{left:?}");
}

#[test]
fn metrics_count_every_run() {
    let sandbox = november();
    sandbox.config("[subscriptions.pool.work]\n");
    let text = sandbox.kage(["metrics"]).run().success().says("").stdout();
    for line in [
        r#"kage_runs_total{subscription="work"} 2"#,
        r#"kage_attempts_total{subscription="work",agent="claude",verdict="usage_limit"} 1"#,
        r#"kage_tokens_total{subscription="personal",model="homemade-1",kind="cache_read"} 700"#,
        r#"kage_cost_usd_total{subscription="work",model="claude-opus-5"} 0.012275"#,
        r#"kage_subscription_status{subscription="work",status="active"} 1"#,
        r#"kage_running_agents{subscription="work"} 0"#,
    ] {
        assert!(text.lines().any(|shown| shown == line), "no {line} in {text}");
    }
    assert!(
        text.ends_with("# EOF\n") && !text.contains("kage_cost_usd_total{subscription=\"personal\""),
        "{text}"
    );
}
