//! Files that are truncated at any length, have a garbled byte, come from a later version, or are 64 MiB
//! long: the state, the ledger, its sums, the config, the credentials, the identity.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;
use std::thread;
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::audit::{Records, audit, check_succeeds, ledger, left_over};
use crate::dice::Dice;
use crate::plan::Trial;
use crate::scene::{Ended, PATIENCE};
use crate::stage::{STATUS, Stage};

const STATE: &str = "home/.local/state/kage/state.json";
const LOG: &str = "home/.local/state/kage/state.log";
const CONFIG: &str = "home/.config/kage/config.toml";
const CREDENTIALS: &str = "home/.local/share/kage/credentials";
const IDENTITY: &str = "home/.config/kage/identity";

/// One way to damage a file.
enum Damage {
    Truncated(usize),
    Garbled(usize, u8),
}

pub fn run(trial: &Trial<'_>) {
    thread::scope(|scope| {
        for lane in 0..4 {
            scope.spawn(move || {
                let (mut stage, mut dice) = (Stage::new(trial), trial.dice(lane));
                old_month(&mut stage);
                future(trial, &stage, lane);
                let mut at = usize::try_from(lane).unwrap();
                while trial.has_time() {
                    // The threads together go through all files and lengths.
                    damage_file(trial, &stage, &mut dice, at);
                    at += 4;
                }
            });
        }
    });
}

/// Adds a past month. The first query of it writes its sums.
fn old_month(stage: &mut Stage) {
    let usage = stage.scene.state_dir().join("usage");
    let month = fs::read_dir(&usage).unwrap().flatten().next().unwrap().path();
    let text = fs::read_to_string(&month).unwrap();
    let year = month.file_name().unwrap().to_str().unwrap()[..4].to_owned();
    let old = text.replace(&format!("\"time\":\"{year}"), "\"time\":\"2025").repeat(4);
    let name = month.file_name().unwrap().to_str().unwrap().replace(&year, "2025");
    fs::write(usage.join(name), old).unwrap();
    let queried = stage.scene.run(&mut stage.scene.kage(USAGE)).unwrap();
    assert!(queried.code() == Some(0) && usage.join("sums").exists(), "no sums: {}", queried.err);
    stage.save();
}

const USAGE: &str = "usage --since 2025-01-01 --json";

fn damage_file(trial: &Trial<'_>, stage: &Stage, dice: &mut Dice, at: usize) {
    stage.reset();
    let files: [fn(&Stage) -> PathBuf; 7] = [
        |stage| stage.scene.path(STATE),
        |stage| stage.scene.path(LOG),
        latest_month,
        |stage| {
            fs::read_dir(stage.scene.state_dir().join("usage/sums")).unwrap().flatten().next().unwrap().path()
        },
        |stage| stage.scene.path(CONFIG),
        |stage| stage.scene.path(CREDENTIALS),
        |stage| stage.scene.path(IDENTITY),
    ];
    let which = at % files.len();
    if which == 3 {
        // The sums identify the month by its inode, which changed when the month was copied.
        trial.check(check_succeeds(&stage.scene, USAGE), "before the damage");
    }
    let file = files[which](stage);
    let whole = fs::read(&file).unwrap();
    let position = (at / files.len()) % whole.len();
    let damage = match dice.below(3) {
        0 => Damage::Garbled(position, u8::try_from(dice.below(256)).unwrap()),
        _ => Damage::Truncated(position),
    };
    let of = format!("{} {}", file.file_name().unwrap().to_string_lossy(), damage.describe());
    let bytes = damage.apply(&whole);
    fs::write(&file, &bytes).unwrap();
    trial.tried(1);
    match which {
        0 | 1 => state(trial, stage, &file, &bytes, &of),
        2 => month(trial, stage, &whole, &bytes, &of),
        3 => sums(trial, stage, &of),
        _ => definitions(trial, stage, &file, &whole, &bytes, &of),
    }
}

