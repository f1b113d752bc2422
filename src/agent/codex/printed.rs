//! Reads what `codex exec` prints: one event per line with `--json`, otherwise a log of the run on standard
//! error. Neither contains the class of an error, and the tokens in `turn.completed` are those of the whole
//! conversation.

use jiff::Zoned;
use memchr::memmem;
use serde::Deserialize;
use serde_json::Value;

use super::refusal::refusal;
use crate::agent::{Evidence, Line, Work, records, said};

/// The fields of an event that matter here.
#[derive(Deserialize, Default)]
#[serde(default)]
struct Event {
    r#type: String,
    thread_id: Option<String>,
    message: Option<String>,
    error: Option<Value>,
    item: Option<Item>,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Item {
    r#type: String,
}

/// Every line that is not progress contains one of these words. Most lines contain none and need no parsing.
const NOT_PROGRESS: [&[u8]; 3] = [b"\"error\"", b"\"thread.started\"", b"\"turn.started\""];

/// Classifies a line of the stream.
pub(super) fn classify(line: &[u8]) -> Line {
    if line.trim_ascii().is_empty() {
        return Line::Neutral;
    }
    let may_matter = NOT_PROGRESS.iter().any(|word| memmem::find(line, word).is_some());
    if !may_matter || !records::may_be_object(line) {
        return Line::Progress;
    }
    serde_json::from_slice::<Event>(line).map_or(Line::Progress, |event| kind(&event))
}

fn kind(event: &Event) -> Line {
    match event.r#type.as_str() {
        "thread.started" => Line::Opening,
        "turn.started" => Line::Neutral,
        // A warning is an item of type `error`.
        "item.completed" if event.item.as_ref().is_some_and(|item| item.r#type == "error") => Line::Neutral,
        "error" if event.message.as_deref().is_some_and(is_retry) => Line::Neutral,
        "error" | "turn.failed" => Line::Failure,
        _ => Line::Progress,
    }
}

/// `Reconnecting... 1/5 (...)`: the agent retries on its own.
fn is_retry(message: &str) -> bool {
    message.starts_with("Reconnecting...")
}

/// Reads the events of an attempt; progress events may be missing. Returns `None` if no line is an event.
pub(super) fn read<'a>(lines: impl Iterator<Item = &'a [u8]>, now: &Zoned) -> Option<Evidence> {
    let mut evidence = None::<Evidence>;
    for line in lines {
        let Ok(event) = serde_json::from_slice::<Event>(line) else { continue };
        let kind = kind(&event);
        if kind == Line::Progress && !matches!(event.r#type.split_once('.'), Some(("item" | "turn", _))) {
            continue;
        }
        let evidence = evidence.get_or_insert_default();
        match kind {
            Line::Opening => evidence.session = event.thread_id,
            Line::Progress => {
                evidence.work = Work::Done;
                evidence.errors.clear();
            }
            Line::Failure => {
                let inside = event.error.as_ref().and_then(|error| error.get("message")?.as_str());
                let text = event.message.as_deref().or(inside).unwrap_or_default();
                // The same error arrives as `error` and as `turn.failed`.
                evidence.errors = vec![refusal(&Value::Null, text, &evidence.readings, now, "turn.failed")];
            }
            Line::Neutral | Line::Sum => {}
        }
    }
    evidence
}

/// Returns the session in the header of standard error: `session id: ...`.
pub(super) fn session(stderr: &[u8]) -> Option<String> {
    let lines = said::lines(stderr);
    let id = lines.iter().find_map(|line| line.trim().strip_prefix("session id: "))?;
    uuid::Uuid::parse_str(id.trim()).ok().map(|id| id.to_string())
}

/// How many lines at the end of standard error can contain the error.
const LAST_LINES: usize = 5;

/// The beginning of the log of a run, which includes the output of tools.
const HEADER: &[u8] = b"OpenAI Codex v";
/// The prefix of the error that ended the run.
const ERROR: &str = "ERROR: ";
/// The line after that error; the number of tokens follows.
const TOKENS_USED: &str = "tokens used";

/// Returns the error at the end, without its prefix. Earlier errors may come from a tool. If the log has not
/// begun, no tool has run: the error may be about the arguments and have another prefix.
pub(super) fn error_lines(stderr: &[u8]) -> Vec<String> {
    let mut lines = said::lines(stderr);
    if lines.len() > 2 && lines[lines.len() - 2] == TOKENS_USED && is_count(&lines[lines.len() - 1]) {
        lines.truncate(lines.len() - 2);
    }
    if let Some(error) = lines.last().and_then(|line| line.strip_prefix(ERROR)) {
        return vec![error.to_owned()];
    }
    if lines.len() <= 1 {
        return lines;
    }
    if said::non_blank(stderr).any(|line| line.starts_with(HEADER)) {
        return Vec::new();
    }
    let is_error = |line: &String| line.starts_with("error: ") || line.starts_with("Error: ");
    said::last_lines(stderr, LAST_LINES).into_iter().filter(is_error).collect()
}

/// Like `error_lines`, but for a saved text of unknown origin, which must be the log of a run, only notices,
/// or a single line.
pub(super) fn saved_error_lines(text: &[u8]) -> Vec<String> {
    let is_notice = |line: &[u8]| line.starts_with(ERROR.as_bytes()) || line.starts_with(b"warning: ");
    let is_total = |line: &[u8]| line == TOKENS_USED.as_bytes() || str::from_utf8(line).is_ok_and(is_count);
    let is_log = said::non_blank(text).any(|line| line.starts_with(HEADER));
    let is_only_notices = || said::non_blank(text).all(|line| is_notice(line) || is_total(line.trim_ascii()));
    if is_log || is_only_notices() { error_lines(text) } else { said::sole_line(text).into_iter().collect() }
}

/// Whether a line is a number such as `1,234`.
fn is_count(line: &str) -> bool {
    !line.is_empty() && line.bytes().all(|byte| byte.is_ascii_digit() || byte == b',')
}

/// Whether these are the agent's events: other programs also print lines of type `error`.
pub(super) fn are_events(records: &[&[u8]]) -> bool {
    let belongs_to_run =
        |event: &Event| event.r#type == "thread.started" || event.r#type.starts_with("turn.");
    let events = records.iter().filter_map(|record| serde_json::from_slice::<Event>(record).ok());
    events.into_iter().any(|event| belongs_to_run(&event))
        || records.iter().all(|record| is_bare_error(record))
}

fn is_bare_error(record: &[u8]) -> bool {
    #[derive(Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Bare {
        r#type: String,
        #[serde(rename = "message")]
        _message: String,
    }
    serde_json::from_slice::<Bare>(record).is_ok_and(|bare| bare.r#type == "error")
}

#[cfg(test)]
mod tests;
