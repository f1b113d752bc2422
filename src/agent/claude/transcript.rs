//! Claude Code's transcripts: one JSON row a line in `projects/<directory>/<session>.jsonl`, and those of
//! its subagents below `<session>/`. Undocumented; unknown rows are skipped.

mod answers;

use std::collections::BTreeMap;
use std::fs;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use jiff::Timestamp;
use jiff::tz::TimeZone;
use memchr::memmem;
use serde::Deserialize;
use serde_json::Value;

use self::answers::{Answer, Answers};
use super::refusal::{RateLimitInfo, Said, lenient, refusal};
use crate::agent::{Evidence, Others, ProviderError, Watch, Work, appended};
use crate::pool::Visit;

pub(super) use self::answers::count;

/// Notes how long the session's files are, before the attempt begins.
pub(super) fn watch(projects: PathBuf, session: Option<String>, cwd: &Path, began: Timestamp) -> Watch {
    // Rows have milliseconds.
    let began = Timestamp::from_millisecond(began.as_millisecond()).unwrap_or(began);
    let mut watch = Watch {
        records: projects,
        session,
        cwd: cwd.to_owned(),
        began,
        ended: None,
        lengths: BTreeMap::new(),
        visits: Vec::new(),
        others: Others::default(),
    };
    let length = |file: &PathBuf| fs::metadata(file).map_or(0, |known| known.len());
    let known = watch.session.iter().flat_map(|session| files(&watch, session));
    watch.lengths = known.map(|file| (file.clone(), length(&file))).collect();
    watch
}

/// The session of a directory that was written last: what `--continue` goes on with.
pub(super) fn latest(projects: &Path, cwd: &Path) -> Option<String> {
    let entries = fs::read_dir(projects.join(slug(cwd))).ok()?.flatten();
    let sessions = entries.filter_map(|entry| {
        let path = entry.path();
        let id = path.file_name()?.to_str()?.strip_suffix(".jsonl")?.to_owned();
        uuid::Uuid::parse_str(&id).ok()?;
        Some((entry.metadata().and_then(|known| known.modified()).unwrap_or(SystemTime::UNIX_EPOCH), id))
    });
    sessions.max().map(|(_, id)| id)
}

/// The longest name of a folder; a longer one is cut there and ends in a hash of the whole path.
const LONGEST_SLUG: usize = 200;

/// The name of a directory's folder: what is neither letter nor digit becomes `-`. The agent counts in
/// UTF-16, so that a letter outside the basic plane becomes two.
fn slug(cwd: &Path) -> String {
    let path = cwd.to_string_lossy();
    let units = path.encode_utf16().map(|unit| u8::try_from(unit).map_or('-', char::from));
    let slug: String =
        units.map(|letter| if letter.is_ascii_alphanumeric() { letter } else { '-' }).collect();
    if slug.len() <= LONGEST_SLUG { slug } else { format!("{}-{}", &slug[..LONGEST_SLUG], hash(&path)) }
}

/// The agent's hash of a path: 31 times the former one plus the next UTF-16 unit, in 32 bits, in base 36.
fn hash(path: &str) -> String {
    let sum = path.encode_utf16().fold(0i32, |sum, unit| sum.wrapping_mul(31).wrapping_add(unit.into()));
    let mut rest = sum.unsigned_abs();
    let mut digits = Vec::new();
    while rest > 0 || digits.is_empty() {
        digits.extend(char::from_digit(rest % 36, 36));
        rest /= 36;
    }
    digits.iter().rev().collect()
}

/// The files of a session that exist, its own first.
fn files(watch: &Watch, session: &str) -> Vec<PathBuf> {
    let name = format!("{session}.jsonl");
    let expected = watch.records.join(slug(&watch.cwd)).join(&name);
    let elsewhere = || {
        // A linked or renamed directory has another folder than its name says.
        let folders = fs::read_dir(&watch.records).ok()?.flatten();
        folders.map(|folder| folder.path().join(&name)).find(|file| file.is_file())
    };
    let Some(main) = (if expected.is_file() { Some(expected) } else { elsewhere() }) else {
        return Vec::new();
    };
    let subagents = rows_below(&main.with_extension(""), DEEPEST);
    [main].into_iter().chain(subagents).collect()
}

