//! Finds the records of Codex: one file per conversation, `sessions/YYYY/MM/DD/rollout-<time>-<id>.jsonl`,
//! under the local date on which it began. A subagent has its own file, which names its parent's session.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};

use jiff::{SignedDuration, Timestamp};
use serde::Deserialize;

use crate::agent::{Others, Watch};

/// The largest difference between two time zones.
const ZONES_APART: SignedDuration = SignedDuration::from_hours(26);

/// Records what is known before the attempt begins.
pub(super) fn watch(records: PathBuf, session: Option<String>, cwd: PathBuf, began: Timestamp) -> Watch {
    // The timestamps of rows have milliseconds.
    let began = Timestamp::from_millisecond(began.as_millisecond()).unwrap_or(began);
    let file = session.as_ref().and_then(|id| file_of(&records, id));
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

/// Returns the conversation of a directory that was written most recently: the one that `resume --last`
/// resumes.
pub(super) fn latest(records: &Path, cwd: &Path) -> Option<String> {
    let mut files: Vec<_> =
        days(records).iter().rev().take(DAYS_BACK).flat_map(|day| files_in(day)).collect();
    files.sort_by_key(|file| fs::metadata(file).and_then(|known| known.modified()).ok());
    let mut metas = files.iter().rev().filter_map(|file| meta(file));
    metas.find(|meta| meta.is_main() && same_directory(&meta.cwd, cwd)).map(|meta| meta.session)
}

/// How many days with conversations are searched for the latest one.
const DAYS_BACK: usize = 30;

/// Returns the files of an attempt: its own first, then those of its subagents. Empty if its own is unknown.
pub(super) fn files(watch: &Watch, session: Option<&str>) -> Vec<PathBuf> {
    let recent = files_since(&watch.records, watch.began);
    let (own, session) = match session {
        Some(session) => (file_of(&watch.records, session), session.to_owned()),
        None => own_conversation(&recent, watch).map_or_else(Default::default, |(file, id)| (Some(file), id)),
    };
    let Some(own) = own else { return Vec::new() };
    let of_subagent = |file: &PathBuf| *file != own && meta(file).is_some_and(|meta| meta.session == session);
    let subagents: Vec<_> = recent.into_iter().filter(of_subagent).collect();
    [own].into_iter().chain(subagents).collect()
}

/// Returns the session of a file.
pub(super) fn id_of(file: &Path) -> Option<String> {
    meta(file).map(|meta| meta.id)
}

/// Whether a session has a record here.
pub(super) fn exists(records: &Path, session: &str) -> bool {
    file_of(records, session).is_some()
}

/// Whether any process has written a record since the attempt began.
pub(super) fn any_since(watch: &Watch) -> bool {
    !files_since(&watch.records, watch.began).is_empty()
}

/// Returns the conversation of the attempt: the first one that began in the directory after the attempt did
/// and does not belong to another attempt. Later ones do not count, because another kage may have started
/// them.
fn own_conversation(recent: &[PathBuf], watch: &Watch) -> Option<(PathBuf, String)> {
    let began = recent.iter().filter_map(|file| {
        let meta = meta(file)?;
        let may_be_ours = meta.is_main()
            && meta.timestamp >= watch.began
            && same_directory(&meta.cwd, &watch.cwd)
            && !watch.others.sessions.contains(&meta.session)
            && !is_from_another_home(&meta, &watch.records);
        may_be_ours.then(|| (meta.timestamp, file.clone(), meta.session))
    });
    let mut began: Vec<_> = began.collect();
    began.sort();
    let times: Vec<_> = began.iter().map(|(at, ..)| *at).collect();
    let at = index_of_own(&times, watch.began, &watch.others.later)?;
    let (_, file, session) = began.swap_remove(at);
    Some((file, session))
}

/// The longest time from the start of an agent to the beginning of its conversation. The agent begins it when
/// it is ready, not at the first prompt.
const STARTING: SignedDuration = SignedDuration::from_secs(60);

/// Returns the index of the attempt's own conversation. `conversations` contains the times when conversations
/// began, oldest first; `later` contains the times when later attempts began. Open files do not show the
/// owner: a background server holds the records of all sessions of a login directory, even of those that
/// ended. But an attempt begins its conversation soon after its start, so a conversation belongs to the last
/// attempt that began before it. If several attempts start together, each gets one, and the last attempt gets
/// the first conversation.
fn index_of_own(conversations: &[Timestamp], began: Timestamp, later: &[Timestamp]) -> Option<usize> {
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

/// Whether a terminal session is here only because several login directories share one `sessions` directory.
/// The agent marks the session in the login directory where it began. Versions that write no marks have no
/// directory of marks.
fn is_from_another_home(meta: &Meta, records: &Path) -> bool {
    let marks = records.with_file_name("tui-thread-reference-capabilities");
    meta.originator == "codex-tui" && marks.is_dir() && !marks.join(&meta.session).exists()
}

/// Returns the file of a session. Its name ends with the session's id.
fn file_of(records: &Path, session: &str) -> Option<PathBuf> {
    let end = format!("-{session}.jsonl");
    let is_it = |file: &PathBuf| file.file_name().is_some_and(|name| name.to_string_lossy().ends_with(&end));
    days(records).iter().rev().flat_map(|day| files_in(day)).find(is_it)
}

/// Returns the files that were written since a time.
fn files_since(records: &Path, began: Timestamp) -> Vec<PathBuf> {
    let is_recent = |file: &PathBuf| {
        let modified = fs::metadata(file).and_then(|known| known.modified()).ok();
        modified.and_then(|at| Timestamp::try_from(at).ok()).is_some_and(|at| at >= began)
    };
    let earliest = began - ZONES_APART;
    let earliest = records.join(earliest.strftime("%Y/%m/%d").to_string());
    let recent = days(records).into_iter().filter(|day| *day >= earliest);
    recent.flat_map(|day| files_in(&day)).filter(is_recent).collect()
}

/// Returns the directories of days, oldest first.
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

/// The first row of a file, which describes it.
#[derive(Deserialize)]
struct Meta {
    id: String,
    /// The same as the id, except in a subagent's file.
    #[serde(rename = "session_id")]
    session: String,
    timestamp: Timestamp,
    cwd: PathBuf,
    /// The program of the agent that began the conversation.
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

/// Whether two paths are the same directory; the agent follows links.
fn same_directory(one: &Path, other: &Path) -> bool {
    let real = |path: &Path| fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
    one == other || real(one) == real(other)
}

/// Returns the length of a file before the attempt.
pub(super) fn length_before(lengths: &BTreeMap<PathBuf, u64>, file: &Path) -> u64 {
    lengths.get(file).copied().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    /// Returns when the attempt's own conversation began. The arguments are the times when all conversations,
    /// the attempt and later attempts began.
    fn found(conversations: &[i64], began: i64, later: &[i64]) -> Option<i64> {
        let at = |seconds: &[i64]| seconds.iter().copied().map(at).collect::<Vec<_>>();
        index_of_own(&at(conversations), self::at(began), &at(later)).map(|index| conversations[index])
    }

    #[test]
    fn an_attempt_alone_in_its_directory_has_the_first_conversation() {
        assert_eq!(found(&[], 0, &[]), None);
        assert_eq!(found(&[500, 600], 0, &[]), Some(500));
    }

    #[test]
    fn a_conversation_belongs_to_the_last_attempt_that_began_before_it() {
        let conversations = [3, 103];
        assert_eq!(found(&conversations, 0, &[100]), Some(3));
        assert_eq!(found(&conversations[1..], 100, &[]), Some(103));
        // the first attempt has none yet, or never will
        assert_eq!(found(&[103], 0, &[100]), None);
        assert_eq!(found(&[103], 100, &[]), Some(103));
        // a later conversation of the second attempt
        assert_eq!(found(&[103, 900], 0, &[100]), None);
    }

    #[test]
    fn attempts_that_start_together_have_one_each() {
        assert_eq!(found(&[5, 6], 0, &[1]), Some(6));
        assert_eq!(found(&[5, 6], 1, &[]), Some(5));
        assert_eq!(found(&[5, 6, 7], 0, &[1, 2]), Some(7));
    }
}
