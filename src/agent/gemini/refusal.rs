//! Reads the errors that Gemini CLI prints. The message is the same in its JSON object, in its JSON lines
//! and, with a stack trace, as text.

use std::sync::LazyLock;

use jiff::tz::TimeZone;
use jiff::{Timestamp, ToSpan as _, Zoned};
use serde::Deserialize;
use serde_json::Value;

use crate::agent::{Case, Exit, Kind, Marker, ProviderError, markers, reset, said};
use crate::pool::{Outcome, Verdict};

pub(super) static MARKERS: LazyLock<Vec<Marker>> =
    LazyLock::new(|| markers::built_in(include_str!("../gemini.toml")));

/// The maximum number of lines of a message, and of the object after its stack trace.
const LONGEST_BLOCK: usize = 24;
/// How many lines at the end of standard error are searched for the reason why the agent did not start.
const LAST_LINES: usize = 12;
/// The beginning of the line with the error that ended a run. Errors that did not end it begin differently.
pub(super) const ENDED: &str = "Error when talking to Gemini API";
/// The beginning of the notice of a retry.
const RETRIES: &str = "Attempt ";
/// The beginning of a message that is shown to the user.
const SHOWN: &str = "[API Error: ";
/// The beginnings of lines with advice after a message.
const ADVICE: [&str; 5] = ["Please ", "Possible ", "Suggested retry after ", "To ", "You can "];
/// The beginning of a line that may follow the last error.
const AFTERWORD: &str = "An unexpected critical error occurred:";
/// The rule of an error that occurs before any request to the provider.
const BEFORE_ANY_REQUEST: &str = "marker logged out";
/// The rule of the only retry notice that counts as an error, because the agent waits until the reset.
const WAITS: &str = "marker waits by itself";
/// The class of errors that the agent does not retry.
const TERMINAL: &str = "TerminalQuotaError";

