//! The state directory: whether it can be written, its file system, its lock, its content, and whether the
//! clock agrees with its times.

use std::fs;
use std::io::ErrorKind;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use rustix::fs::{Access, access};

use super::filesystem::network;
use super::fix::{inaccessible_part, is_own, regain_access};
use super::{Finding, Scene, make_usable, unset, word};
use crate::engine::strict_state;
use crate::error::Failure;
use crate::files::{self, Lock};
use crate::process;
use crate::report::counted;
use crate::text::one_line;

/// How long to wait for a lock. A kage holds it only for milliseconds.
const TIMEOUT: Duration = Duration::from_secs(2);
/// By how much the clock of another machine may be ahead.
const AHEAD: SignedDuration = SignedDuration::from_mins(2);
/// A clock that shows a time before this code was written is wrong.
const WRITTEN: &str = "2026-01-01T00:00:00Z";
/// The maximum age of a problem of the hooks.
const RECENT: SignedDuration = SignedDuration::from_hours(24);

/// Reads the state into the scene, if possible.
pub(super) fn examine(scene: &mut Scene) -> Vec<Finding> {
    let dir = scene.paths.state.clone();
    if let Some(finding) = not_writable("state-not-writable", &dir, "KAGE_STATE_DIR", scene) {
        return vec![finding];
    }
    let mut found: Vec<_> = on_network(&dir, scene).into_iter().chain(clock(&dir, scene)).collect();
    if dir.exists() {
        found.extend(locked("state-locked", &dir.join("state.lock"), scene));
        match strict_state(&scene.paths) {
            Ok(state) => scene.state = Some(state),
            Err(why) => found.push(unusable(&dir, &why, scene)),
        }
        found.extend(ledger(&dir.join("usage"), scene));
        found.extend(hooks(&dir, scene));
    }
    if found.is_empty() {
        found.push(Finding::ok("state", format!("state {}: writable and not locked", scene.shown(&dir))));
    }
    found
}

/// The finding if a file of the ledger, which has one file per month, or a lock cannot be written.
fn ledger(usage: &Path, scene: &Scene) -> Option<Finding> {
    not_writable("ledger-not-writable", usage, "KAGE_STATE_DIR", scene).or_else(|| {
        let months = fs::read_dir(usage).into_iter().flatten().flatten().map(|entry| entry.path());
        let locks = [files::sibling(usage, ".lock"), usage.with_file_name("config.lock")];
        let wanted = Access::READ_OK | Access::WRITE_OK;
        let file = locks
            .into_iter()
            .chain(months)
            .filter(|file| file.is_file())
            .find_map(|file| inaccessible_part(&file, wanted))?;
        let message = format!("{} is not writable, so commands that use it fail", scene.shown(&file));
        Some(Finding::error("ledger-not-writable", message, regain_access(&file, scene)))
    })
}

/// The finding if files cannot be created in a directory. The directory itself may not exist yet.
pub(super) fn not_writable(code: &'static str, dir: &Path, variable: &str, scene: &Scene) -> Option<Finding> {
    let nearest = dir.ancestors().find(|dir| dir.exists())?;
    let why = if !nearest.is_dir() {
        format!("{} is not a directory", scene.shown(nearest))
    } else if let Err(why) = access(nearest, Access::WRITE_OK | Access::EXEC_OK) {
        format!("{} is not writable: {why}", scene.shown(nearest))
    } else {
        return None;
    };
    let path = word(nearest);
    let is_configured = scene.variable(variable).is_some();
    let fix = if is_configured && !(nearest.is_dir() && is_own(nearest)) {
        unset(variable, scene)
    } else if !nearest.is_dir() {
        format!("mv {path} {path}.old")
    } else {
        let wanted = Access::WRITE_OK | Access::EXEC_OK;
        regain_access(&inaccessible_part(nearest, wanted).unwrap_or_else(|| nearest.to_owned()), scene)
    };
    Some(Finding::error(code, why, fix))
}

fn on_network(dir: &Path, scene: &Scene) -> Option<Finding> {
    let name = network(dir.ancestors().find(|dir| dir.exists())?)?;
    let message =
        format!("state {} is on {name}, where locks between machines are not reliable", scene.shown(dir));
    Some(Finding::warning("state-on-network", message, "export KAGE_STATE_DIR=/var/tmp/kage-$(id -u)"))
}

/// The finding if a lock cannot be acquired. Its fix names the process that holds the lock.
pub(super) fn locked(code: &'static str, lock: &Path, scene: &Scene) -> Option<Finding> {
    if !lock.exists() {
        return None;
    }
    let why = Lock::acquire(lock, TIMEOUT).err()?;
    if !why.is::<Failure>() {
        return Some(Finding::error(code, format!("{why:#}"), make_usable(lock, scene)));
    }
    let fix = match process::lock_holder(lock) {
        // A stopped process releases the lock after it is continued.
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
        Finding::error("state-unreadable", message, make_usable(unreadable(&files), scene))
    } else {
        let [whole, log] = &files;
        let is_of_log = message.starts_with(&log.display().to_string());
        let (file, lost) = if is_of_log {
            (word(log), "the latest changes to limits, health, rotation and today's totals are lost")
        } else {
            (word(whole), "limits, health, rotation and today's totals are reset")
        };
        Finding::warning("state-damaged", format!("{message}; {lost}"), format!("mv {file} {file}.damaged"))
    }
}

/// The first file that exists and cannot be read.
fn unreadable(files: &[PathBuf; 2]) -> &Path {
    let is_unreadable = |file: &&PathBuf| fs::read(file).is_err_and(|why| why.kind() != ErrorKind::NotFound);
    files.iter().find(is_unreadable).unwrap_or(&files[0])
}

/// Compares the system clock with the times of the state's files.
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
    Some(format!("the state was written at {}, but the clock shows {}", day(latest), day(now)))
}

/// The recent problems in the log of the hooks.
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
    let message = format!("session hooks logged {count} in the last 24 hours; latest: {}", one_line(latest));
    let log = word(&log);
    Some(Finding::warning("hook-problems", message, format!("cat {log} && rm {log}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clock_that_is_behind_the_state_is_reported() {
        let at = |text: &str| text.parse::<Timestamp>().unwrap();
        let now = at("2026-11-23T12:00:00Z");
        assert_eq!(disagrees(now, None), None);
        assert_eq!(disagrees(now, Some(at("2026-11-23T12:01:00Z"))), None);
        let message = disagrees(now, Some(at("2026-11-24T12:00:00Z"))).unwrap();
        assert!(
            message.contains("2026-11-24 12:00 UTC, but the clock shows 2026-11-23 12:00 UTC"),
            "{message}"
        );
        assert!(disagrees(at("1970-01-01T00:05:00Z"), None).unwrap().contains("the clock shows 1970"));
    }
}
