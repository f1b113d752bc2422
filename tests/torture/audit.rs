//! The audit after each try: the state loads, every run is in the ledger as often as it should be, and no
//! lease, process or file is left.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use jiff::{SignedDuration, Timestamp};
use serde_json::Value;

use crate::scene::{Scene, TOKENS};

/// One run that was tried.
#[derive(Debug, Clone)]
pub struct Run {
    /// The tag that its agent wrote to the log.
    pub tag: String,
    /// The minimum and maximum number of rows that it may have in the ledger.
    pub booked: (u64, u64),
}

/// How complete the state and the ledger must be.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Records {
    /// Every run, and every token exactly once.
    Complete,
    /// Files were removed from outside: the rest must be correct.
    Partial,
}

/// The entries that may be in the state directory.
const KEPT: [&str; 14] = [
    "state.json",
    "state.log",
    "state.lock",
    "usage",
    "usage.lock",
    "config.cache",
    "config.lock",
    "recover.lock",
    "keyring.lock",
    "credentials.lock",
    "hooks",
    "hook.log",
    "settings",
    "statusline",
];

/// How long agents that end on their own may take.
const LAST: Duration = Duration::from_secs(10);

/// Returns all problems found.
pub fn audit(scene: &Scene, runs: &[Run], expected: Records) -> Vec<String> {
    let mut wrong = Vec::new();
    wrong.extend(orphans(scene));
    // This also books the usage of killed runs.
    let status = match scene.run(&mut scene.kage("status --json")) {
        Ok(ended) if ended.code() == Some(0) && ended.err.is_empty() => ended.out,
        Ok(ended) => {
            wrong.push(format!("`kage status` ended with {} and printed {:?}", ended.status, ended.err));
            ended.out
        }
        Err(why) => return vec![format!("`kage status`: {why}")],
    };
    wrong.extend(check_succeeds(scene, "exec -- true"));
    wrong.extend(leases(scene));
    let rows = match ledger(scene) {
        Ok(rows) => rows,
        Err(why) => {
            wrong.push(why);
            return wrong;
        }
    };
    let torn = self::rows(scene).into_iter().filter_map(Result::err);
    wrong.extend(torn.filter(|_| expected == Records::Complete));
    wrong.extend(counted(scene, runs, &rows, expected));
    wrong.extend(tokens(scene, &rows, &status, expected));
    wrong.extend(left_over(scene));
    wrong
}

/// Reports a command that does not succeed or that prints to standard error.
pub fn check_succeeds(scene: &Scene, words: &str) -> Option<String> {
    match scene.run(&mut scene.kage(words)) {
        Ok(ended) if ended.code() == Some(0) && ended.err.is_empty() => None,
        Ok(ended) => Some(format!("`kage {words}` ended with {} and printed {:?}", ended.status, ended.err)),
        Err(why) => Some(format!("`kage {words}`: {why}")),
    }
}

/// Reports and kills processes of the scene that did not end on their own.
pub fn orphans(scene: &Scene) -> Option<String> {
    let until = Instant::now() + LAST;
    loop {
        let living = scene.living();
        if living.is_empty() {
            return None;
        }
        if Instant::now() > until {
            let of = |pid: &u32| fs::read_to_string(format!("/proc/{pid}/cmdline")).unwrap_or_default();
            let words: Vec<_> = living.iter().map(|pid| of(pid).replace('\0', " ")).collect();
            living.into_iter().for_each(crate::scene::kill);
            return Some(format!("orphans: {words:?}"));
        }
        thread::sleep(Duration::from_millis(5));
    }
}

fn leases(scene: &Scene) -> Option<String> {
    let state = scene.sandbox.state();
    if state["leases"] != Value::Null {
        return Some(format!("there are leases: {}", state["leases"]));
    }
    let lost = state["lost"].as_array()?;
    let is_old =
        |lease: &&Value| lease["since"].as_str().and_then(|since| since.parse().ok()).is_none_or(is_over);
    let old = lost.iter().find(is_old)?;
    Some(format!("there is a lost lease: {old}"))
}

/// Whether the lease is so old that its agent cannot start any more.
fn is_over(since: Timestamp) -> bool {
    let age = Timestamp::now().duration_since(since);
    age.is_negative() || age > SignedDuration::from_secs(12)
}

/// The rows of the ledger. Skips incomplete rows, which a full disk may leave; any other damage is an error.
pub fn ledger(scene: &Scene) -> Result<Vec<Value>, String> {
    let is_complete =
        |row: &Result<Value, String>| row.as_ref().map_or_else(|why| !why.contains("EOF"), |_| true);
    rows(scene).into_iter().filter(is_complete).collect()
}

fn rows(scene: &Scene) -> Vec<Result<Value, String>> {
    let months = fs::read_dir(scene.state_dir().join("usage")).into_iter().flatten().flatten();
    let months =
        months.map(|month| month.path()).filter(|path| path.extension().is_some_and(|is| is == "jsonl"));
    let text: String = months.map(|month| fs::read_to_string(month).unwrap_or_default()).collect();
    let row = |line: &str| serde_json::from_str(line).map_err(|why| format!("{why} in the ledger: {line:?}"));
    text.lines().filter(|line| !line.is_empty()).map(row).collect()
}