/// How many directories deep a subagent's file may lie below its session's: in `subagents`, or deeper where
/// subagents are grouped.
const DEEPEST: u8 = 4;

/// The files of rows in a directory and those below. A link to a directory is not followed.
fn rows_below(dir: &Path, depth: u8) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(dir).into_iter().flatten().flatten() {
        let path = entry.path();
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            found.extend(depth.checked_sub(1).map(|depth| rows_below(&path, depth)).unwrap_or_default());
        } else if path.extension().is_some_and(|extension| extension == "jsonl") {
            found.push(path);
        }
    }
    found
}

/// Reads what an attempt appended; `None` where there is no record of it.
pub(super) fn read(watch: &Watch, zone: &TimeZone) -> Option<Evidence> {
    let mut rows = Rows::new(zone);
    let mut found = false;
    let visits = visits(watch);
    for (number, visit) in visits.iter().enumerate() {
        if number > 0 && visits[number - 1].session != visit.session {
            rows.overtake(); // the user is in another conversation
        }
        let end = watch.span().end;
        let during = visit.since..visit.until.unwrap_or(end).min(end);
        for (at, path) in files(watch, &visit.session).into_iter().enumerate() {
            let from = watch.lengths.get(&path).copied().unwrap_or(0);
            let is_main = at == 0;
            rows.read(&path, from, is_main, &during);
            found = true;
        }
    }
    let session = visits.last().map(|visit| visit.session.clone());
    found.then(|| Evidence { session, ..rows.evidence() })
}

/// The conversations of the attempt. Where the agent told of none, it is the one that was to be expected.
fn visits(watch: &Watch) -> Vec<Visit> {
    let began = |session: &String| Visit { session: session.clone(), since: watch.began, until: None };
    let mut visits = watch.visits.clone();
    match visits.first_mut() {
        // The hook comes a little after the beginning.
        Some(first) if watch.session.as_ref() == Some(&first.session) => first.since = watch.began,
        Some(_) => {}
        None => visits.extend(watch.session.iter().map(began)),
    }
    visits
}

/// How much of the end of a record is read for what the conversation stands at: more than any turn's error
/// needs.
const END_OF_RECORD: u64 = 256 * 1024;

/// What the end of a transcript says of the main conversation since a moment.
pub(super) fn read_end(path: &Path, since: Timestamp, zone: &TimeZone) -> Evidence {
    let mut rows = Rows::new(zone);
    let length = fs::metadata(path).map_or(0, |known| known.len());
    rows.read(path, length.saturating_sub(END_OF_RECORD), true, &(since..Timestamp::MAX));
    rows.evidence()
}

