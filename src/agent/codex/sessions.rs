//! Where Codex keeps its conversations: a file each, `sessions/YYYY/MM/DD/rollout-<time>-<id>.jsonl`, by the
//! local date of their beginning. A subagent has a file of its own, which names its parent's session.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};

use jiff::{SignedDuration, Timestamp};
use serde::Deserialize;

use crate::agent::{Others, Watch};

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
        others: Others::default(),
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

/// The first conversation that began in the directory after the attempt did, and is no other's. One that began
/// there later is not this attempt's, as another kage may have started it.
fn first(recent: &[PathBuf], watch: &Watch) -> Option<(PathBuf, String)> {
    let began = recent.iter().filter_map(|file| {
        let meta = meta(file)?;
        let may_be_ours = meta.is_main()
            && meta.timestamp >= watch.began
            && same_place(&meta.cwd, &watch.cwd)
            && !watch.others.sessions.contains(&meta.session)
            && !is_of_another_home(&meta, &watch.records);
        may_be_ours.then(|| (meta.timestamp, file.clone(), meta.session))
    });
    let mut began: Vec<_> = began.collect();
    began.sort();
    let at = own(&began.iter().map(|(at, ..)| *at).collect::<Vec<_>>(), watch.began, &watch.others.later)?;
    let (_, file, session) = began.swap_remove(at);
    Some((file, session))
}

/// How long an agent takes at most from its start to the beginning of its conversation. It begins one when it
/// is ready, not at the first prompt.
const STARTING: SignedDuration = SignedDuration::from_secs(60);

/// Which of the conversations is that of the attempt, by when they began, oldest first. No process tells: a
/// server in the background holds the records of all sessions of a login directory, also of those that ended.
/// But an attempt has one soon after its start. So one belongs to the attempt that began last before it; of
/// attempts that began while another was starting each has one, in the order of their beginnings.
fn own(conversations: &[Timestamp], began: Timestamp, later: &[Timestamp]) -> Option<usize> {
    let mut later = later.to_vec();
    later.sort();
    let Some(&next) = later.first() else { return (!conversations.is_empty()).then_some(0) };
    if conversations.first().is_some_and(|&at| at < next) {
        return Some(0);
    }
    let mut left: Vec<_> = conversations.iter().copied().enumerate().collect();
    for other in later {
        if let Some(theirs) = left.iter().position(|&(_, at)| at >= other) {
            left.remove(theirs);
        }
    }
    left.into_iter().find(|&(_, at)| at < began + STARTING).map(|(at, _)| at)
}

/// Whether a session at the terminal lies here only because login directories share their `sessions`: where it
/// was begun it left a mark. Versions without these have no such directory.
fn is_of_another_home(meta: &Meta, records: &Path) -> bool {
    let marks = records.with_file_name("tui-thread-reference-capabilities");
    meta.originator == "codex-tui" && marks.is_dir() && !marks.join(&meta.session).exists()
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
    /// Which of the agent's programs began it.
    #[serde(default)]
    originator: String,
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

#[cfg(test)]
mod tests {
    use super::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    /// When the own conversation began, by when all did, when the attempt began, and when later ones did.
    fn found(conversations: &[i64], began: i64, later: &[i64]) -> Option<i64> {
        let at = |seconds: &[i64]| seconds.iter().copied().map(at).collect::<Vec<_>>();
        own(&at(conversations), self::at(began), &at(later)).map(|place| conversations[place])
    }

    #[test]
    fn alone_in_its_directory_an_attempt_has_the_first_conversation() {
        assert_eq!(found(&[], 0, &[]), None);
        assert_eq!(found(&[500, 600], 0, &[]), Some(500));
    }

    #[test]
    fn a_conversation_is_of_the_attempt_that_began_last_before_it() {
        let conversations = [3, 103];
        assert_eq!(found(&conversations, 0, &[100]), Some(3));
        assert_eq!(found(&conversations[1..], 100, &[]), Some(103));
        // the first one has none yet, or never will
        assert_eq!(found(&[103], 0, &[100]), None);
        assert_eq!(found(&[103], 100, &[]), Some(103));
        // a later conversation of the second one
        assert_eq!(found(&[103, 900], 0, &[100]), None);
    }

    #[test]
    fn of_attempts_that_start_together_each_has_one() {
        assert_eq!(found(&[5, 6], 0, &[1]), Some(6));
        assert_eq!(found(&[5, 6], 1, &[]), Some(5));
        assert_eq!(found(&[5, 6, 7], 0, &[1, 2]), Some(7));
    }
}
