//! Finds the error message of Claude Code in what surrounds it: the JSON of the provider, a warning on the line
//! before it, and the agent's advice on the line after it. Called by the readers of text.

use std::sync::LazyLock;

use regex_lite::Regex;
use serde_json::Value;

use crate::agent::said;

/// A line with which the agent begins, whatever follows.
const WARNING: &str = "Warning: no stdin data received";

/// Advice on the line after a message: a command of the agent, and what it is for.
static ADVICE: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(r"^\s*/[a-z][a-z-]+ (?:to|for|or /[a-z-]+ to) [^/]*$").expect("the pattern is valid")
});

/// Returns the line of an output that consists of one message. Any other line makes it an answer.
pub(super) fn sole_message(output: &[u8]) -> Option<String> {
    let lines = said::lines(output);
    let mut rest = lines.as_slice();
    if let [first, after @ ..] = rest
        && first.starts_with(WARNING)
    {
        rest = after;
    }
    let message = match rest {
        [message] => Some(message),
        [message, advice] if ADVICE.is_match(&advice.replace('\u{a0}', " ")) => Some(message),
        _ => None,
    }?;
    // The bullet with which the terminal form begins a message.
    let bullet = message.strip_prefix(['●', '⏺']).map(str::trim_start);
    Some(bullet.unwrap_or(message).to_owned())
}

/// Returns the forms of a message that markers may know: with the provider's words instead of its JSON, and
/// as it is.
pub(super) fn forms(message: String) -> Vec<String> {
    plain(&message).into_iter().chain([message]).collect()
}

/// Returns `API Error: 400 words` for `API Error: 400 {"error":{"message":"words"}}`.
pub(super) fn plain(message: &str) -> Option<String> {
    let (before, json) = message.split_at(message.find('{')?);
    if !before.contains("API Error") {
        return None;
    }
    let body: Value = serde_json::from_str(json.trim_end()).ok()?;
    let words = body.pointer("/error/message")?.as_str()?;
    Some(format!("{before}{}", words.lines().next()?))
}
