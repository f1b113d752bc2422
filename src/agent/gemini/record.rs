//! Gemini CLI's records: one JSON row per line in `tmp/<project>/chats/session-<time>-<start of id>.jsonl`,
//! and those of its subagents in a directory named after the session. Undocumented; unknown rows are skipped.
//! They contain answers and tokens, but no errors.

use std::collections::{BTreeMap, HashMap};
use std::ffi::OsStr;
use std::fs::{self, File};
use std::io::{BufRead as _, BufReader};
use std::ops::Range;
use std::path::{Path, PathBuf};

use jiff::Timestamp;
use jiff::tz::TimeZone;
use serde::Deserialize;
use serde_json::Value;

use crate::agent::{Evidence, Others, Watch, Work, appended};
use crate::pool::{TokenCount, Usage};

/// How many characters of the session id are in the file name.
const ID_CHARS_IN_NAME: usize = 8;

/// Returns the watch of a session, with the lengths of its files before the attempt begins.
pub(super) fn watch(projects: PathBuf, session: String, cwd: &Path, began: Timestamp) -> Watch {
    // Rows have times in whole milliseconds.
    let began = Timestamp::from_millisecond(began.as_millisecond()).unwrap_or(began);
    let (cwd, lengths) = (cwd.to_owned(), BTreeMap::new());
    let mut watch = Watch {
        records: projects,
        session: Some(session),
        cwd,
        began,
        lengths,
        visits: Vec::new(),
        ended: None,
        others: Others::default(),
    };
    let length = |file: &PathBuf| fs::metadata(file).map_or(0, |known| known.len());
    watch.lengths = files(&watch).into_iter().map(|file| (file.clone(), length(&file))).collect();
    watch
}

/// Returns the session of a directory that began most recently: the one that `--resume latest` resumes.
pub(super) fn latest(projects: &Path, cwd: &Path) -> Option<String> {
    let belongs_to_cwd = |project: &PathBuf| {
        fs::read_to_string(project.join(".project_root")).is_ok_and(|root| Path::new(root.trim()) == cwd)
    };
    let project = entries(projects).find(belongs_to_cwd)?;
    let heads = sessions(&project.join("chats")).filter_map(|file| head(&file));
    heads.max_by_key(|head| head.start_time).map(|head| head.session_id)
}

/// The first row of a session's file.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Head {
    session_id: String,
    start_time: Option<Timestamp>,
}

fn head(file: &Path) -> Option<Head> {
    let mut line = String::new();
    BufReader::new(File::open(file).ok()?).read_line(&mut line).ok()?;
    serde_json::from_str(&line).ok()
}

fn entries(dir: &Path) -> impl Iterator<Item = PathBuf> + use<> {
    fs::read_dir(dir).into_iter().flatten().flatten().map(|entry| entry.path())
}

fn is_record_file(path: &Path) -> bool {
    path.extension() == Some(OsStr::new("jsonl"))
}

fn sessions(chats: &Path) -> impl Iterator<Item = PathBuf> + use<> {
    entries(chats).filter(|path| is_record_file(path) && path.is_file())
}

/// Returns the existing files of a session. The name of the project's directory is not known, so all are
/// searched.
fn files(watch: &Watch) -> Vec<PathBuf> {
    let Some(session) = &watch.session else { return Vec::new() };
    let begins = session.chars().take(ID_CHARS_IN_NAME).collect::<String>();
    let ending = format!("-{begins}.jsonl");
    let is_named = |path: &PathBuf| path.to_str().is_some_and(|path| path.ends_with(&ending));
    let belongs_to_session = |path: &PathBuf| head(path).is_some_and(|head| head.session_id == *session);
    let chats = entries(&watch.records).map(|project| project.join("chats"));
    let found = chats.flat_map(|chats| {
        let own = sessions(&chats).filter(|path| is_named(path) && belongs_to_session(path));
        own.chain(sessions(&chats.join(session))).collect::<Vec<_>>()
    });
    found.collect()
}

