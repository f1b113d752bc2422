//! The state directory: whether it can be written, on what it lies, who holds its lock, what is in it, and
//! whether the clock agrees with it.

use std::fs;
use std::io::ErrorKind;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use rustix::fs::{Access, access};

use super::filesystem::network;
use super::mend::{is_own, refusing, take_back};
use super::{Finding, Scene, reopen, unset, word};
use crate::engine::undamaged_state;
use crate::error::Failure;
use crate::files::{self, Lock};
use crate::process;
use crate::report::counted;
use crate::text::one_line;

/// Its holders keep a lock for milliseconds.
const PATIENCE: Duration = Duration::from_secs(2);
/// Files of another machine may be ahead by this much.
const AHEAD: SignedDuration = SignedDuration::from_mins(2);
/// No clock that goes shows a time before this source was written.
const WRITTEN: &str = "2026-01-01T00:00:00Z";
/// How old a problem of the hooks may be.
const RECENT: SignedDuration = SignedDuration::from_hours(24);

/// Reads the state into the scene, where it can be read.
pub(super) fn examine(scene: &mut Scene) -> Vec<Finding> {
    let dir = scene.paths.state.clone();
    if let Some(finding) = not_writable("state-not-writable", &dir, "KAGE_STATE_DIR", scene) {
        return vec![finding];
    }
    let mut found: Vec<_> = on_network(&dir, scene).into_iter().chain(clock(&dir, scene)).collect();
    if dir.exists() {
        found.extend(locked("state-locked", &dir.join("state.lock"), scene));
        match undamaged_state(&scene.paths) {
            Ok(state) => scene.state = Some(state),
            Err(why) => found.push(unusable(&dir, &why, scene)),
        }
        found.extend(ledger(&dir.join("usage"), scene));
        found.extend(hooks(&dir, scene));
    }
    if found.is_empty() {
        found.push(Finding::ok("state", format!("state {}: writable, its lock is free", scene.shown(&dir))));
    }
    found
}

/// Whether runs can be written down, in a file a month.
fn ledger(usage: &Path, scene: &Scene) -> Option<Finding> {
    not_writable("ledger-not-writable", usage, "KAGE_STATE_DIR", scene).or_else(|| {
        let months = fs::read_dir(usage).into_iter().flatten().flatten().map(|entry| entry.path());
        let locks = [files::sibling(usage, ".lock"), usage.with_file_name("config.lock")];
        let wanted = Access::READ_OK | Access::WRITE_OK;
        let file = locks
            .into_iter()
            .chain(months)
            .filter(|file| file.is_file())
            .find_map(|file| refusing(&file, wanted))?;
        let message = format!("{} cannot be written: `kage` fails where it needs it", scene.shown(&file));
        Some(Finding::error("ledger-not-writable", message, take_back(&file, scene)))
    })
}

/// Whether something can be put into a directory, which is made when it is needed.
pub(super) fn not_writable(code: &'static str, dir: &Path, variable: &str, scene: &Scene) -> Option<Finding> {
    let nearest = dir.ancestors().find(|dir| dir.exists())?;
    let why = if !nearest.is_dir() {
        format!("{} is no directory", scene.shown(nearest))
    } else if let Err(why) = access(nearest, Access::WRITE_OK | Access::EXEC_OK) {
        format!("{} cannot be written: {why}", scene.shown(nearest))
    } else {
        return None;
    };
    let place = word(nearest);
    let is_elsewhere = scene.variable(variable).is_some();
    let fix = if is_elsewhere && !(nearest.is_dir() && is_own(nearest)) {
        unset(variable, scene)
    } else if !nearest.is_dir() {
        format!("mv {place} {place}.old")
    } else {
        let wanted = Access::WRITE_OK | Access::EXEC_OK;
        take_back(&refusing(nearest, wanted).unwrap_or_else(|| nearest.to_owned()), scene)
    };
    Some(Finding::error(code, why, fix))
}

fn on_network(dir: &Path, scene: &Scene) -> Option<Finding> {
    let name = network(dir.ancestors().find(|dir| dir.exists())?)?;
    let message =
        format!("state {} lies on {name}: between machines its lock cannot be relied upon", scene.shown(dir));
    Some(Finding::warning("state-on-network", message, "export KAGE_STATE_DIR=/var/tmp/kage-$(id -u)"))
}