impl Damage {
    fn describe(&self) -> String {
        match self {
            Self::Truncated(length) => format!("truncated at {length}"),
            Self::Garbled(at, with) => format!("with {with:#x} at {at}"),
        }
    }

    fn apply(&self, whole: &[u8]) -> Vec<u8> {
        match self {
            Self::Truncated(length) => whole[..*length].to_vec(),
            Self::Garbled(at, with) => {
                let mut bytes = whole.to_vec();
                bytes[*at] = *with;
                bytes
            }
        }
    }
}

fn latest_month(stage: &Stage) -> PathBuf {
    let months =
        fs::read_dir(stage.scene.state_dir().join("usage")).unwrap().flatten().map(|entry| entry.path());
    months.filter(|path| path.extension().is_some_and(|is| is == "jsonl")).max().unwrap()
}

fn run_of(trial: &Trial<'_>, stage: &Stage, words: &str, of: &str) -> Option<Ended> {
    match stage.scene.run(&mut stage.command(words, "tried")) {
        Ok(ended) => Some(ended),
        Err(why) => {
            trial.lost(format_args!("{of}: `kage {words}`: {why}"));
            None
        }
    }
}

/// A run on a damaged state succeeds, or refuses a state of another version and leaves it unchanged. Nothing
/// is lost: a state that was set aside has every byte.
fn state(trial: &Trial<'_>, stage: &Stage, file: &PathBuf, bytes: &[u8], of: &str) {
    let Some(ended) = run_of(trial, stage, "exec -- worker", of) else { return };
    trial.check(ended.undocumented_end(&[STATUS]), of);
    let dir = stage.scene.state_dir();
    let entries = fs::read_dir(&dir).unwrap().flatten().map(|entry| entry.path());
    let aside: Vec<_> = entries.filter(|path| path.to_string_lossy().contains(".damaged-")).collect();
    for path in &aside {
        if fs::read(path).unwrap() != bytes || ended.err.lines().count() != 1 {
            trial.lost(format_args!("{of}: set aside, and it printed {:?}", ended.err));
        }
        fs::remove_file(path).unwrap();
    }
    let is_refused = ended.err.contains("has version");
    if is_refused && fs::read(file).unwrap() != bytes {
        trial.lost(format_args!("{of}: refused but changed"));
    }
    if is_refused {
        return;
    }
    // A garbled byte may have changed a limit or a day.
    let again = run_of(trial, stage, "exec -- worker", of);
    trial.check(again.and_then(|again| again.undocumented_end(&[STATUS])), of);
    trial.check(check_succeeds(&stage.scene, "status --json"), of);
    trial.check(stage.missing_rows(), of);
}

/// Complete lines of the ledger are counted, and the next run is appended.
fn month(trial: &Trial<'_>, stage: &Stage, whole: &[u8], bytes: &[u8], of: &str) {
    let runs =
        |bytes: &[u8]| bytes.split_inclusive(|&byte| byte == b'\n').filter(|line| is_row(line)).count();
    let Some(queried) = run_of(trial, stage, USAGE, of) else { return };
    let answer: Value = serde_json::from_str(&queried.out).unwrap_or_default();
    let counted = answer["total"]["runs"].as_u64().map(|runs| usize::try_from(runs).unwrap());
    // The old month has four times as many rows.
    let expected = runs(bytes) + 4 * runs(whole);
    let is_garbled = bytes.len() == whole.len();
    let fits =
        counted.is_some_and(|counted| counted == expected || (is_garbled && counted < 5 * runs(whole) + 1));
    if !fits || queried.code() != Some(0) || queried.wrong_output().is_some() {
        trial.lost(format_args!("{of}: {counted:?} runs of {expected}, and it printed {:?}", queried.err));
    }
    let Some(ended) = run_of(trial, stage, "exec -- worker", of) else { return };
    if ended.code() != Some(STATUS) || !ended.err.is_empty() {
        trial.lost(format_args!("{of}: a run ended with {} and printed {:?}", ended.status, ended.err));
    }
    let after = fs::read(latest_month(stage)).unwrap();
    if !after.starts_with(bytes) || runs(&after) != runs(bytes) + 1 {
        trial.lost(format_args!("{of}: the next run was not appended"));
    }
}

