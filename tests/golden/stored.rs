//! What is stored: states of both versions can be read and changed, and the first changes are written as
//! before.

use std::fs;

use jiff::Zoned;

use crate::golden_file::{GoldenFile, check, within_an_hour};
use crate::support::Sandbox;

const STATE: &str = "home/.local/state/kage/state.json";
const LOG: &str = "home/.local/state/kage/state.log";

const CONFIG: &str = r#"
[subscriptions.pool]
modelled = { credential = { command = "exit 3" } }
off = { credential = { command = "exit 3" }, enabled = false }
over = { credential = { command = "echo sk-ant-oat01-invented-over--ok" } }
sick = { credential = { command = "exit 3" } }
spent = { credential = { command = "exit 3" }, cost_per_month = 9.99, max_parallel = 1 }
trying = { credential = { command = "echo sk-ant-oat01-invented-trying--ok" } }
weekly = { credential = { command = "exit 3" } }
work = { credential = { command = "exit 3" } }

[events]
command = "cat >>$HOME/events"
"#;

/// A file in `states/` with today's date, whose leases belong to this process.
fn stored(sandbox: &Sandbox, name: &str) -> String {
    let today = Zoned::now().with_time_zone(jiff::tz::TimeZone::UTC).date();
    let file = crate::compare::golden_dir().join("states").join(name);
    let mut text = fs::read_to_string(&file).unwrap();
    for (mark, value) in [
        ("@TODAY@", today.to_string()),
        ("@FIRST@", today.first_of_month().to_string()),
        ("@PID@", std::process::id().to_string()),
        ("@STARTED@", started().to_string()),
        ("@HOME@", sandbox.path("home").display().to_string()),
    ] {
        text = text.replace(mark, &value);
    }
    text
}

/// When this process started, in clock ticks since boot; 0 if there is no `/proc`.
fn started() -> u64 {
    let stat = fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let fields = stat.rsplit_once(')').map_or("", |(_, fields)| fields);
    fields.split_ascii_whitespace().nth(19).map_or(0, |started| started.parse().unwrap())
}

/// The transcript of a run whose kage was killed: answers in two different hours.
fn write_transcript(sandbox: &Sandbox) {
    let answer = |time: &str, id: u32, tokens: u32| {
        serde_json::json!({ "type": "assistant", "timestamp": time, "requestId": format!("req-{id}"),
            "isSidechain": false, "message": { "id": format!("msg-{id}"), "model": "homemade", "content": [],
            "usage": { "input_tokens": tokens, "output_tokens": 1 } } })
    };
    let rows = [answer("2001-01-01T10:10:00Z", 1, 100), answer("2001-01-01T11:20:00Z", 2, 200)];
    let rows: Vec<_> = rows.iter().map(|row| format!("{row}\n")).collect();
    let file = "home/.claude/projects/-srv-site/22222222-0000-4000-8000-000000000001.jsonl";
    sandbox.write(file, &rows.concat());
}

fn version_1() -> Vec<GoldenFile> {
    let sandbox = Sandbox::new();
    sandbox.config(CONFIG);
    sandbox.write(STATE, &stored(&sandbox, "version-1.json"));
    write_transcript(&sandbox);
    let mut file = GoldenFile::new("version-1", &sandbox);
    // `ps` only reads; `status` counts what was lost, and so rewrites the state.
    file.kage(&sandbox, "ps --json").kage(&sandbox, "status --json").file(&sandbox, STATE);
    for name in ["sick", "spent", "work"] {
        file.kage(&sandbox, &format!("subscription show {name} --json"));
    }
    for line in ["why --json", "why -n backend --json", "status --format tmux", "usage --period all --json"] {
        file.kage(&sandbox, line);
    }
    // The next run reports that a limit has ended. A success reports that its own subscription works again.
    for line in ["exec -s over -- sleep 0.01", "exec -s trying -- sleep 0.01", "subscription reset sick"] {
        file.kage(&sandbox, line);
    }
    file.stored(&sandbox).events(&sandbox);
    vec![file]
}

fn version_2() -> Vec<GoldenFile> {
    let sandbox = Sandbox::new();
    let pool = "a = { credential = { command = \"exit 3\" }, priority = 150 }\n\
                b = { credential = { command = \"echo sk-ant-oat01-invented-b--ok\" } }\n";
    sandbox.config(&format!("[subscriptions.pool]\n{pool}"));
    sandbox.write(STATE, &stored(&sandbox, "version-2.json"));
    sandbox.write(LOG, &stored(&sandbox, "version-2.log"));
    let mut file = GoldenFile::new("version-2", &sandbox);
    for line in ["ps --json", "status --json", "why --json", "exec -n backend -- sleep 0.01", "status --json"]
    {
        file.kage(&sandbox, line);
    }
    file.file(&sandbox, LOG);
    // A log that is damaged in the middle is set aside by the next run.
    let damaged = stored(&sandbox, "version-2.log").replace("{\"leases\"", "{\"leases");
    sandbox.write(STATE, &stored(&sandbox, "version-2.json"));
    sandbox.write(LOG, &damaged);
    file.kage(&sandbox, "ps --json").kage(&sandbox, "exec -s b -- sleep 0.01").kage(&sandbox, "ps --json");
    let entries = fs::read_dir(sandbox.path("home/.local/state/kage")).unwrap().flatten();
    let names = entries.map(|entry| entry.file_name().into_string().unwrap());
    let names: Vec<_> = names.filter(|name| name.starts_with("state")).collect();
    file.add_sorted("== the files of the state", &(names.join("\n") + "\n"));
    vec![file]
}

/// The first changes in a new home.
fn fresh() -> Vec<GoldenFile> {
    let sandbox = Sandbox::new();
    let mut file = GoldenFile::new("fresh", &sandbox);
    sandbox.add("a", &["--priority", "150"]).add("b", &[]);
    file.file(&sandbox, STATE).file(&sandbox, LOG);
    for line in [
        "exec -- sleep 0.01",
        "exec -n site -p batch -- sh -c 'sleep 0.01; exit 41'",
        "subscription rename b c",
    ] {
        file.run(sandbox.kage(shlex::split(line).unwrap()));
    }
    file.file(&sandbox, LOG).stored(&sandbox);
    vec![file]
}

#[test]
fn a_state_of_version_1_is_read_and_continued() {
    check(&within_an_hour(version_1));
}

#[test]
fn a_state_of_version_2_is_read_with_its_log_and_continued() {
    check(&within_an_hour(version_2));
}

#[test]
fn the_first_changes_are_written_as_before() {
    check(&within_an_hour(fresh));
}