/// Whether a lock can be had; where it cannot, who holds it.
pub(super) fn locked(code: &'static str, lock: &Path, scene: &Scene) -> Option<Finding> {
    if !lock.exists() {
        return None;
    }
    let why = Lock::acquire(lock, PATIENCE).err()?;
    if !why.is::<Failure>() {
        return Some(Finding::error(code, format!("{why:#}"), reopen(lock, scene)));
    }
    let fix = match process::lock_holder(lock) {
        // A stopped one goes on, and gives the lock back by itself.
        Some(pid) if process::Stat::of(pid).is_some_and(|stat| stat.state == 'T') => {
            format!("kill -CONT {pid}")
        }
        Some(pid) => format!("kill {pid}"),
        None => format!("fuser -v {}", word(lock)),
    };
    Some(Finding::error(code, format!("{why:#}"), fix))
}

fn unusable(dir: &Path, why: &anyhow::Error, scene: &Scene) -> Finding {
    let files = ["state.json", "state.log"].map(|name| dir.join(name));
    let message = format!("{why:#}");
    if why.is::<Failure>() {
        let newer = word(&files::sibling(dir, "-1"));
        Finding::error("state-version", message, format!("export KAGE_STATE_DIR={newer}"))
    } else if why.is::<std::io::Error>() {
        Finding::error("state-unreadable", message, reopen(refusing_to_be_read(&files), scene))
    } else {
        let [whole, log] = &files;
        let is_of_log = message.starts_with(&log.display().to_string());
        let (file, lost) = if is_of_log {
            (word(log), "the latest changes of limits and today's totals are lost")
        } else {
            (word(whole), "limits and today's totals start anew")
        };
        Finding::warning("state-damaged", format!("{message}; {lost}"), format!("mv {file} {file}.damaged"))
    }
}

/// The first of them that is there and cannot be read.
fn refusing_to_be_read(files: &[PathBuf; 2]) -> &Path {
    let is_refused = |file: &&PathBuf| fs::read(file).is_err_and(|why| why.kind() != ErrorKind::NotFound);
    files.iter().find(is_refused).unwrap_or(&files[0])
}

/// The system's clock against what was written by it.
fn clock(dir: &Path, scene: &Scene) -> Option<Finding> {
    let now = scene.now.timestamp();
    let latest =
        ["state.json", "state.log", "usage"].map(|name| dir.join(name)).into_iter().filter_map(|path| {
            let seconds = fs::metadata(path).ok()?.mtime();
            Timestamp::from_second(seconds).ok()
        });
    let message = disagrees(now, latest.max())?;
    let fix = if cfg!(target_os = "macos") {
        "sudo sntp -sS time.apple.com"
    } else {
        "sudo timedatectl set-ntp true"
    };
    Some(Finding::warning("clock", message, fix))
}

fn disagrees(now: Timestamp, latest: Option<Timestamp>) -> Option<String> {
    let written: Timestamp = WRITTEN.parse().ok()?;
    let day = |time: Timestamp| time.strftime("%Y-%m-%d %H:%M UTC").to_string();
    if now < written {
        return Some(format!("the clock shows {}: resets and budgets will be wrong", day(now)));
    }
    let latest = latest.filter(|&latest| latest > now + AHEAD)?;
    Some(format!("the state was written at {}, and the clock shows {}", day(latest), day(now)))
}

/// What went wrong in the hooks of late, as their log tells.
fn hooks(dir: &Path, scene: &Scene) -> Option<Finding> {
    let log = dir.join("hook.log");
    let text = String::from_utf8_lossy(&fs::read(&log).ok()?).into_owned();
    let since = scene.now.timestamp() - RECENT;
    let is_recent = |line: &&str| {
        let time = line.split(' ').next().and_then(|time| time.parse::<Timestamp>().ok());
        time.is_some_and(|time| time >= since)
    };
    let recent: Vec<_> = text.lines().filter(is_recent).collect();
    let latest = recent.last()?.split_once(": ").map_or("", |(_, problem)| problem);
    let count = counted(recent.len() as u64, "problem");
    let message = format!("the hooks of sessions had {count} in a day, the latest: {}", one_line(latest));
    let log = word(&log);
    Some(Finding::warning("hook-problems", message, format!("cat {log} && rm {log}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clock_that_is_behind_what_was_written_is_told() {
        let at = |text: &str| text.parse::<Timestamp>().unwrap();
        let now = at("2026-11-23T12:00:00Z");
        assert_eq!(disagrees(now, None), None);
        assert_eq!(disagrees(now, Some(at("2026-11-23T12:01:00Z"))), None);
        let behind = disagrees(now, Some(at("2026-11-24T12:00:00Z"))).unwrap();
        assert!(
            behind.contains("2026-11-24 12:00 UTC, and the clock shows 2026-11-23 12:00 UTC"),
            "{behind}"
        );
        assert!(disagrees(at("1970-01-01T00:05:00Z"), None).unwrap().contains("the clock shows 1970"));
    }
}
