//! Markers: the texts in which an agent reports a refusal, as data. A marker is matched against a short line,
//! from its beginning. Lines of plain output are tried only if the agent's records contain no error.

use std::borrow::Cow;
use std::collections::BTreeMap;

use jiff::{SignedDuration, Span, SpanRelativeTo, Timestamp, Zoned};
use regex_lite::{Captures, Regex};
use serde::Deserialize;

use super::{Kind, ProviderError, reset};
use crate::pool::{Scope, Window};

/// Longer lines (in bytes) are not error messages.
const LONGEST_LINE: usize = 400;
/// A limit that lasts longer than this has a long window.
const LONGEST_SHORT_WINDOW: SignedDuration = SignedDuration::from_hours(24);

/// A text that identifies a kind of error.
#[derive(Debug, Clone)]
pub struct Marker {
    name: String,
    kind: Kind,
    pattern: Regex,
    window: Option<String>,
    model: Option<String>,
    resets: Resets,
    act: Option<String>,
    limits_requested_model: bool,
    /// Maps the name of a window in a message, in lower case, to the provider's name.
    windows: BTreeMap<String, String>,
}

/// Where a line contains the reset of a limit.
#[derive(Debug, Clone)]
enum Resets {
    /// In the group `reset` of the marker's own pattern, if it has one.
    Inside,
    /// In the first group of another pattern, which may match anywhere in the line.
    At(Regex),
    /// Nowhere: the limit is reset after this time.
    After(SignedDuration),
}

/// A marker as written in a file.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RawMarker {
    /// The name that `kage detect` shows.
    name: Option<String>,
    kind: Kind,
    /// A regular expression that must match at the beginning of the line. Groups: `window`, `model`, `reset`.
    pattern: String,
    /// The provider's name for the window, if the pattern has no such group.
    window: Option<String>,
    /// The limited model family, if the pattern has no such group.
    model: Option<String>,
    /// The duration after which the limit is reset, or a pattern that finds the time of the reset in the
    /// line.
    reset: Option<String>,
    /// What a person must do before the provider accepts the account again. The subscription is then not
    /// selected until its health is reset or it has a new credential.
    act: Option<String>,
    /// Whether the limit covers only the model of the request, although the text does not name it.
    #[serde(default)]
    limits_requested_model: bool,
    /// Where the text was seen. For readers of the file.
    #[serde(rename = "source")]
    _source: Option<String>,
    /// The versions that print it. For readers of the file.
    #[serde(rename = "versions")]
    _versions: Option<String>,
}

impl RawMarker {
    /// Returns its name, or else its number in the list.
    pub fn label(&self, number: usize) -> String {
        self.name.as_ref().map_or_else(|| format!("marker {number}"), |name| format!("marker `{name}`"))
    }

    /// Compiles the patterns. Returns the reason as an error if one of them is not valid.
    pub fn compile(self, fallback_name: &str, windows: &BTreeMap<String, String>) -> Result<Marker, String> {
        let resets = match self.reset.as_deref().map(|text| (text, duration(text))) {
            None => Resets::Inside,
            Some((_, Some(duration))) => Resets::After(duration),
            Some((pattern, None)) => Resets::At(regex(pattern)?),
        };
        let pattern =
            Regex::new(&format!("^(?:{})", self.pattern)).map_err(|why| invalid(&self.pattern, &why))?;
        if self.kind != Kind::None && pattern.is_match("") {
            return Err(format!("`{}` matches every line", self.pattern));
        }
        Ok(Marker {
            name: self.name.unwrap_or_else(|| fallback_name.to_owned()),
            kind: self.kind,
            pattern,
            window: self.window,
            model: self.model,
            resets,
            act: self.act,
            limits_requested_model: self.limits_requested_model,
            windows: windows.clone(),
        })
    }
}

fn regex(pattern: &str) -> Result<Regex, String> {
    Regex::new(pattern).map_err(|why| invalid(pattern, &why))
}

fn invalid(pattern: &str, why: &regex_lite::Error) -> String {
    format!("`{pattern}` is not a valid pattern: {why}")
}

fn duration(text: &str) -> Option<SignedDuration> {
    let span = text.parse::<Span>().ok()?;
    span.to_duration(SpanRelativeTo::days_are_24_hours()).ok().filter(SignedDuration::is_positive)
}

/// The file of an agent's markers.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    #[serde(default)]
    windows: BTreeMap<String, String>,
    /// Parts that several patterns share. A pattern contains their name in braces.
    #[serde(default)]
    pieces: BTreeMap<String, String>,
    markers: Vec<RawMarker>,
}

