//! Many concurrent processes on one state: how many changes they make per second, how long each takes,
//! whether any process starves, and whether a change is lost. Compares kage's store with `SQLite` and with a
//! naive lock.
//!
//! One change is one transaction: choose a subscription and take a lease, or book the usage and release the
//! lease. Each process makes both in turn, as `kage exec` does around its agent.

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

use keeping::Method;

/// The number of subscriptions that the processes share.
const SUBSCRIPTIONS: usize = 20;

/// The changes that the processes made, and those in the state.
struct Counts {
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
    for (method, name) in Method::ALL {
        // The other methods are only measured with a few processes.
        let is_kage = method == Method::Kage;
        for processes in crowds().filter(|&crowd| is_kage || [8, 64].contains(&crowd)) {
            row(name, processes, of_method(method, processes, span));
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

fn of_method(method: Method, processes: usize, span: Duration) -> Result<Contest, String> {
    let dir = tempfile::tempdir().unwrap();
    method.begin(dir.path());
    let myself = std::env::current_exe().unwrap();
    let seconds = span.as_secs_f64().to_string();
    let now = Timestamp::now().to_string();
    let start = || {
        let mut command = Command::new(&myself);
        command.args(["contend", method.word(), &seconds, &now]).arg(dir.path());
        command
    };
    let took = together(processes, start)?;
    count(dir.path(), took, method.kept(dir.path()))
}

/// Starts this number of processes, lets them begin at the same time, and waits until the last has ended.
fn together(processes: usize, start: impl Fn() -> Command) -> Result<Duration, String> {
    let spawn = |_| start().stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    let mut children: Vec<Child> = (0..processes).map(spawn).collect();
    for child in &mut children {
        let mut line = String::new();
        BufReader::new(child.stdout.as_mut().unwrap()).read_line(&mut line).unwrap();
    }
    let begun = Instant::now();
    for child in &mut children {
        // A process that has already failed is found by its exit status.
        let _ = child.stdin.take().unwrap().write_all(b"go\n");
    }
    let ended: Vec<_> = children.iter_mut().map(|child| child.wait().unwrap()).collect();
    let took = begun.elapsed();
    let failed = ended.iter().filter(|status| !status.success()).count();
    if failed == 0 { Ok(took) } else { Err(format!("{failed} of {processes} processes gave up")) }
}

/// Reads the files of the processes, which contain the microseconds of each transaction.
fn count(dir: &Path, took: Duration, kept: u64) -> Result<Contest, String> {
    let files = fs::read_dir(dir).unwrap().flatten().map(|entry| entry.path());
    let times = |path| {
        let text = fs::read_to_string(path).unwrap();
        text.lines().map(|line| Duration::from_micros(line.parse().unwrap())).collect()
    };
    let each: Vec<Vec<Duration>> =
        files.filter(|path| path.extension().is_some_and(|is| is == "times")).map(times).collect();
    contest(&each, took, |done| Counts { done, kept })
}

fn contest(
    each: &[Vec<Duration>],
    took: Duration,
    counts: impl FnOnce(u64) -> Counts,
) -> Result<Contest, String> {
    let number = |times: &Vec<Duration>| u64::try_from(times.len()).unwrap_or(u64::MAX);
    let mut all: Vec<_> = each.concat();
    all.sort_unstable();
    if all.is_empty() {
        return Err("no change was made in time".to_owned());
    }
    let Counts { done, kept } = counts(all.len().try_into().unwrap_or(u64::MAX));
    let milliseconds = |share| rounded(at(&all, share).as_secs_f64() * 1e3);
    let total = f64::from(u32::try_from(all.len()).unwrap_or(u32::MAX));
    Ok(Contest::Counted {
        per_second: (total / took.as_secs_f64()).round(),
        p50_ms: milliseconds(50),
        p99_ms: milliseconds(99),
        least: each.iter().map(number).min().unwrap_or(0),
        most: each.iter().map(number).max().unwrap_or(0),
        // Changes that are counted twice are as wrong as lost ones.
        lost: done.abs_diff(kept),
    })
}
