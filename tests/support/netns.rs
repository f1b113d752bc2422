//! A network namespace with a loopback and nothing else: what runs in it cannot reach a real provider.

// A failed unwrap is a failed test.
#![allow(dead_code, unreachable_pub, clippy::unwrap_used)]

use std::env;
use std::fs;
use std::process::Command;
use std::sync::{PoisonError, RwLock};

use crate::support::{has_all, missing_is_failure};

/// Set in the environment of a test that was started again inside.
const MARK: &str = "KAGE_TEST_NETNS";

/// Whether this process is the one to run the test: the one inside a namespace. Outside, the test is
/// started again inside one, alone, and how that ends is how it ends here.
pub fn is_inside(test: impl Fn()) -> bool {
    is_inside_beside(&test, || Box::new(MACHINE.read().unwrap_or_else(PoisonError::into_inner)))
}

/// The same for a test that measures time: no other of this suite runs beside it.
pub fn is_inside_alone(test: impl Fn()) -> bool {
    is_inside_beside(&test, || Box::new(MACHINE.write().unwrap_or_else(PoisonError::into_inner)))
}

/// Held by every test while it runs.
static MACHINE: RwLock<()> = RwLock::new(());

/// Whatever keeps a share of the machine.
trait Share {}
impl<T> Share for T {}

fn is_inside_beside<T: Fn()>(test: &T, take: impl FnOnce() -> Box<dyn Share>) -> bool {
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

/// The name by which the harness knows a test: its path without the crate.
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

/// Root may make a namespace; others get one together with a user namespace.
fn unshare() -> Command {
    let mut command = Command::new("unshare");
    command.arg(if is_root() { "-n" } else { "-rn" });
    command
}

fn is_root() -> bool {
    let id = Command::new("id").arg("-u").output().unwrap();
    id.stdout == b"0\n"
}

/// Containers and hardened systems may forbid it.
fn can_unshare() -> bool {
    let allowed = unshare().arg("true").output().is_ok_and(|ran| ran.status.success());
    if !allowed {
        missing_is_failure("no network namespace can be made here");
    }
    allowed
}

fn interfaces() -> Vec<String> {
    let table = fs::read_to_string("/proc/net/dev").unwrap();
    let names = table.lines().filter_map(|line| line.split_once(':'));
    names.map(|(name, _)| name.trim().to_owned()).collect()
}
