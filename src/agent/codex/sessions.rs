//! Where Codex keeps its conversations: a file each, `sessions/YYYY/MM/DD/rollout-<time>-<id>.jsonl`, by the
//! local date of their beginning. A subagent has a file of its own, which names its parent's session.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};

use jiff::{SignedDuration, Timestamp};
use serde::Deserialize;

use crate::agent::Watch;

/// No time zone is farther from another than this.
const ZONES_APART: SignedDuration = SignedDuration::from_hours(26);

/// Notes what is known before the attempt begins.
pub(super) fn watch(records: PathBuf, session: Option<String>, cwd: PathBuf, began: Timestamp) -> Watch {
    // Rows have milliseconds.
    let began = Timestamp::from_millisecond(began.as_millisecond()).unwrap_or(began);
    let file = session.as_ref().and_then(|id| of_session(&records, id));
    let length = |file: PathBuf| Some((fs::metadata(&file).ok()?.len(), file));
    let lengths = file.and_then(length).map(|(length, file)| (file, length));
    Watch {
        records,
        session,
        cwd,
        began,
        lengths: lengths.into_iter().collect(),
        visits: Vec::new(),
        ended: None,
    }
}

/// The conversation of a directory that was written last: what `resume --last` goes on with.
pub(super) fn latest(records: &Path, cwd: &Path) -> Option<String> {
    let mut files: Vec<_> =
        days(records).iter().rev().take(DAYS_BACK).flat_map(|day| files_in(day)).collect();
    files.sort_by_key(|file| fs::metadata(file).and_then(|known| known.modified()).ok());
    let mut metas = files.iter().rev().filter_map(|file| meta(file));
    metas.find(|meta| meta.is_main() && same_place(&meta.cwd, cwd)).map(|meta| meta.session)
}

/// How many days with conversations are looked at for the latest one.
const DAYS_BACK: usize = 30;

/// The files of an attempt: its own first, then those of its subagents. Empty where none can be told.
pub(super) fn files(watch: &Watch, session: Option<&str>) -> Vec<PathBuf> {
    let recent = since(&watch.records, watch.began);
    let (own, session) = match session {
        Some(session) => (of_session(&watch.records, session), session.to_owned()),
        None => first(&recent, watch).map_or_else(Default::default, |(file, id)| (Some(file), id)),
    };
    let Some(own) = own else { return Vec::new() };
    let of_subagent = |file: &PathBuf| *file != own && meta(file).is_some_and(|meta| meta.session == session);
    let subagents: Vec<_> = recent.into_iter().filter(of_subagent).collect();
    [own].into_iter().chain(subagents).collect()
}

/// The session of a file.
pub(super) fn id_of(file: &Path) -> Option<String> {
    meta(file).map(|meta| meta.id)
}

/// Whether a session has a record here.
pub(super) fn exists(records: &Path, session: &str) -> bool {
    of_session(records, session).is_some()
}

/// Whether anything was written since the attempt began, whoever wrote it.
pub(super) fn any_since(watch: &Watch) -> bool {
    !since(&watch.records, watch.began).is_empty()
}

/// The first conversation that began in the directory after the attempt did. Another one that began there
/// later is not this attempt's, as another kage may have started it.
fn first(recent: &[PathBuf], watch: &Watch) -> Option<(PathBuf, String)> {
    let began = recent.iter().filter_map(|file| {
        let meta = meta(file)?;
        let is_ours = meta.is_main() && meta.timestamp >= watch.began && same_place(&meta.cwd, &watch.cwd);
        is_ours.then(|| (meta.timestamp, file.clone(), meta.session))
    });
    began.min().map(|(_, file, session)| (file, session))
}

/// The file of a session; its id is the end of the name.
fn of_session(records: &Path, session: &str) -> Option<PathBuf> {
    let end = format!("-{session}.jsonl");
    let is_it = |file: &PathBuf| file.file_name().is_some_and(|name| name.to_string_lossy().ends_with(&end));
    days(records).iter().rev().flat_map(|day| files_in(day)).find(is_it)
}

/// The files that were written since a time.
fn since(records: &Path, began: Timestamp) -> Vec<PathBuf> {
    let is_recent = |file: &PathBuf| {
        let modified = fs::metadata(file).and_then(|known| known.modified()).ok();
        modified.and_then(|at| Timestamp::try_from(at).ok()).is_some_and(|at| at >= began)
    };
    let earliest = began - ZONES_APART;
    let earliest = records.join(earliest.strftime("%Y/%m/%d").to_string());
    let recent = days(records).into_iter().filter(|day| *day >= earliest);
    recent.flat_map(|day| files_in(&day)).filter(is_recent).collect()
}

/// The directories of days, oldest first.
fn days(records: &Path) -> Vec<PathBuf> {
    let below = |dirs: Vec<PathBuf>| dirs.iter().flat_map(|dir| entries(dir)).collect::<Vec<_>>();
    let mut days = below(below(below(vec![records.to_owned()])));
    days.sort();
    days
}

fn files_in(day: &Path) -> Vec<PathBuf> {
    let is_rollout = |file: &PathBuf| file.extension().is_some_and(|extension| extension == "jsonl");
    entries(day).into_iter().filter(is_rollout).collect()
}

fn entries(dir: &Path) -> Vec<PathBuf> {
    fs::read_dir(dir).into_iter().flatten().flatten().map(|entry| entry.path()).collect()
}

/// What a file says of itself in its first row.
#[derive(Deserialize)]
struct Meta {
    id: String,
    /// The same as the id, but for subagents.
    #[serde(rename = "session_id")]
    session: String,
    timestamp: Timestamp,
    cwd: PathBuf,
}

impl Meta {
    fn is_main(&self) -> bool {
        self.id == self.session
    }
}

fn meta(file: &Path) -> Option<Meta> {
    #[derive(Deserialize)]
    struct Row {
        payload: Meta,
    }
    let mut line = Vec::new();
    BufReader::new(File::open(file).ok()?).read_until(b'\n', &mut line).ok()?;
    serde_json::from_slice::<Row>(&line).ok().map(|row| row.payload)
}

/// Whether two paths are one directory; the agent follows links.
fn same_place(one: &Path, other: &Path) -> bool {
    let real = |path: &Path| fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
    one == other || real(one) == real(other)
}

/// How long each file was before the attempt.
pub(super) fn length_before(lengths: &BTreeMap<PathBuf, u64>, file: &Path) -> u64 {
    lengths.get(file).copied().unwrap_or(0)
}