/// Returns the built-in markers of an agent.
pub(super) fn built_in(file: &'static str) -> Vec<Marker> {
    let file: File = toml::from_str(file).expect("a test parses every marker file");
    let compile = |marker: RawMarker| {
        let pattern = expanded(&marker.pattern, &file.pieces);
        RawMarker { pattern, ..marker }.compile("marker", &file.windows)
    };
    let markers = file.markers.into_iter().map(compile);
    markers.collect::<Result<_, _>>().expect("a test compiles every marker")
}

/// Inserts the pieces into a pattern. A piece may contain other pieces whose names come later in the
/// alphabet.
fn expanded(pattern: &str, pieces: &BTreeMap<String, String>) -> String {
    pieces.iter().fold(pattern.to_owned(), |text, (name, piece)| text.replace(&format!("{{{name}}}"), piece))
}

/// Returns the error in the first line that a marker recognizes as an error.
pub(super) fn find<'a>(
    lines: impl Iterator<Item = &'a String>,
    markers: &[&[Marker]],
    now: &Zoned,
) -> Option<ProviderError> {
    let known = |line: &'a String| read(line, markers, now);
    lines.filter_map(known).find(|error| error.kind != Kind::None)
}

/// Reads a line with the first marker that matches it. The order matters: the marker of a warning must
/// precede the marker of a limit with a similar text.
pub(super) fn read(line: &str, markers: &[&[Marker]], now: &Zoned) -> Option<ProviderError> {
    if line.len() > LONGEST_LINE {
        return None;
    }
    let line = clean(line);
    let matches = |marker: &&Marker| marker.pattern.is_match(&line);
    markers.iter().copied().flatten().find(matches)?.read(&line, now)
}

/// Removes escape sequences, surrounding blanks and the corner with which a terminal interface begins a
/// message, and replaces typographic apostrophes.
fn clean(line: &str) -> String {
    let line = anstream::adapter::strip_str(line).to_string();
    line.trim().trim_start_matches('\u{23bf}').trim_start().replace('\u{2019}', "'")
}

impl Marker {
    fn read(&self, line: &str, now: &Zoned) -> Option<ProviderError> {
        let groups = self.pattern.captures(line)?;
        let resets_at = self.resets_at(line, &groups, now);
        let mut error = ProviderError::new(self.kind, line, format!("marker {}", self.name));
        error.act = self.act.clone().map(Cow::Owned);
        error.limits_requested_model = self.limits_requested_model;
        match self.kind {
            Kind::UsageLimit => {
                let model = group(&groups, "model").or(self.model.clone());
                let name = self.window_of(&groups, model.as_deref());
                error.scope = model.map_or(Scope::All, |model| Scope::Model(model.to_lowercase()));
                error.window = Some(window(name, resets_at, now.timestamp()));
                error.resets_at = resets_at;
            }
            _ => error.retry_after = resets_at.map(|at| at.duration_since(now.timestamp())),
        }
        Some(error)
    }

    fn resets_at(&self, line: &str, groups: &Captures<'_>, now: &Zoned) -> Option<Timestamp> {
        match &self.resets {
            Resets::Inside => reset::parse(&group(groups, "reset")?, now),
            Resets::At(pattern) => {
                let found = pattern.captures(line)?;
                reset::parse(found.get(1).or(found.get(0))?.as_str(), now)
            }
            Resets::After(duration) => now.timestamp().checked_add(*duration).ok(),
        }
    }

    fn window_of(&self, groups: &Captures<'_>, model: Option<&str>) -> String {
        let word = group(groups, "window").map(|word| word.to_lowercase());
        let known = word.map(|word| self.windows.get(&word).cloned().unwrap_or(word));
        let named = known.or_else(|| self.window.clone()).unwrap_or_else(|| "usage".to_owned());
        match model {
            Some(model) => format!("{named}_{}", model.to_lowercase()),
            None => named,
        }
    }
}

/// Returns a window, marked as long (counted in days) if its name or its reset time shows that.
pub(super) fn window(name: String, resets_at: Option<Timestamp>, now: Timestamp) -> Window {
    let far = resets_at.is_some_and(|at| at.duration_since(now) > LONGEST_SHORT_WINDOW);
    let days = [
        "day",
        "week",
        "month",
        "quota",
        "credit",
        "spend",
        "pool",
        "seat",
        "allocation",
        "org_usage",
        "access",
    ]
    .iter()
    .any(|word| name.contains(word));
    let long = days || (far && name != "five_hour");
    Window { name, long }
}

fn group(groups: &Captures<'_>, name: &str) -> Option<String> {
    groups.name(name).map(|found| found.as_str().to_owned())
}

#[cfg(test)]
mod tests;