/// Reports runs that are not in the ledger as often as they should be.
fn counted(scene: &Scene, runs: &[Run], rows: &[Value], expected: Records) -> Vec<String> {
    let log = scene.log();
    let mut wrong = Vec::new();
    for run in runs {
        let began = log.iter().find(|words| words[0] == "begin" && words[1] == run.tag);
        let Some(id) = began.map(|words| words[2].as_str()) else { continue };
        let booked = rows.iter().filter(|row| row["run"] == id).count() as u64;
        let least = if expected == Records::Complete { run.booked.0 } else { 0 };
        if !(least..=run.booked.1).contains(&booked) {
            wrong.push(format!("run {} ({id}) is booked {booked} times, not {:?}", run.tag, run.booked));
        }
    }
    wrong
}

/// Compares the tokens in the transcripts, by run, with those in the ledger, and these with today's totals.
fn tokens(scene: &Scene, rows: &[Value], status: &str, expected: Records) -> Vec<String> {
    let used = used(&scene.path("home/.claude"));
    let mut booked: BTreeMap<String, u64> = BTreeMap::new();
    let mut by_name: BTreeMap<String, u64> = BTreeMap::new();
    for row in rows {
        let tokens = tokens_of(row);
        *booked.entry(row["run"].as_str().unwrap_or_default().to_owned()).or_default() += tokens;
        *by_name.entry(row["subscription"].as_str().unwrap_or_default().to_owned()).or_default() += tokens;
    }
    let mut wrong = Vec::new();
    for run in used.keys().chain(booked.keys().filter(|run| !used.contains_key(*run))) {
        let of = |map: &BTreeMap<String, u64>| map.get(run).copied().unwrap_or(0);
        let (used, booked) = (of(&used), of(&booked));
        if booked > used || (booked < used && expected == Records::Complete) {
            wrong.push(format!("run {run} used {used} tokens, and {booked} are in the ledger"));
        }
    }
    let status: Value = serde_json::from_str(status).unwrap_or_default();
    for one in status["subscriptions"].as_array().into_iter().flatten() {
        let known = by_name.get(one["name"].as_str().unwrap_or_default()).copied().unwrap_or(0);
        let today = one["tokens_today"].as_u64().unwrap_or(u64::MAX);
        if expected == Records::Complete && today != known {
            wrong.push(format!("{} has {known} tokens in the ledger, {today} in the totals", one["name"]));
        }
    }
    wrong
}

pub fn tokens_of(row: &Value) -> u64 {
    let models = row["models"].as_object().into_iter().flat_map(|models| models.values());
    let of = |model: &Value, key: &str| model[key].as_u64().unwrap_or(0);
    models.map(|model| of(model, "input_tokens") + of(model, "output_tokens")).sum()
}

/// The tokens of each run in the transcripts below a directory.
pub fn used(records: &Path) -> BTreeMap<String, u64> {
    let mut used: BTreeMap<String, u64> = BTreeMap::new();
    for file in fs::read_dir(records).into_iter().flatten().flatten().map(|entry| entry.path()) {
        if file.is_dir() {
            for (run, tokens) in self::used(&file) {
                *used.entry(run).or_default() += tokens;
            }
            continue;
        }
        for line in fs::read_to_string(file).unwrap_or_default().lines() {
            let id = line.split_once("\"req-").and_then(|(_, rest)| rest.split_once('-'));
            if let (Some((run, _)), true) = (id, line.ends_with('}')) {
                *used.entry(run.to_owned()).or_default() += TOKENS;
            }
        }
    }
    used
}

/// Reports files that kage should have removed.
pub fn left_over(scene: &Scene) -> Vec<String> {
    let names = |dir: &Path| -> Vec<String> {
        let entries = fs::read_dir(dir).into_iter().flatten().flatten();
        entries
            .filter(|entry| !may_be_in_use(&entry.path()))
            .map(|entry| entry.file_name().to_string_lossy().into_owned())
            .collect()
    };
    let state = scene.state_dir();
    let mut left: Vec<_> = names(&state).into_iter().filter(|name| !KEPT.contains(&name.as_str())).collect();
    left.extend(names(&state.join("settings")));
    let is_month = |name: &String| has_ending(name, "jsonl") || name.starts_with("sums");
    left.extend(names(&state.join("usage")).into_iter().filter(|name| !is_month(name)));
    left.extend(names(&scene.path("tmp")));
    let configs = names(&scene.path("home/.config/kage"));
    left.extend(configs.into_iter().filter(|name| !["config.toml", "identity"].contains(&name.as_str())));
    let secrets = names(&scene.path("home/.local/share/kage"));
    left.extend(
        secrets.into_iter().filter(|name| !name.starts_with("credentials") || has_ending(name, "new")),
    );
    left.into_iter().map(|name| format!("not removed: {name}")).collect()
}

/// Whether a temporary file is too new to be removed. The next kage cannot know whether another process is
/// still writing it, so it waits for ten seconds.
fn may_be_in_use(file: &Path) -> bool {
    let is_temporary =
        file.extension().and_then(|ending| ending.to_str()).is_some_and(|ending| ending.starts_with("new"));
    let age = fs::metadata(file).and_then(|known| known.modified()).ok().and_then(|time| time.elapsed().ok());
    is_temporary && age.is_some_and(|age| age < Duration::from_secs(12))
}

fn has_ending(name: &str, ending: &str) -> bool {
    Path::new(name).extension().is_some_and(|is| is == ending)
}