fn is_row(line: &[u8]) -> bool {
    line.ends_with(b"\n") && serde_json::from_slice::<Value>(line).is_ok_and(|row| row["run"].is_string())
}

/// Damaged sums do not change the answer: they are computed again.
fn sums(trial: &Trial<'_>, stage: &Stage, of: &str) {
    let Some(queried) = run_of(trial, stage, USAGE, of) else { return };
    let answer: Value = serde_json::from_str(&queried.out).unwrap_or_default();
    // Twelve old rows and three new ones; two thirds of them have tokens.
    let (runs, tokens) = (&answer["total"]["runs"], &answer["total"]["input_tokens"]);
    if queried.code() != Some(0) || !queried.err.is_empty() || *runs != 15 || *tokens != 120 {
        trial.lost(format_args!("{of}: {runs} runs, {tokens} tokens, and it printed {:?}", queried.err));
    }
}

/// With a damaged config, credentials file or identity a run succeeds, or is refused in one line before the
/// agent starts, and the file is unchanged. With the original file runs succeed again.
fn definitions(trial: &Trial<'_>, stage: &Stage, file: &PathBuf, whole: &[u8], bytes: &[u8], of: &str) {
    for words in ["exec -- worker", "status --json", "subscription list"] {
        let Some(ended) = run_of(trial, stage, words, of) else { return };
        let own = if words.starts_with("exec") { STATUS } else { 0 };
        trial.check(ended.undocumented_end(&[own]), format_args!("{of}: `kage {words}`"));
        if ended.code() != Some(own) && stage.scene.log().iter().any(|line| line[1] == "tried") {
            trial.lost(format_args!("{of}: the agent was started, and kage ended with {}", ended.status));
        }
    }
    if fs::read(file).unwrap() != bytes {
        trial.lost(format_args!("{of}: it was changed"));
    }
    fs::write(file, whole).unwrap();
    trial.check(check_succeeds(&stage.scene, "exec -- true"), format_args!("{of}, then restored"));
    trial.check(stage.missing_rows(), of);
}

/// A state of a later version is refused and left unchanged.
fn future(trial: &Trial<'_>, stage: &Stage, lane: u64) {
    let versions = ["3", "99", "65536", "4294967295"];
    let forms = ["{\"version\":V,\"state\":{}}", "{\"pools\":[],\"version\":V}", "{\"version\":V}"];
    let all = versions.iter().flat_map(|version| forms.iter().map(move |form| form.replace('V', version)));
    for (at, text) in all.enumerate() {
        if at as u64 % 4 != lane {
            continue;
        }
        stage.reset();
        trial.tried(1);
        let (bytes, of) = (text.as_bytes(), format!("the state {text}"));
        fs::write(stage.scene.path(STATE), bytes).unwrap();
        for (words, status) in [("exec -- worker", 125), ("status --json", 1), ("subscription reset one", 1)]
        {
            let Some(ended) = run_of(trial, stage, words, &of) else { continue };
            if ended.code() != Some(status) || ended.err.lines().count() != 2 {
                trial.lost(format_args!("{of}: `kage {words}` ended with {} {:?}", ended.status, ended.err));
            }
        }
        if fs::read(stage.scene.path(STATE)).unwrap() != bytes {
            trial.lost(format_args!("{of}: it was changed"));
        }
    }
}

const HUGE: usize = 64 << 20;
/// The limit of resident memory, in bytes, for such a file: it is in memory as bytes and again as text.
const MOST_MEMORY: u64 = 400 << 20;