/// What rows that were saved say.
pub(super) fn examine<'a>(saved: impl Iterator<Item = &'a [u8]>, zone: &TimeZone) -> Evidence {
    let mut rows = Rows::new(zone);
    saved.for_each(|row| rows.take(row, true, &(Timestamp::MIN..Timestamp::MAX)));
    rows.evidence()
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Row {
    r#type: String,
    timestamp: Option<Timestamp>,
    request_id: Option<String>,
    #[serde(default, deserialize_with = "lenient")]
    session_id: Option<String>,
    /// The session that was answered; a fork's copy of an answer names it.
    #[serde(default, deserialize_with = "lenient")]
    request_session_id: Option<String>,
    #[serde(default, deserialize_with = "lenient")]
    is_api_error_message: bool,
    #[serde(default, deserialize_with = "lenient")]
    is_sidechain: bool,
    #[serde(default, deserialize_with = "lenient")]
    is_meta: bool,
    message: Option<Message>,
}

impl Row {
    /// Whether it tells of what happened in another session, which may be in use while it is forked.
    fn is_copy(&self) -> bool {
        self.request_session_id.is_some() && self.request_session_id != self.session_id
    }
}

#[derive(Deserialize)]
struct Message {
    id: Option<String>,
    model: Option<String>,
    /// As it comes: a number of another kind must not hide the row.
    #[serde(default)]
    usage: Value,
}

/// What has been read so far.
struct Rows {
    answers: Answers,
    errors: Vec<ProviderError>,
    /// The model of the main conversation.
    model: Option<String>,
    /// The user's.
    zone: TimeZone,
}

impl Rows {
    fn new(zone: &TimeZone) -> Self {
        Self { answers: Answers::default(), errors: Vec::new(), model: None, zone: zone.clone() }
    }

    fn read(&mut self, path: &Path, from: u64, is_main: bool, during: &Range<Timestamp>) {
        appended::each_line(path, from, |line| self.take(line, is_main, during));
    }

    fn take(&mut self, line: &[u8], is_main: bool, during: &Range<Timestamp>) {
        // Most bytes of a transcript are rows of other types; they are not worth parsing. What the user says
        // matters only behind an error.
        let holds = |word: &[u8]| memmem::find(line, word).is_some();
        if !holds(b"\"assistant\"") && (self.errors.is_empty() || !holds(b"\"user\"")) {
            return;
        }
        let Ok(row) = serde_json::from_slice::<Row>(line) else { return };
        let Some(at) = row.timestamp else { return };
        if row.r#type == "user" && is_main && !row.is_sidechain && !row.is_meta && during.contains(&at) {
            self.overtake();
        }
        if row.r#type != "assistant" {
            return;
        }
        if !during.contains(&at) || row.is_copy() {
            return; // a forked or resumed session holds older rows
        }
        if row.is_api_error_message {
            if is_main && !row.is_sidechain {
                self.errors.extend(provider_error(line, at, &self.zone));
            }
            return;
        }
        let Some(Message { id, model: Some(model), usage }) = row.message else { return };
        if !usage.is_object() {
            return;
        }
        if model.starts_with('<') {
            return; // `<synthetic>`: the agent's own words
        }
        if is_main && !row.is_sidechain {
            for error in &mut self.errors {
                error.answered_since = true;
            }
            self.model = Some(model.clone());
        }
        self.answers.take(id, row.request_id, Answer { at, model, count: count(&usage) });
    }

    fn overtake(&mut self) {
        self.errors.iter_mut().for_each(|error| error.overtaken = true);
    }

    fn evidence(self) -> Evidence {
        let usage = self.answers.usage(&self.zone);
        let work = if usage.requests > 0 { Work::Done } else { Work::None };
        Evidence { usage, work, model: self.model, errors: self.errors, ..Evidence::default() }
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct ErrorRow {
    #[serde(default, deserialize_with = "lenient")]
    error: String,
    #[serde(default, deserialize_with = "lenient")]
    api_error: Option<String>,
    #[serde(default, deserialize_with = "lenient")]
    api_error_status: Option<u16>,
    #[serde(default, deserialize_with = "lenient")]
    quota_limits: Option<RateLimitInfo>,
    message: ErrorMessage,
}

#[derive(Deserialize)]
struct ErrorMessage {
    #[serde(default)]
    content: Value,
}

fn provider_error(line: &[u8], at: Timestamp, zone: &TimeZone) -> Option<ProviderError> {
    let row: ErrorRow = serde_json::from_slice(line).ok()?;
    let text = row.message.content.pointer("/0/text").or(Some(&row.message.content)).and_then(Value::as_str);
    let said = Said {
        class: Some(&row.error),
        code: row.api_error.as_deref(),
        status: row.api_error_status,
        text: text.unwrap_or_default(),
    };
    let error = refusal(&said, row.quota_limits.as_ref(), &at.to_zoned(zone.clone()), "transcript");
    Some(ProviderError { at: Some(at), ..error })
}

#[cfg(test)]
mod tests;