/// Reads the rows that an attempt appended; `None` if the session has no files.
pub(super) fn read(watch: &Watch, zone: &TimeZone) -> Option<Recorded> {
    let files = files(watch);
    if files.is_empty() {
        return None;
    }
    let mut rows = Rows::new(zone);
    let mut answered = false;
    for path in files {
        rows.read(&path, watch.lengths.get(&path).copied().unwrap_or(0), &watch.span());
        // The files of subagents follow the session's own file. They can end with an answer before the
        // conversation does.
        if path.parent().is_some_and(|dir| dir.ends_with("chats")) {
            answered = rows.answered;
        }
    }
    let evidence = Evidence { session: watch.session.clone(), ..rows.evidence() };
    Some(Recorded { evidence, answered })
}

/// The evidence in the records of an attempt.
#[derive(Debug, Default)]
pub(super) struct Recorded {
    pub evidence: Evidence,
    /// Whether the conversation ends with an answer.
    pub answered: bool,
}

/// Reads saved rows.
pub(super) fn examine(text: &[u8], zone: &TimeZone) -> Evidence {
    let mut rows = Rows::new(zone);
    for line in text.split(|&byte| byte == b'\n') {
        rows.add(line, &(Timestamp::MIN..Timestamp::MAX));
    }
    rows.evidence()
}

#[derive(Deserialize)]
struct Row {
    r#type: String,
    id: String,
    timestamp: Timestamp,
    model: Option<String>,
    #[serde(default)]
    content: Value,
    #[serde(default, rename = "toolCalls")]
    tool_calls: Value,
    /// Not parsed further, so that an unexpected number does not discard the row.
    #[serde(default)]
    tokens: Value,
}

impl Row {
    /// Whether it is an answer with text and without tool calls.
    fn is_final_answer(&self) -> bool {
        let is_empty = |value: &Value| match value {
            Value::String(text) => text.is_empty(),
            Value::Array(parts) => parts.is_empty(),
            other => other.is_null(),
        };
        self.r#type == "gemini" && !is_empty(&self.content) && is_empty(&self.tool_calls)
    }
}

/// Returns the counts of an answer. `input` includes the tokens from the cache.
fn count(tokens: &Value) -> TokenCount {
    let number = |name: &str| tokens.get(name).and_then(Value::as_u64).unwrap_or(0);
    TokenCount {
        input_tokens: number("input").saturating_sub(number("cached")).saturating_add(number("tool")),
        output_tokens: number("output").saturating_add(number("thoughts")),
        cache_read_tokens: number("cached"),
        reasoning_tokens: number("thoughts"),
        ..TokenCount::default()
    }
}

/// The rows read so far. The agent writes an answer again, with the same id, after its tools have run.
struct Rows<'a> {
    answers: HashMap<String, (Timestamp, String, TokenCount)>,
    model: Option<String>,
    answered: bool,
    /// The user's time zone.
    zone: &'a TimeZone,
}

impl<'a> Rows<'a> {
    fn new(zone: &'a TimeZone) -> Self {
        Self { answers: HashMap::new(), model: None, answered: false, zone }
    }

    fn read(&mut self, path: &Path, from: u64, during: &Range<Timestamp>) {
        appended::each_line(path, from, |line| self.add(line, during));
    }

    fn add(&mut self, line: &[u8], during: &Range<Timestamp>) {
        let Ok(row) = serde_json::from_slice::<Row>(line) else { return };
        if !during.contains(&row.timestamp) {
            return;
        }
        if ["user", "gemini"].contains(&row.r#type.as_str()) {
            self.answered = row.is_final_answer();
        }
        if row.r#type != "gemini" {
            return;
        }
        let model = row.model.unwrap_or_else(|| "unknown".to_owned());
        self.model = Some(model.clone());
        self.answers.insert(row.id, (row.timestamp, model, count(&row.tokens)));
    }

    fn evidence(self) -> Evidence {
        let work = if self.answers.is_empty() { Work::None } else { Work::Done };
        let mut usage = Usage::default();
        for (at, model, count) in self.answers.values() {
            usage.answered(&at.to_zoned(self.zone.clone()), model, *count);
        }
        Evidence { usage, work, model: self.model, ..Evidence::default() }
    }
}

#[cfg(test)]
mod tests;
