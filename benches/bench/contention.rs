//! Many processes on one state at once: how many changes they make a second, how long each waits, whether any starves,
//! and whether any change is lost. kage's own store beside `SQLite` and beside the lock that most would write.
//!
//! One change is one transaction: to choose and hold a subscription, or to book what a run used and give it back. Each
//! process makes the two in turn, as `kage exec` does around its agent.

mod keeping;
mod sqlite;
mod whole;
mod worker;

use std::fs;
use std::io::{BufRead as _, BufReader, Write as _};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use jiff::Timestamp;

use crate::figures::{Contended, Contest, rounded};
use crate::rounds::at;

pub(crate) use worker::run as work;

use keeping::Keeping;

/// How many subscriptions the processes share.
const SUBSCRIPTIONS: usize = 20;

/// What the processes say that they have done, and what the state says.
struct Books {
    done: u64,
    kept: u64,
}

pub(crate) fn measure(span: Duration, most: usize, scratch: &Path) -> Vec<Contended> {
    let crowds = || [1, 8, 64, 512].into_iter().filter(move |&crowd| crowd <= most);
    let mut rows = Vec::new();
    let mut row = |way: &str, processes, result: Result<Contest, String>| {
        let result = result.unwrap_or_else(Contest::Missing);
        rows.push(Contended { way: way.to_owned(), processes, result });
    };
    for (keeping, name) in Keeping::ALL {
        // Of the others it is enough to see what they cost or lose among a few terminals.
        let is_kage = keeping == Keeping::Kage;
        for processes in crowds().filter(|&crowd| is_kage || [8, 64].contains(&crowd)) {
            row(name, processes, of_keeping(keeping, processes, span));
        }
    }
    for (mode, name) in sqlite::MODES {
        let with_sync = mode == "FULL";
        for processes in crowds().filter(|&crowd| !with_sync || crowd == 64) {
            row(name, processes, sqlite::contest(mode, processes, span, scratch));
        }
    }
    for processes in crowds().filter(|&crowd| crowd <= 64) {
        row("`kage exec -- true`, whole", processes, Ok(whole::contest(processes, span)));
    }
    rows
}

fn of_keeping(keeping: Keeping, processes: usize, span: Duration) -> Result<Contest, String> {
    let dir = tempfile::tempdir().unwrap();
    keeping.begin(dir.path());
    let myself = std::env::current_exe().unwrap();
    let seconds = span.as_secs_f64().to_string();
    let now = Timestamp::now().to_string();
    let start = || {
        let mut command = Command::new(&myself);
        command.args(["contend", keeping.word(), &seconds, &now]).arg(dir.path());
        command
    };
    let took = together(processes, start)?;
    count(dir.path(), took, keeping.kept(dir.path()))
}

/// Starts so many, lets all go at once, and waits until the last has ended.
fn together(processes: usize, start: impl Fn() -> Command) -> Result<Duration, String> {
    let spawn = |_| start().stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    let mut children: Vec<Child> = (0..processes).map(spawn).collect();
    for child in &mut children {
        let mut line = String::new();
        BufReader::new(child.stdout.as_mut().unwrap()).read_line(&mut line).unwrap();
    }
    let begun = Instant::now();
    for child in &mut children {
        // One that has failed already is told by how it ended.
        let _ = child.stdin.take().unwrap().write_all(b"go\n");
    }
    let ended: Vec<_> = children.iter_mut().map(|child| child.wait().unwrap()).collect();
    let took = begun.elapsed();
    let failed = ended.iter().filter(|status| !status.success()).count();
    if failed == 0 { Ok(took) } else { Err(format!("{failed} of {processes} processes gave up")) }
}

/// Each process has left a file with the microseconds of each of its transactions.
fn count(dir: &Path, took: Duration, kept: u64) -> Result<Contest, String> {
    let files = fs::read_dir(dir).unwrap().flatten().map(|entry| entry.path());
    let times = |path| {
        let text = fs::read_to_string(path).unwrap();
        text.lines().map(|line| Duration::from_micros(line.parse().unwrap())).collect()
    };
    let each: Vec<Vec<Duration>> =
        files.filter(|path| path.extension().is_some_and(|is| is == "times")).map(times).collect();
    contest(&each, took, |done| Books { done, kept })
}

fn contest(
    each: &[Vec<Duration>],
    took: Duration,
    books: impl FnOnce(u64) -> Books,
) -> Result<Contest, String> {
    let number = |times: &Vec<Duration>| u64::try_from(times.len()).unwrap_or(u64::MAX);
    let mut all: Vec<_> = each.concat();
    all.sort_unstable();
    if all.is_empty() {
        return Err("nothing was done in the time".to_owned());
    }
    let Books { done, kept } = books(all.len().try_into().unwrap_or(u64::MAX));
    let milliseconds = |share| rounded(at(&all, share).as_secs_f64() * 1e3);
    let total = f64::from(u32::try_from(all.len()).unwrap_or(u32::MAX));
    Ok(Contest::Counted {
        per_second: (total / took.as_secs_f64()).round(),
        p50_ms: milliseconds(50),
        p99_ms: milliseconds(99),
        least: each.iter().map(number).min().unwrap_or(0),
        most: each.iter().map(number).max().unwrap_or(0),
        // Counted twice would be as wrong.
        lost: done.abs_diff(kept),
    })
}
