//! What Gemini CLI says of an error: the same message in its JSON object, in its JSON lines and, with a trace
//! of its program, as text.

use std::sync::LazyLock;

use jiff::tz::TimeZone;
use jiff::{Timestamp, ToSpan as _, Zoned};
use serde::Deserialize;
use serde_json::Value;

use crate::agent::{Case, Exit, Kind, Marker, ProviderError, markers, said};
use crate::pool::{Outcome, Verdict};

pub(super) static MARKERS: LazyLock<Vec<Marker>> =
    LazyLock::new(|| markers::built_in(include_str!("../gemini.toml")));

/// How many lines a message and the object behind its trace may have.
const LONGEST_BLOCK: usize = 24;
/// How many lines at the end of standard error may say why it did not start.
const LAST_LINES: usize = 12;
/// How the line of the error begins that ended a run. Others were only reported on the way.
pub(super) const ENDED: &str = "Error when talking to Gemini API";
/// How a message is shown to the user.
const SHOWN: &str = "[API Error: ";
/// How the lines begin that advise the user behind a message.
const ADVICE: [&str; 5] = ["Please ", "Possible ", "Suggested retry after ", "To ", "You can "];
/// What may stand behind the last error.
const AFTERWORD: &str = "An unexpected critical error occurred:";
/// What is the agent's own to say of a run that asked for nothing.
const BEFORE_ANY_REQUEST: &str = "marker logged out";
/// The one notice of another try that is an end.
const WAITS: &str = "marker waits by itself";
/// The class of errors after which the agent does not try again.
const TERMINAL: &str = "TerminalQuotaError";