/// The JSON of a provider's error response.
#[derive(Deserialize)]
struct ErrorResponse {
    error: ErrorBody,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct ErrorBody {
    code: i64,
    message: String,
    details: Vec<Value>,
}

/// Classifies an error by its message and, if known, the HTTP status.
pub(super) fn error(message: &str, code: Option<i64>, now: &Zoned) -> ProviderError {
    let lines = lines(message, code);
    let words = lines.first().cloned().unwrap_or_default();
    let found = markers::find(lines.iter(), &[&MARKERS], now).map(|error| with_delay(error, message, now));
    match found {
        // The message is more useful to the user than the status.
        Some(error) if error.text.starts_with("code: ") => ProviderError { text: words, ..error },
        Some(error) => error,
        None => ProviderError::new(Kind::None, words, "result"),
    }
}

/// Adds the provider's own delay to a limit without a reset time.
fn with_delay(error: ProviderError, message: &str, now: &Zoned) -> ProviderError {
    if error.kind != Kind::UsageLimit || error.resets_at.is_some() {
        return error;
    }
    let body = message.find(['{', '[']).and_then(|at| error_body(&message[at..]));
    let details = body.map(|body| body.details).unwrap_or_default();
    let delay = details.iter().find_map(|detail| detail["retryDelay"].as_str());
    let resets_at = delay.and_then(|delay| reset::parse(delay, now)).filter(|at| *at > now.timestamp());
    ProviderError { resets_at, ..error }
}

/// Splits a message into lines that markers recognize. It may contain the provider's JSON response.
fn lines(message: &str, code: Option<i64>) -> Vec<String> {
    let message = message.strip_prefix(SHOWN).unwrap_or(message);
    let body = message.find(['{', '[']).and_then(|at| error_body(&message[at..]));
    let body = body.unwrap_or_else(|| ErrorBody { message: message.to_owned(), ..ErrorBody::default() });
    let reasons = body.details.iter().filter_map(|detail| detail["reason"].as_str());
    let reasons: Vec<_> = reasons.map(|reason| format!("reason: '{reason}'")).collect();
    let code = code.or((body.code != 0).then_some(body.code));
    let lines = body.message.lines().map(|line| line.trim_end_matches(']').to_owned());
    lines.chain(reasons).chain(code.map(|code| format!("code: {code}"))).collect()
}

/// Parses the error at the beginning of a text: a JSON object, or the first one in a list.
fn error_body(text: &str) -> Option<ErrorBody> {
    let value: Value = serde_json::Deserializer::from_str(text).into_iter().next()?.ok()?;
    let value = value.get(0).unwrap_or(&value);
    let error = serde_json::from_value::<ErrorResponse>(value.clone()).ok()?.error;
    // The message may be the provider's response again. A shorter text each time: this ends.
    let inner = error.message.trim_start().starts_with('{').then(|| error_body(&error.message)).flatten();
    Some(inner.unwrap_or(error))
}

/// Returns the lines of standard error that report the error of a run, without the stack trace. If no error
/// ended the run, only an error before any request counts, or a last line that says that the agent waits
/// until the reset. Other errors are from tools, or the agent recovered from them.
pub(super) fn rendered(stderr: &[u8], now: &Zoned) -> Vec<String> {
    let text = String::from_utf8_lossy(stderr);
    let all: Vec<&str> = text.lines().collect();
    if let Some(at) = all.iter().rposition(|line| line.starts_with(ENDED)) {
        return error_lines(all[at], block(&all[at + 1..]));
    }
    let notice = all.iter().rposition(|line| line.starts_with(RETRIES));
    if let Some(at) =
        notice.filter(|&at| is_useless_retry(all[at].as_bytes()) && is_trace_to_end(&all[at + 1..]))
    {
        return error_lines(all[at], &[]);
    }
    let mut lines = said::last_lines(stderr, LAST_LINES);
    let waits = lines.last().cloned();
    let is_own = |line: &String, error: &ProviderError| match error.rule.as_ref() {
        WAITS => Some(line) == waits.as_ref(),
        rule => error.kind == Kind::Startup || rule == BEFORE_ANY_REQUEST,
    };
    lines.retain(|line| markers::read(line, &[&MARKERS], now).is_none_or(|error| is_own(line, &error)));
    lines
}

/// Returns the error lines of a text that may come from any program. They count only if the text ends with
/// the error and its stack trace, or consists of only the message as shown to the user, or of a single line.
pub(super) fn saved_error_lines(text: &[u8]) -> Vec<String> {
    let lines = said::lines(text);
    let Some((first, rest)) = lines.split_first() else { return Vec::new() };
    if let Some(message) = first.strip_prefix(SHOWN) {
        let is_advice = |line: &String| ADVICE.iter().any(|begins| line.starts_with(begins));
        return if rest.iter().all(is_advice) { self::lines(message, None) } else { Vec::new() };
    }
    let all: Vec<&str> = lines.iter().map(String::as_str).collect();
    match all.iter().rposition(|line| line.starts_with(ENDED)) {
        Some(at) => {
            let block = block(&all[at + 1..]);
            let is_last = all[at + 1 + block.len()..].iter().all(|line| line.starts_with(AFTERWORD));
            let is_own = at == 0 || !block.is_empty();
            if is_own && is_last { error_lines(all[at], block) } else { Vec::new() }
        }
        None => cut_while_retrying(&all)
            .or_else(|| said::sole_line(text).filter(|line| !belongs_to_block(line)))
            .into_iter()
            .collect(),
    }
}

/// Returns the HTTP status in the last retry notice, if the agent was killed while it retried: then only the
/// stack trace follows the notice. Needed only for a saved text; in a run, kage knows whether the agent was
/// killed.
fn cut_while_retrying(all: &[&str]) -> Option<String> {
    let at = all.iter().rposition(|line| line.starts_with(RETRIES))?;
    let (_, status) = all[at].split_once(" failed with status ")?;
    let number: String = status.chars().take_while(char::is_ascii_digit).collect();
    let is_last = all.len() > at + 1 && is_trace_to_end(&all[at + 1..]);
    (is_last && !number.is_empty()).then(|| format!("status: {number}"))
}

fn is_trace_to_end(after: &[&str]) -> bool {
    after.iter().all(|line| line.starts_with("  ") || *line == "}")
}

/// Whether a line is the notice of a retry after a refusal that no retry changes: the agent retries for
/// minutes, because the provider sends the same status as for throttling.
pub(super) fn is_useless_retry(line: &[u8]) -> bool {
    let text = String::from_utf8_lossy(line);
    if !text.starts_with(RETRIES) {
        return false;
    }
    // The kind does not depend on the time.
    let kind = |(_, message)| error(message, None, &Zoned::default()).kind;
    split_class(text.trim_end()).map(kind) == Some(Kind::Billing)
}

/// Whether a line counts only within the block of an error, because any program may print it.
fn belongs_to_block(line: &str) -> bool {
    let line = line.trim_start();
    ["code: ", "status: ", "reason: ", "Permission denied: ", TERMINAL]
        .iter()
        .any(|begins| line.starts_with(begins))
}

/// Returns the lines that belong to the error in the line before them: the rest of its message, its stack
/// trace, and the object at the end of the trace.
fn block<'a, 'b>(after: &'a [&'b str]) -> &'a [&'b str] {
    let is_trace = |line: &&str| line.starts_with("    at ");
    let Some(trace) = after.iter().take(LONGEST_BLOCK).position(is_trace) else { return &[] };
    let end = trace + after[trace..].iter().take_while(|line| is_trace(line)).count();
    if !after[end - 1].ends_with(" {") {
        return &after[..end];
    }
    let object = after[end..].iter().take(LONGEST_BLOCK).position(|line| *line == "}");
    &after[..object.map_or(end, |closes| end + closes + 1)]
}

