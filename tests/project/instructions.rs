//! The cost of a start: the instructions of the release build, counted by callgrind. The counts are the same
//! on a busy machine and on an idle one, so they show every increase.
//!
//! `UPDATE=1 cargo test --test project instructions` rewrites the budget.

// A failed unwrap is a failed test.
#![allow(clippy::unwrap_used)]

use std::collections::BTreeMap;
use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::support::{Sandbox, has_all, wait_until};

/// The tolerance in per mille of the budget. A count that is too low fails as well: the budget must be
/// rewritten.
const TOLERANCE: u64 = 30;
const STARTS: [(&str, &[&str]); 3] =
    [("exec", &["exec", "--", "true"]), ("prompt", &["prompt"]), ("status", &["status", "--format", "tmux"])];

fn budget_file() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/instructions.toml")
}

/// Builds kage in release mode. Returns the path of the program.
fn release() -> PathBuf {
    let cargo = env::var_os("CARGO").unwrap_or("cargo".into());
    let cargo = |args: &[&str]| {
        let mut command = Command::new(&cargo);
        command.args(args).current_dir(env!("CARGO_MANIFEST_DIR"));
        let output = command.output().unwrap();
        assert!(output.status.success(), "{args:?}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    };
    cargo(&["build", "--release", "--locked"]);
    let known = cargo(&["metadata", "--format-version", "1", "--no-deps"]);
    let known: serde_json::Value = serde_json::from_str(&known).unwrap();
    Path::new(known["target_directory"].as_str().unwrap()).join("release/kage")
}

/// A pool of twenty subscriptions with secrets in the encrypted file, in which runs have been booked.
fn pool(kage: &Path) -> Sandbox {
    let sandbox = Sandbox::new();
    let description =
        "account of the team, paid for by the department, renewed every month by card of the lead";
    for at in 0..20 {
        let flags = ["--priority", "100", "--tags", "team,backend,large,eu", "--description", description];
        sandbox.add(&format!("subscription-{at:02}"), &flags);
    }
    let run = || sandbox.call(kage, ["exec", "--", "true"]).run().success().says("");
    wait_until("the config to be cached", || {
        run();
        sandbox.path("home/.local/state/kage/config.cache").exists()
    });
    for file in ["state.json", "state.log"] {
        fs::remove_file(sandbox.path("home/.local/state/kage").join(file)).unwrap();
    }
    // Continues until every subscription has run and the complete state has just been written.
    let log = sandbox.path("home/.local/state/kage/state.log");
    let mut runs = 0;
    while runs < 20 || fs::metadata(&log).unwrap().len() > 1000 {
        run();
        runs += 1;
    }
    sandbox
}

fn count(sandbox: &Sandbox, kage: &Path, args: &[&str]) -> u64 {
    let kage = kage.display().to_string();
    let words = ["--tool=callgrind", "--callgrind-out-file=/dev/null", &kage];
    let ran = sandbox.call("valgrind".as_ref(), words.iter().chain(args)).run().success();
    let report = ran.stderr();
    let total =
        report.lines().find_map(|line| line.split_once("Collected : ")).map(|(_, total)| total.trim());
    total.and_then(|total| total.parse().ok()).unwrap_or_else(|| panic!("no count in: {report}"))
}

#[test]
fn the_cost_of_a_start_is_within_its_budget() {
    if !has_all(&["valgrind"]) {
        return;
    }
    let kage = release();
    let sandbox = pool(&kage);
    let counts: BTreeMap<_, _> =
        STARTS.into_iter().map(|(name, args)| (name.to_owned(), count(&sandbox, &kage, args))).collect();
    if env::var_os("UPDATE").is_some() {
        let head = "# Instructions of one start of the release build. UPDATE=1 cargo test --test project instructions\n";
        fs::write(budget_file(), format!("{head}{}", toml::to_string(&counts).unwrap())).unwrap();
        return;
    }
    let budget: BTreeMap<String, u64> = toml::from_str(&fs::read_to_string(budget_file()).unwrap()).unwrap();
    assert!(budget.keys().eq(counts.keys()), "{budget:?}");
    let outside: Vec<_> = budget
        .iter()
        .filter(|(name, budget)| counts[*name].abs_diff(**budget) * 1000 > **budget * TOLERANCE)
        .map(|(name, budget)| format!("{name}: {} instead of {budget}", counts[name]))
        .collect();
    assert!(outside.is_empty(), "more than {TOLERANCE} per mille off: {outside:?}");
}
