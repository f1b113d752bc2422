//! Markers: the texts by which an agent says that it was refused, as data. A marker is matched against a
//! whole short line, from its beginning, and only where an agent's records say nothing.

use std::collections::BTreeMap;

use jiff::{SignedDuration, Span, SpanRelativeTo, Timestamp, Zoned};
use regex_lite::{Captures, Regex};
use serde::Deserialize;

use super::{Kind, ProviderError, reset};
use crate::pool::{Scope, Window};

/// A longer line is no error message.
const LONGEST_LINE: usize = 400;
/// A limit that lasts longer than this is one of days.
const LONGEST_HOURS: SignedDuration = SignedDuration::from_hours(24);

/// A text that means something.
#[derive(Debug, Clone)]
pub struct Marker {
    name: String,
    kind: Kind,
    pattern: Regex,
    window: Option<String>,
    model: Option<String>,
    resets: Resets,
    /// The provider's words for what people call a window, in small letters.
    windows: BTreeMap<String, String>,
}

/// Where the end of a limit is said.
#[derive(Debug, Clone)]
enum Resets {
    /// In the group `reset` of the marker's own pattern, if it has one.
    Inside,
    /// In the first group of another pattern, anywhere in the line.
    At(Regex),
    After(SignedDuration),
}

/// A marker as it is written.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RawMarker {
    /// By what `kage detect` names it.
    name: Option<String>,
    kind: Kind,
    /// A regular expression for the whole line, from its beginning. Groups: `window`, `model`, `reset`.
    pattern: String,
    /// The provider's word for the window, where the pattern has no such group.
    window: Option<String>,
    /// The model family that is limited, where the pattern has no such group.
    model: Option<String>,
    /// A duration after which the limit ends, or a pattern that finds the time of it in the line.
    reset: Option<String>,
    /// Where the text was seen. For the reader of the file.
    #[serde(rename = "source")]
    _source: Option<String>,
    /// Which versions print it. For the reader of the file.
    #[serde(rename = "versions")]
    _versions: Option<String>,
}

impl RawMarker {
    /// Its name, or its number in its list.
    pub fn label(&self, number: usize) -> String {
        self.name.as_ref().map_or_else(|| format!("marker {number}"), |name| format!("marker `{name}`"))
    }

    /// A marker that works, or why its patterns do not.
    pub fn compile(self, fallback_name: &str, windows: &BTreeMap<String, String>) -> Result<Marker, String> {
        let resets = match self.reset.as_deref().map(|text| (text, duration(text))) {
            None => Resets::Inside,
            Some((_, Some(duration))) => Resets::After(duration),
            Some((pattern, None)) => Resets::At(regex(pattern)?),
        };
        let pattern =
            Regex::new(&format!("^(?:{})", self.pattern)).map_err(|why| no_pattern(&self.pattern, &why))?;
        if self.kind != Kind::None && pattern.is_match("") {
            return Err(format!("`{}` fits every line", self.pattern));
        }
        Ok(Marker {
            name: self.name.unwrap_or_else(|| fallback_name.to_owned()),
            kind: self.kind,
            pattern,
            window: self.window,
            model: self.model,
            resets,
            windows: windows.clone(),
        })
    }
}

fn regex(pattern: &str) -> Result<Regex, String> {
    Regex::new(pattern).map_err(|why| no_pattern(pattern, &why))
}

fn no_pattern(pattern: &str, why: &regex_lite::Error) -> String {
    format!("`{pattern}` is not a pattern: {why}")
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
    /// Parts that several patterns have, by the name that stands for them in braces.
    #[serde(default)]
    pieces: BTreeMap<String, String>,
    markers: Vec<RawMarker>,
}

/// The markers that an agent comes with.
pub(super) fn built_in(file: &'static str) -> Vec<Marker> {
    let file: File = toml::from_str(file).expect("a test reads every file of markers");
    let compile = |marker: RawMarker| {
        let pattern = whole(&marker.pattern, &file.pieces);
        RawMarker { pattern, ..marker }.compile("marker", &file.windows)
    };
    let markers = file.markers.into_iter().map(compile);
    markers.collect::<Result<_, _>>().expect("a test compiles every marker")
}

/// A pattern with its pieces in place, of which each may have others whose names come later.
fn whole(pattern: &str, pieces: &BTreeMap<String, String>) -> String {
    pieces.iter().fold(pattern.to_owned(), |text, (name, piece)| text.replace(&format!("{{{name}}}"), piece))
}

/// The first line that a marker knows to be an error, and what it says.
pub(super) fn find<'a>(
    lines: impl Iterator<Item = &'a String>,
    markers: &[&[Marker]],
    now: &Zoned,
) -> Option<ProviderError> {
    let known = |line: &'a String| read(line, markers, now);
    lines.filter_map(known).find(|error| error.kind != Kind::None)
}

/// What the first marker that knows the line says of it. A warning can stand in front of the limit that it
/// reads like.
pub(super) fn read(line: &str, markers: &[&[Marker]], now: &Zoned) -> Option<ProviderError> {
    if line.len() > LONGEST_LINE {
        return None;
    }
    let line = clean(line);
    let fits = |marker: &&Marker| marker.pattern.is_match(&line);
    markers.iter().copied().flatten().find(fits)?.read(&line, now)
}

/// A line without what a terminal would not show.
fn clean(line: &str) -> String {
    anstream::adapter::strip_str(line).to_string().trim().replace('\u{2019}', "'")
}

impl Marker {
    fn read(&self, line: &str, now: &Zoned) -> Option<ProviderError> {
        let groups = self.pattern.captures(line)?;
        let resets_at = self.resets_at(line, &groups, now);
        let mut error = ProviderError::new(self.kind, line, format!("marker {}", self.name));
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
        let said = group(groups, "window").map(|word| word.to_lowercase());
        let known = said.map(|word| self.windows.get(&word).cloned().unwrap_or(word));
        let named = known.or_else(|| self.window.clone()).unwrap_or_else(|| "usage".to_owned());
        match model {
            Some(model) => format!("{named}_{}", model.to_lowercase()),
            None => named,
        }
    }
}

/// A window, which is one of days where its name or its end says so.
pub(super) fn window(name: String, resets_at: Option<Timestamp>, now: Timestamp) -> Window {
    let far = resets_at.is_some_and(|at| at.duration_since(now) > LONGEST_HOURS);
    let days = ["day", "week", "month", "quota", "credit", "spend"].iter().any(|word| name.contains(word));
    let long = days || (far && name != "five_hour");
    Window { name, long }
}

fn group(groups: &Captures<'_>, name: &str) -> Option<String> {
    groups.name(name).map(|found| found.as_str().to_owned())
}

#[cfg(test)]
mod tests;