/// Returns the lines of an error and its block, for markers.
fn error_lines(line: &str, block: &[&str]) -> Vec<String> {
    let Some((class, message)) = split_class(line) else { return Vec::new() };
    let mut found = lines(message, None);
    let more = block.iter().filter(|line| !line.starts_with("    at "));
    found.extend(more.map(|line| line.trim().to_owned()));
    if class == TERMINAL {
        // The status is 429 both for a quota that is reset soon and for one that is not.
        found.retain(|line| !line.starts_with("code: ") && !line.starts_with("status: "));
        found.push(TERMINAL.to_owned());
    }
    found
}

/// Splits a line into the class of the error and its message: `TerminalQuotaError: `, `_ApiError: `.
fn split_class(line: &str) -> Option<(&str, &str)> {
    let (before, message) = line.split_once("Error: ")?;
    let begins = before.rfind(' ').map_or(0, |space| space + 1);
    Some((&line[begins..before.len() + "Error".len()], message))
}

/// Adds facts that no message contains: the reset of a daily quota, and the meaning of the exit status if
/// there is no other evidence.
pub(super) fn complete(outcome: &mut Outcome, case: &Case<'_>) {
    match (&mut outcome.verdict, case.exit) {
        (Verdict::UsageLimit { window, resets_at: resets_at @ None, .. }, _) if window.name == "day" => {
            *resets_at = next_day(case.now);
        }
        (verdict @ Verdict::AgentFailed, Exit::Code(code)) => {
            if let Some(known) = by_status(code) {
                *verdict = known;
            }
        }
        _ => {}
    }
}

/// Whether the exit status reports a local problem, not a refusal by the provider: the input, the settings,
/// too many turns, a directory that is not trusted, an interruption.
pub(super) fn is_own_status(exit: Exit) -> bool {
    matches!(exit, Exit::Code(42 | 52 | 53 | 55 | 130))
}

/// Returns the verdict of an exit status: one of the agent's own, or an HTTP status modulo 256. Sources:
/// `ExitCodes` in its code, and measurements.
fn by_status(code: i32) -> Option<Verdict> {
    match code {
        41 | 145 | 147 => Some(Verdict::AuthRejected), // 41: before any request; 401, 403
        42 | 52 | 55 => Some(Verdict::NotStarted),     // input, settings, a directory that is not trusted
        173 => Some(Verdict::Throttled { retry_after: None }), // 429
        244..=248 => Some(Verdict::Overloaded),        // 500 to 504
        _ => None,
    }
}

/// Returns the reset of daily quotas: midnight Pacific time. Source:
/// ai.google.dev/gemini-api/docs/rate-limits.
fn next_day(now: &Zoned) -> Option<Timestamp> {
    let there = now.with_time_zone(PACIFIC.clone());
    Some(there.checked_add(1.day()).ok()?.start_of_day().ok()?.timestamp())
}

/// Pacific time, from the system's time zone database, or with its current rules if there is no database.
static PACIFIC: LazyLock<TimeZone> = LazyLock::new(|| {
    let known = TimeZone::get("America/Los_Angeles");
    known.or_else(|_| TimeZone::posix("PST8PDT,M3.2.0,M11.1.0")).unwrap_or(TimeZone::UTC)
});

#[cfg(test)]
mod tests;
