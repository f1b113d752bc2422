//! Reads Claude Code's transcripts: one JSON row per line in `projects/<directory>/<session>.jsonl`, and
//! those of subagents below `<session>/`. The format is undocumented; unknown rows are skipped.

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
use super::refusal::{ErrorFields, Params, RateLimitInfo, lenient, refusal};
use crate::agent::{Evidence, Kind, Others, ProviderError, Watch, Work, appended};
use crate::pool::Visit;

pub(super) use self::answers::count;

/// Records the lengths of the session's files before the attempt begins.
pub(super) fn watch(projects: PathBuf, session: Option<String>, cwd: &Path, began: Timestamp) -> Watch {
    // The timestamps of rows have milliseconds.
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

/// Returns the session of a directory that was written most recently: the one that `--continue` resumes.
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

/// The longest name of a folder. The agent truncates a longer one to this length and appends a hash of the
/// whole path.
const LONGEST_SLUG: usize = 200;

/// Returns the name of a directory's folder: all but ASCII letters and digits become `-`. The agent counts in
/// UTF-16 units, so a character outside the basic plane becomes two dashes.
fn slug(cwd: &Path) -> String {
    let path = cwd.to_string_lossy();
    let units = path.encode_utf16().map(|unit| u8::try_from(unit).map_or('-', char::from));
    let slug: String =
        units.map(|letter| if letter.is_ascii_alphanumeric() { letter } else { '-' }).collect();
    if slug.len() <= LONGEST_SLUG { slug } else { format!("{}-{}", &slug[..LONGEST_SLUG], hash(&path)) }
}

/// The agent's hash of a path, in base 36: for each UTF-16 unit, 31 times the hash plus the unit, in 32 bits.
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

/// Returns the existing files of a session: its own transcript first, then those of its subagents.
fn files(watch: &Watch, session: &str) -> Vec<PathBuf> {
    let name = format!("{session}.jsonl");
    let expected = watch.records.join(slug(&watch.cwd)).join(&name);
    let elsewhere = || {
        // If the directory was linked or renamed, its folder has another name.
        let folders = fs::read_dir(&watch.records).ok()?.flatten();
        folders.map(|folder| folder.path().join(&name)).find(|file| file.is_file())
    };
    let Some(main) = (if expected.is_file() { Some(expected) } else { elsewhere() }) else {
        return Vec::new();
    };
    let subagents = rows_below(&main.with_extension(""), DEEPEST);
    [main].into_iter().chain(subagents).collect()
}

/// How many directories deep the files of subagents are searched for: they are in `subagents`, or deeper if
/// subagents are grouped.
const DEEPEST: u8 = 4;

/// Returns the transcript files in a directory and below. Links to directories are not followed.
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

/// Reads the rows that an attempt appended; `None` if it has no transcript.
pub(super) fn read(watch: &Watch, zone: &TimeZone) -> Option<Evidence> {
    let mut rows = Rows::new(zone);
    let mut found = false;
    let visits = visits(watch);
    for (number, visit) in visits.iter().enumerate() {
        if number > 0 && visits[number - 1].session != visit.session {
            rows.mark_superseded(); // the user has moved to another conversation
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

/// Returns the conversations of the attempt. If the hooks reported none, returns the expected one.
fn visits(watch: &Watch) -> Vec<Visit> {
    let began = |session: &String| Visit { session: session.clone(), since: watch.began, until: None };
    let mut visits = watch.visits.clone();
    match visits.first_mut() {
        // The hook reports the conversation slightly after its beginning.
        Some(first) if watch.session.as_ref() == Some(&first.session) => first.since = watch.began,
        Some(_) => {}
        None => visits.extend(watch.session.iter().map(began)),
    }
    visits
}

/// How many bytes at the end of a transcript are read to find the state of the conversation: more than the
/// error of any turn needs.
const END_OF_RECORD: u64 = 256 * 1024;

/// Reads the end of a transcript: what happened in the main conversation since a time.
pub(super) fn read_end(path: &Path, since: Timestamp, zone: &TimeZone) -> Evidence {
    let mut rows = Rows::new(zone);
    let length = fs::metadata(path).map_or(0, |known| known.len());
    rows.read(path, length.saturating_sub(END_OF_RECORD), true, &(since..Timestamp::MAX));
    rows.evidence()
}

/// Reads saved rows.
pub(super) fn examine<'a>(saved: impl Iterator<Item = &'a [u8]>, zone: &TimeZone) -> Evidence {
    let mut rows = Rows::new(zone);
    saved.for_each(|row| rows.add(row, true, &(Timestamp::MIN..Timestamp::MAX)));
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
    /// The session that sent the request. In a fork's copy of an answer it is the original session.
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
    /// Whether the row is a copy from another session. Its timestamp does not show that: a session may be
    /// forked while it is in use.
    fn is_copy(&self) -> bool {
        self.request_session_id.is_some() && self.request_session_id != self.session_id
    }
}

#[derive(Deserialize)]
struct Message {
    id: Option<String>,
    model: Option<String>,
    /// Not typed, so that an unexpected value does not hide the row.
    #[serde(default)]
    usage: Value,
}

/// The result of all rows read so far.
struct Rows {
    answers: Answers,
    errors: Vec<ProviderError>,
    /// Limits that only subagents met.
    of_subagents: Vec<ProviderError>,
    /// The model of the main conversation.
    model: Option<String>,
    /// The user's time zone.
    zone: TimeZone,
}

impl Rows {
    fn new(zone: &TimeZone) -> Self {
        Self {
            answers: Answers::default(),
            errors: Vec::new(),
            of_subagents: Vec::new(),
            model: None,
            zone: zone.clone(),
        }
    }

    fn read(&mut self, path: &Path, from: u64, is_main: bool, during: &Range<Timestamp>) {
        appended::each_line(path, from, |line| self.add(line, is_main, during));
    }

    fn add(&mut self, line: &[u8], is_main: bool, during: &Range<Timestamp>) {
        // Most bytes of a transcript belong to rows of other types, which are not worth parsing. Prompts
        // matter only after an error.
        let contains = |word: &[u8]| memmem::find(line, word).is_some();
        if !contains(b"\"assistant\"") && (self.errors.is_empty() || !contains(b"\"user\"")) {
            return;
        }
        let Ok(row) = serde_json::from_slice::<Row>(line) else { return };
        let Some(at) = row.timestamp else { return };
        if row.r#type == "user" && is_main && !row.is_sidechain && !row.is_meta && during.contains(&at) {
            self.mark_superseded();
        }
        if row.r#type != "assistant" {
            return;
        }
        if !during.contains(&at) || row.is_copy() {
            return; // a forked or resumed session contains older rows
        }
        if row.is_api_error_message {
            let error = provider_error(line, at, &self.zone);
            if is_main && !row.is_sidechain {
                self.errors.extend(error);
            } else {
                self.of_subagents.extend(error.filter(|error| error.kind == Kind::UsageLimit));
            }
            return;
        }
        let Some(Message { id, model: Some(model), usage }) = row.message else { return };
        if !usage.is_object() {
            return;
        }
        if model.starts_with('<') {
            return; // `<synthetic>`: a message of the agent itself
        }
        if is_main && !row.is_sidechain {
            for error in &mut self.errors {
                error.answered_since = true;
            }
            self.model = Some(model.clone());
        }
        self.answers.add(id, row.request_id, Answer { at, model, count: count(&usage) });
    }

    fn mark_superseded(&mut self) {
        self.errors.iter_mut().for_each(|error| error.superseded = true);
    }

    fn evidence(self) -> Evidence {
        let usage = self.answers.usage(&self.zone);
        let work = if usage.requests > 0 { Work::Done } else { Work::None };
        Evidence {
            usage,
            work,
            model: self.model,
            errors: self.errors,
            met_by_subagents: self.of_subagents,
            ..Evidence::default()
        }
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
    api_error_type: Option<String>,
    #[serde(default, deserialize_with = "lenient")]
    api_error_params: Params,
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
    let fields = ErrorFields {
        class: Some(&row.error),
        code: row.api_error.as_deref(),
        status: row.api_error_status,
        error_type: row.api_error_type.as_deref(),
        text: text.unwrap_or_default(),
    };
    let info = row.quota_limits.as_ref().or(row.api_error_params.rate_limit_info.as_ref());
    let error = refusal(&fields, info, &at.to_zoned(zone.clone()), "transcript");
    Some(ProviderError { at: Some(at), ..error })
}

#[cfg(test)]
mod tests;
