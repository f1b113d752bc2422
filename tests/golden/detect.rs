//! `kage detect --json`: the verdict on saved output of the agents.

use serde_json::json;

use crate::golden_file::{GoldenFile, check};
use crate::support::Sandbox;

const AT: &str = "2024-03-05T10:10:00Z";

const CONFIG: &str = r#"
[agents.mine]
credential_env = "MINE_KEY"

[[agents.mine.markers]]
name = "out"
kind = "usage_limit"
pattern = "No quota left"
reset = "until (.+)$"
model = "big"

[[agents.mine.markers]]
kind = "throttled"
pattern = "Slow down"
reset = "45s"
"#;

/// The name and the content of each file.
fn samples() -> Vec<(&'static str, String)> {
    let row = json!({
        "type": "assistant", "timestamp": "2024-03-05T10:09:00Z", "isSidechain": false, "isApiErrorMessage": true,
        "error": "rate_limit", "apiErrorStatus": 429, "apiError": "usage_limit_reached",
        "quotaLimits": { "status": "rejected", "rateLimitType": "seven_day_opus", "resetsAt": 1_709_800_000 },
        "message": { "model": "<synthetic>", "content": [{ "type": "text", "text": "You've hit your Opus limit" }] },
    });
    let result = json!({
        "type": "result", "subtype": "success", "is_error": true, "num_turns": 1, "api_error_status": 403,
        "result": "Your organization has disabled Claude subscription access for Claude Code",
    });
    let text = |text: &str| format!("{text}\n");
    vec![
        ("five", text("You've hit your 5-hour limit · resets 1pm (UTC)")),
        ("weekly", text("You've hit your weekly limit · resets Mar 8, 10am (UTC)")),
        ("no-reset", text("You've hit your limit")),
        ("transcript", text(&row.to_string())),
        ("result", text(&result.to_string())),
        ("throttled", text("API Error: Request rejected (429) · slow down")),
        ("overloaded", text("API Error: 529 Overloaded. This is a server-side issue, usually temporary.")),
        ("auth", text("Invalid API key · Fix external API key")),
        ("billing", text("Credit balance is too low")),
        ("unreachable", text("API Error: Connection refused (ECONNREFUSED)")),
        ("timed-out", text("Request timed out.")),
        ("not-started", text("Error: Session ID 11111111-2222-4333-8444-555555555555 is already in use.")),
        ("codex", text("ERROR: You've hit your usage limit. Try again in 3 hours 5 minutes.")),
        ("quota", text("TerminalQuotaError: You have exhausted your daily quota on this model.")),
        ("mine", text("No quota left until 3pm (UTC)")),
        ("slow", text("Slow down")),
        ("nothing", text("Hello")),
        ("empty", String::new()),
    ]
}

#[test]
fn saved_output_gets_the_same_verdict_as_before() {
    let sandbox = Sandbox::new();
    sandbox.config(CONFIG);
    let mut file = GoldenFile::new("detect", &sandbox);
    for (name, text) in samples() {
        sandbox.write(&format!("work/{name}"), &text);
        file.kage(&sandbox, &format!("detect --json --at {AT} {name}"));
    }
    for flags in ["--exit 0 five", "--exit 130 nothing", "--agent claude nothing", "--agent codex five"] {
        file.kage(&sandbox, &format!("detect --json --at {AT} {flags}"));
    }
    check(&[file]);
}
