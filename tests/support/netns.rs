//! Runs tests in a network namespace that has only a loopback, so that they cannot reach a real provider.

// A failed unwrap is a failed test.
#![allow(dead_code, unreachable_pub, clippy::unwrap_used)]

use std::env;
use std::fs;
use std::process::Command;
use std::sync::{PoisonError, RwLock};

use crate::support::{has_all, missing_is_failure};

/// Set in the environment of the test that runs inside the namespace.
const MARK: &str = "KAGE_TEST_NETNS";

/// Whether this process must run the test, because it is inside a namespace. Outside, this starts the test
/// again in a process inside a namespace; the test here fails if that one fails.
pub fn is_inside(test: impl Fn()) -> bool {
    is_inside_with(&test, || Box::new(MACHINE.read().unwrap_or_else(PoisonError::into_inner)))
}

/// Like `is_inside`, for a test that measures time: no other test of this suite runs at the same time.
pub fn is_inside_alone(test: impl Fn()) -> bool {
    is_inside_with(&test, || Box::new(MACHINE.write().unwrap_or_else(PoisonError::into_inner)))
}

/// Held by every test while it runs.
static MACHINE: RwLock<()> = RwLock::new(());

/// A guard of [`MACHINE`], shared or exclusive.
trait Share {}
impl<T> Share for T {}

fn is_inside_with<T: Fn()>(test: &T, take: impl FnOnce() -> Box<dyn Share>) -> bool {
    if env::var_os(MARK).is_some() {
        assert_eq!(interfaces(), ["lo"], "the namespace has more than a loopback");
        return true;
    }
    if has_all(&["unshare", "ip"]) && can_unshare() {
        let _share = take();
        run_inside(name_of(test));
    }
    false
}

/// The name of a test in the harness: its path without the crate.
fn name_of<T>(_: &T) -> &'static str {
    std::any::type_name::<T>().split_once("::").unwrap().1
}

fn run_inside(test: &str) {
    let script = r#"ip link set lo up && exec "$0" "$@""#;
    let mut again = unshare();
    again.args(["--", "sh", "-c", script]).arg(env::current_exe().unwrap());
    let ran = again.args([test, "--exact", "--nocapture"]).env(MARK, "1").output().unwrap();
    let text = [ran.stdout, ran.stderr].map(|text| String::from_utf8_lossy(&text).into_owned()).concat();
    assert!(ran.status.success() && text.contains("1 passed"), "{text}");
}

/// Root may create a network namespace; other users need a user namespace for it.
fn unshare() -> Command {
    let mut command = Command::new("unshare");
    command.arg(if is_root() { "-n" } else { "-rn" });
    command
}

fn is_root() -> bool {
    let id = Command::new("id").arg("-u").output().unwrap();
    id.stdout == b"0\n"
}

/// Whether namespaces are allowed: containers and hardened systems may forbid them.
fn can_unshare() -> bool {
    let allowed = unshare().arg("true").output().is_ok_and(|ran| ran.status.success());
    if !allowed {
        missing_is_failure("could not create a network namespace");
    }
    allowed
}

fn interfaces() -> Vec<String> {
    let table = fs::read_to_string("/proc/net/dev").unwrap();
    let names = table.lines().filter_map(|line| line.split_once(':'));
    names.map(|(name, _)| name.trim().to_owned()).collect()
}