/// What the provider answers.
#[derive(Deserialize)]
struct Answer {
    error: Said,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Said {
    code: i64,
    message: String,
    details: Vec<Value>,
}

/// What an error is, by its message and, where it is known, the HTTP status.
pub(super) fn error(message: &str, code: Option<i64>, now: &Zoned) -> ProviderError {
    let lines = lines(message, code);
    let words = lines.first().cloned().unwrap_or_default();
    match markers::find(lines.iter(), &[&MARKERS], now) {
        // The words tell a person more.
        Some(error) if error.text.starts_with("code: ") => ProviderError { text: words, ..error },
        Some(error) => error,
        None => ProviderError::new(Kind::None, words, "result"),
    }
}

/// A message as lines that markers know. The answer of the provider may stand in it as it came.
fn lines(message: &str, code: Option<i64>) -> Vec<String> {
    let message = message.strip_prefix(SHOWN).unwrap_or(message);
    let answer = message.find(['{', '[']).and_then(|at| answer(&message[at..]));
    let answer = answer.unwrap_or_else(|| Said { message: message.to_owned(), ..Said::default() });
    let reasons = answer.details.iter().filter_map(|detail| detail["reason"].as_str());
    let reasons: Vec<_> = reasons.map(|reason| format!("reason: '{reason}'")).collect();
    let code = code.or((answer.code != 0).then_some(answer.code));
    let spoken = answer.message.lines().map(|line| line.trim_end_matches(']').to_owned());
    spoken.chain(reasons).chain(code.map(|code| format!("code: {code}"))).collect()
}

/// The error that JSON begins with, alone or in a list.
fn answer(text: &str) -> Option<Said> {
    let value: Value = serde_json::Deserializer::from_str(text).into_iter().next()?.ok()?;
    let value = value.get(0).unwrap_or(&value);
    serde_json::from_value::<Answer>(value.clone()).ok().map(|answer| answer.error)
}

/// The lines of standard error that tell the error of a run, without the trace of the program. Without an error
/// that ended the run only what is wrong before any request counts: the rest is of tools, or was got over.
pub(super) fn rendered(stderr: &[u8], now: &Zoned) -> Vec<String> {
    let text = String::from_utf8_lossy(stderr);
    let all: Vec<&str> = text.lines().collect();
    if let Some(at) = all.iter().rposition(|line| line.starts_with(ENDED)) {
        return told(all[at], block(&all[at + 1..]));
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

/// The same of a text that may be anybody's: the error with its trace and nothing else behind it, the message
/// as it is shown to the user, or one line.
pub(super) fn quotable(text: &[u8]) -> Vec<String> {
    let lines = said::lines(text);
    let Some((first, behind)) = lines.split_first() else { return Vec::new() };
    if let Some(message) = first.strip_prefix(SHOWN) {
        let is_advice = |line: &String| ADVICE.iter().any(|begins| line.starts_with(begins));
        return if behind.iter().all(is_advice) { self::lines(message, None) } else { Vec::new() };
    }
    let all: Vec<&str> = lines.iter().map(String::as_str).collect();
    match all.iter().rposition(|line| line.starts_with(ENDED)) {
        Some(at) => {
            let block = block(&all[at + 1..]);
            let is_last = all[at + 1 + block.len()..].iter().all(|line| line.starts_with(AFTERWORD));
            let is_own = at == 0 || !block.is_empty();
            if is_own && is_last { told(all[at], block) } else { Vec::new() }
        }
        None => cut_while_retrying(&all)
            .or_else(|| said::sole_line(text).filter(|line| !is_of_block(line)))
            .into_iter()
            .collect(),
    }
}

/// The status that the agent was trying again for when something ended it: behind the attempt there is its
/// trace and nothing else. Of a run under kage it is known whether something ended it; of a saved text, not.
fn cut_while_retrying(all: &[&str]) -> Option<String> {
    let at = all.iter().rposition(|line| line.starts_with("Attempt "))?;
    let (_, status) = all[at].split_once(" failed with status ")?;
    let number: String = status.chars().take_while(char::is_ascii_digit).collect();
    let is_trace = |line: &&str| line.starts_with("  ") || *line == "}";
    let is_last = all.len() > at + 1 && all[at + 1..].iter().all(is_trace);
    (is_last && !number.is_empty()).then(|| format!("status: {number}"))
}

/// Whether a line tells only within the block of an error: any program has it.
fn is_of_block(line: &str) -> bool {
    let line = line.trim_start();
    ["code: ", "status: ", "reason: ", "Permission denied: ", TERMINAL]
        .iter()
        .any(|begins| line.starts_with(begins))
}

/// The lines that belong to the error of the line before: the rest of its message, its trace, and the object
/// in which the trace ends.
fn block<'a, 'b>(behind: &'a [&'b str]) -> &'a [&'b str] {
    let is_trace = |line: &&str| line.starts_with("    at ");
    let Some(trace) = behind.iter().take(LONGEST_BLOCK).position(is_trace) else { return &[] };
    let end = trace + behind[trace..].iter().take_while(|line| is_trace(line)).count();
    if !behind[end - 1].ends_with(" {") {
        return &behind[..end];
    }
    let object = behind[end..].iter().take(LONGEST_BLOCK).position(|line| *line == "}");
    &behind[..object.map_or(end, |closes| end + closes + 1)]
}

/// What an error's line and its block say.
fn told(line: &str, block: &[&str]) -> Vec<String> {
    let Some((class, message)) = split_class(line) else { return Vec::new() };
    let mut told = lines(message, None);
    let more = block.iter().filter(|line| !line.starts_with("    at "));
    told.extend(more.map(|line| line.trim().to_owned()));
    if class == TERMINAL {
        // It says 429 of one that is over soon and of one that is not.
        told.retain(|line| !line.starts_with("code: ") && !line.starts_with("status: "));
        told.push(TERMINAL.to_owned());
    }
    told
}

/// The class of an error, which stands in front of its message: `TerminalQuotaError: `, `_ApiError: `.
fn split_class(line: &str) -> Option<(&str, &str)> {
    let (before, message) = line.split_once("Error: ")?;
    let begins = before.rfind(' ').map_or(0, |space| space + 1);
    Some((&line[begins..before.len() + "Error".len()], message))
}

/// Adds what stands in no message: the end of a day, and what the exit status says where nothing else does.
pub(super) fn complete(outcome: &mut Outcome, case: &Case<'_>) {
    match (&mut outcome.verdict, case.exit) {
        (Verdict::UsageLimit { window, resets_at: resets_at @ None, .. }, _) if window.name == "day" => {
            *resets_at = end_of_day(case.now);
        }
        (verdict @ Verdict::AgentFailed, Exit::Code(code)) => {
            if let Some(known) = by_status(code) {
                *verdict = known;
            }
        }
        _ => {}
    }
}

/// Whether the exit status is one by which the agent tells what was no provider's refusal: its input, its
/// settings, too many turns, a directory that is not trusted, an interruption.
pub(super) fn is_own_status(exit: Exit) -> bool {
    matches!(exit, Exit::Code(42 | 52 | 53 | 55 | 130))
}

/// The agent's own statuses, and those of HTTP as a status of the system: modulo 256. Sources: `ExitCodes`
/// of its program, and measured.
fn by_status(code: i32) -> Option<Verdict> {
    match code {
        41 | 145 | 147 => Some(Verdict::AuthRejected), // 41: before any request; 401, 403
        42 | 52 | 55 => Some(Verdict::NotStarted),     // input, settings, a directory that is not trusted
        173 => Some(Verdict::Throttled { retry_after: None }), // 429
        244..=248 => Some(Verdict::Overloaded),        // 500 to 504
        _ => None,
    }
}

/// Quotas of a day end at midnight Pacific time. Source: ai.google.dev/gemini-api/docs/rate-limits.
fn end_of_day(now: &Zoned) -> Option<Timestamp> {
    let there = now.with_time_zone(PACIFIC.clone());
    Some(there.checked_add(1.day()).ok()?.start_of_day().ok()?.timestamp())
}

/// By the system's database, or the rules of today where it has none.
static PACIFIC: LazyLock<TimeZone> = LazyLock::new(|| {
    let known = TimeZone::get("America/Los_Angeles");
    known.or_else(|_| TimeZone::posix("PST8PDT,M3.2.0,M11.1.0")).unwrap_or(TimeZone::UTC)
});

#[cfg(test)]
mod tests;
