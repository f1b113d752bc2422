//! A ledger of 2024 that contains damaged lines, and every kind of query on it.

use crate::golden_file::{GoldenFile, check};
use crate::support::Sandbox;

const CONFIG: &str = r#"
[subscriptions.pool]
personal = { credential = { command = "exit 3" }, priority = 50 }
work = { credential = { command = "exit 3" } }

[prices.priced-1]
input = 10
output = 20
cache_read = 1
cache_write_5m = 12
cache_write_1h = 16
long = { above = 200000, input = 20, output = 30 }
"#;

const FEBRUARY: &str = r#"
{"time":"2024-02-29T23:50:00Z","run":"00000000000000a1","attempt":1,"subscription":"work","agent":"claude","namespace":"backend","level":"high","cwd":"/srv/api","session":"11111111-2222-4333-8444-555555555555","verdict":"usage_limit","exit":1,"duration_ms":1000000,"models":{"priced-1":{"input_tokens":1000,"output_tokens":100,"cache_read_tokens":5000,"cache_write_5m_tokens":70,"cache_write_1h_tokens":8,"reasoning_tokens":40}}}
{"time":"2024-02-29T23:59:00Z","run":"00000000000000a1","attempt":2,"subscription":"personal","agent":"claude","namespace":"backend","level":"high","cwd":"/srv/api","session":"11111111-2222-4333-8444-555555555555","verdict":"succeeded","exit":0,"duration_ms":7200000,"models":{"homemade":{"input_tokens":7,"output_tokens":5},"priced-1":{"input_tokens":500300,"output_tokens":60}},"slices":[[1899167,1,0,300,10,0,0,0,0],[1899168,1,1,500000,50,0,0,0,0],[1899168,0,0,7,5,0,0,0,0]]}
"#;

const MARCH: &str = r#"
{"time":"2024-03-05T10:00:00Z","run":"00000000000000b1","attempt":1,"subscription":"work","agent":"claude","level":"normal","cwd":"/srv/web","verdict":"succeeded","exit":0,"duration_ms":2000000,"models":{"homemade":{"input_tokens":90,"output_tokens":9}}}
this line is damaged
{"time":"2024-03-05T11:30:00Z","run":"00000000000000b2","attempt":1,"subscription":"former","agent":"codex","namespace":"=1+1","level":"batch","cwd":"/srv/a, \"b\"","verdict":"interrupted","exit":null,"duration_ms":0}
{"time":"2024-03-05T12:00:00Z","run":"00000000000000b3","attempt":1,"subscription":"work","agent":"claude","level":"normal","cwd":"/srv/web","verdict":"agent_failed","exit":41,"duration_ms":3000000,"later_key":{"is":"ignored"}}
{"time":"2024-03-06T10:00:00Z","subscription":"old"}
{"time":"2024-03-06T1
"#;

/// The models are not in kage's own price table, because that table changes.
fn sandbox() -> Sandbox {
    let sandbox = Sandbox::new();
    sandbox.config(CONFIG);
    for (month, lines) in [("2024-02", FEBRUARY), ("2024-03", MARCH)] {
        sandbox.write(&format!("home/.local/state/kage/usage/{month}.jsonl"), lines.trim_start());
    }
    sandbox
}

/// Runs the same query with JSON and with CSV output.
fn query(sandbox: &Sandbox, json: &mut GoldenFile, csv: &mut GoldenFile, flags: &str) {
    for (file, form) in [(json, "--json"), (csv, "--csv")] {
        file.kage(sandbox, &format!("usage {flags} {form}"));
    }
}

#[test]
fn the_ledger_is_reported_as_before() {
    let sandbox = sandbox();
    let names = ["usage", "usage-filtered", "usage-csv", "metrics"];
    let [mut usage, mut filtered, mut csv, mut metrics] = names.map(|name| GoldenFile::new(name, &sandbox));
    for flags in [
        "--period all",
        "--period all --by subscription",
        "--period all --by model",
        "--period all --by namespace",
        "--period all --by project",
        "--period all --by day",
        "--period all --by hour",
        "--period all --by day,subscription,namespace,model",
        "--period all --rebuild",
    ] {
        query(&sandbox, &mut usage, &mut csv, flags);
    }
    for flags in [
        "--since 2024-03-01 --until 2024-03-31",
        "--since 2024-03-01 --until 2024-03-01 --by hour",
        "--period all -s work --by model",
        "--period all -n backend",
        "--period all -m priced --by subscription",
        "--until 2024-01-31",
    ] {
        query(&sandbox, &mut filtered, &mut csv, flags);
    }
    for (zone, flags) in [("Asia/Tokyo", "--by day"), ("Asia/Tokyo", "--by day --utc")] {
        let words = ["usage", "--since", "2024-02-01"].into_iter().chain(flags.split(' ')).chain(["--json"]);
        filtered.run(sandbox.kage(words).env("TZ", zone));
    }
    usage.kage(&sandbox, "subscription usage --period all --json");
    metrics.kage(&sandbox, "metrics");
    check(&[usage, filtered, csv, metrics]);
}