/// Files of 64 MiB: kage ends in bounded time and memory, with a result or one line.
pub fn huge(trial: &Trial<'_>) {
    let stage = Stage::new(trial);
    let month = |stage: &Stage| latest_month(stage);
    let row = fs::read(month(&stage)).unwrap().split(|&byte| byte == b'\n').next().unwrap().to_vec();
    let filled = |part: &[u8]| part.repeat(HUGE / part.len());
    let state = fs::read_to_string(stage.scene.path(STATE)).unwrap();
    let padded = state.replacen('{', &format!("{{\"x\":\"{}\",", "y".repeat(HUGE)), 1).into_bytes();
    let all = [
        ("a state of zeros", stage.scene.path(STATE), vec![0; HUGE]),
        ("a state with a long word", stage.scene.path(STATE), padded),
        ("a state of brackets", stage.scene.path(STATE), filled(b"[")),
        ("a log of one line", stage.scene.path(LOG), filled(b"{")),
        ("a log of changes", stage.scene.path(LOG), changes(&stage)),
        ("a config of one comment", stage.scene.path(CONFIG), filled(b"#")),
        ("a config of tables", stage.scene.path(CONFIG), filled(b"[a]\n")),
        ("a ledger of rows", month(&stage), filled(&[&row[..], b"\n"].concat())),
        ("a ledger of one line", month(&stage), filled(b"x")),
        ("a ledger of empty lines", month(&stage), filled(b"\n")),
        ("credentials of zeros", stage.scene.path(CREDENTIALS), vec![0; HUGE]),
        ("an identity of letters", stage.scene.path(IDENTITY), filled(b"k")),
    ];
    for (of, file, bytes) in all {
        if !trial.is_full_run() && !trial.has_time() && trial.tries() > 2 {
            return trial.note("of 12");
        }
        stage.reset();
        let known = fs::metadata(&file).unwrap().permissions().mode();
        fs::write(&file, &bytes).unwrap();
        fs::set_permissions(&file, fs::Permissions::from_mode(known)).unwrap();
        trial.tried(1);
        for words in ["exec -- worker", "status --json", USAGE] {
            let begun = Instant::now();
            let (ended, memory) = measured(&stage, words);
            let own = if words.starts_with("exec") { STATUS } else { 0 };
            match ended {
                Ok(ended) => {
                    trial.check(ended.undocumented_end(&[own]), format_args!("{of}: `kage {words}`"));
                }
                Err(why) => trial.lost(format_args!("{of}: `kage {words}`: {why}")),
            }
            if memory > MOST_MEMORY || begun.elapsed() > PATIENCE / 2 {
                let (mib, took) = (memory >> 20, begun.elapsed());
                trial.lost(format_args!("{of}: `kage {words}` took {mib} MiB and {took:?}"));
            }
        }
    }
    stage.reset();
    trial.check(audit(&stage.scene, &[], Records::Complete), "after all of them");
    assert!(ledger(&stage.scene).is_ok() && left_over(&stage.scene).is_empty());
}

/// A log that repeats its last change.
fn changes(stage: &Stage) -> Vec<u8> {
    let log = fs::read(stage.scene.path(LOG)).unwrap();
    let lines: Vec<_> = log.split_inclusive(|&byte| byte == b'\n').collect();
    let (head, last) = (lines[0], lines[lines.len() - 1]);
    [head, &last.repeat(HUGE / last.len())].concat()
}

/// Runs a command. Returns its end and its peak memory in bytes.
fn measured(stage: &Stage, words: &str) -> (Result<Ended, String>, u64) {
    let mut running = stage.scene.start(&mut stage.command(words, "tried"));
    let mut most = 0;
    let begun = Instant::now();
    while !running.has_ended() && begun.elapsed() < PATIENCE {
        most = most.max(crate::scene::peak_memory(running.id()));
        thread::sleep(Duration::from_millis(2));
    }
    (running.end(PATIENCE), most)
}
