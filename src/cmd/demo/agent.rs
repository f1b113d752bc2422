//! A stand-in for `claude -p`: it reads the credential from its environment, writes a transcript to the same
//! path as Claude Code, and prints an answer. A token that ends in `--429five` is at its limit.

use std::env;
use std::ffi::OsString;
use std::fs::{self, OpenOptions};
use std::io::Write as _;
use std::path::PathBuf;

use anyhow::{Context as _, Result};
use jiff::{Timestamp, ToSpan as _};
use serde_json::{Value, json};

use crate::report;

const ANSWER: &str = "The test compares a local time with UTC; freeze the clock and it passes.";
/// Shown as `1h 12m`.
const RESETS_IN_MINUTES: i64 = 72;

/// Acts like one `claude -p PROMPT` and returns the exit status.
pub(crate) fn run(args: &[OsString]) -> Result<i32> {
    let words: Vec<String> = args.iter().map(|arg| arg.to_string_lossy().into_owned()).collect();
    let session = value_of(&words, "--session-id").or_else(|| value_of(&words, "--resume"));
    let session = session.unwrap_or_else(|| uuid::Uuid::new_v4().to_string());
    let Some(token) = credential()? else {
        report::print("Not logged in · Please run /login\n")?;
        return Ok(1);
    };
    let limited = token.ends_with("--429five");
    let now = Timestamp::now();
    let resets_at = now + RESETS_IN_MINUTES.minutes();
    let row = if limited { limit_row(&session, now, resets_at) } else { answer_row(&session, now) };
    append(&session, &row)?;
    if limited {
        let clock = resets_at.strftime("%-I:%M%P");
        report::print(&format!("You've hit your 5-hour limit · resets {clock} (UTC)\n"))?;
        return Ok(1);
    }
    report::print(&format!("{ANSWER}\n"))?;
    Ok(0)
}

fn value_of(words: &[String], option: &str) -> Option<String> {
    let at = words.iter().position(|word| word == option)?;
    words.get(at + 1).cloned()
}

fn credential() -> Result<Option<String>> {
    if let Ok(token) = env::var("CLAUDE_CODE_OAUTH_TOKEN") {
        return Ok(Some(token));
    }
    let Ok(number) = env::var("CLAUDE_CODE_OAUTH_TOKEN_FILE_DESCRIPTOR") else { return Ok(None) };
    let token =
        fs::read_to_string(format!("/dev/fd/{number}")).context("could not read the credential's pipe")?;
    Ok(Some(token))
}

fn append(session: &str, row: &Value) -> Result<()> {
    let config = env::var_os("CLAUDE_CONFIG_DIR").map(PathBuf::from);
    let config = config.or_else(|| Some(PathBuf::from(env::var_os("HOME")?).join(".claude")));
    let cwd = env::current_dir()?.to_string_lossy().into_owned();
    let folder: String = cwd.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '-' }).collect();
    let dir = config.context("HOME is not set")?.join("projects").join(folder);
    fs::create_dir_all(&dir)?;
    let mut file = OpenOptions::new().create(true).append(true).open(dir.join(format!("{session}.jsonl")))?;
    writeln!(file, "{row}").context("could not write the transcript")
}

fn answer_row(session: &str, now: Timestamp) -> Value {
    json!({
        "type": "assistant", "isSidechain": false, "sessionId": session, "timestamp": now,
        "uuid": uuid::Uuid::new_v4(), "requestId": format!("req_{}", uuid::Uuid::new_v4().simple()),
        "message": {
            "id": format!("msg_{}", uuid::Uuid::new_v4().simple()), "type": "message", "role": "assistant",
            "model": "claude-sonnet-5-5", "stop_reason": "end_turn",
            "content": [{ "type": "text", "text": ANSWER }],
            "usage": {
                "input_tokens": 1240, "output_tokens": 386,
                "cache_creation_input_tokens": 9200, "cache_read_input_tokens": 31_500,
                "cache_creation": { "ephemeral_5m_input_tokens": 0, "ephemeral_1h_input_tokens": 9200 },
            },
        },
    })
}

fn limit_row(session: &str, now: Timestamp, resets_at: Timestamp) -> Value {
    let quota = json!({
        "status": "rejected", "rateLimitType": "five_hour", "resetsAt": resets_at.as_second(),
        "isUsingOverage": false,
    });
    json!({
        "type": "assistant", "isSidechain": false, "sessionId": session, "timestamp": now,
        "uuid": uuid::Uuid::new_v4(), "isApiErrorMessage": true, "error": "rate_limit",
        "apiError": "usage_limit_reached", "apiErrorStatus": 429, "quotaLimits": quota,
        "message": {
            "id": uuid::Uuid::new_v4(), "model": "<synthetic>", "role": "assistant", "type": "message",
            "content": [{ "type": "text", "text": "You've hit your 5-hour limit" }],
            "usage": { "input_tokens": 0, "output_tokens": 0 },
        },
    })
}
