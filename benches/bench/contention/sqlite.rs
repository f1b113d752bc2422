//! The same two transactions in `SQLite`, run by a small C program, because kage itself uses no database.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use super::{SUBSCRIPTIONS, count, together};
use crate::figures::Contest;

/// The value of `PRAGMA synchronous` and the name of the row.
pub(super) const MODES: [(&str, &str); 2] = [("NORMAL", "SQLite, WAL"), ("FULL", "SQLite, WAL, fsync")];

pub(super) fn contest(
    mode: &str,
    processes: usize,
    span: Duration,
    scratch: &Path,
) -> Result<Contest, String> {
    let program = compiled(scratch)?;
    let dir = tempfile::tempdir().unwrap();
    let seconds = span.as_secs_f64().to_string();
    let call = |verb: &str, more: &[&str]| {
        let mut command = Command::new(&program);
        command.arg(verb).arg(dir.path()).arg(mode).args(more);
        command
    };
    let begun = call("begin", &[&SUBSCRIPTIONS.to_string()]).status().unwrap();
    assert!(begun.success(), "could not create the database");
    let took = together(processes, || call("contend", &[&seconds]))?;
    let counted = call("count", &[]).output().unwrap();
    let kept = String::from_utf8_lossy(&counted.stdout).trim().parse().expect("it prints a number");
    count(dir.path(), took, kept)
}

fn compiled(scratch: &Path) -> Result<PathBuf, String> {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("benches/bench/contention/sqlite.c");
    let program = scratch.join("sqlite");
    let mut compile = Command::new("cc");
    compile.arg("-O2").arg("-o").arg(&program).arg(source).arg("-lsqlite3");
    match compile.output() {
        Ok(output) if output.status.success() => Ok(program),
        _ => Err("needs cc and libsqlite3-dev".to_owned()),
    }
}
