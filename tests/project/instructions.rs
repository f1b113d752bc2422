//! How much work a start is: instructions of the release build, as callgrind counts them. They are the same on a
//! busy machine and on an idle one, so each that is added is seen.
//!
//! `UPDATE=1 cargo test --test project instructions` takes the budget anew.

// A failed unwrap is a failed test.
#![allow(clippy::unwrap_used)]

use std::collections::BTreeMap;
use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::support::{Sandbox, has_all, wait_until};

/// Per mille of the budget, to either side: less is a budget to be taken anew.
const LEEWAY: u64 = 30;
const STARTS: [(&str, &[&str]); 3] =
    [("exec", &["exec", "--", "true"]), ("prompt", &["prompt"]), ("status", &["status", "--format", "tmux"])];

fn budget_file() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/instructions.toml")
}

/// The release build of what is tested.
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

/// A pool of twenty with secrets in the encrypted file, which has run before.
fn pool(kage: &Path) -> Sandbox {
    let sandbox = Sandbox::new();
    let described =
        "account of the team, paid for by the department, renewed every month by card of the lead";
    for at in 0..20 {
        let flags = ["--priority", "100", "--tags", "team,backend,large,eu", "--description", described];
        sandbox.add(&format!("subscription-{at:02}"), &flags);
    }
    let run = || sandbox.call(kage, ["exec", "--", "true"]).run().success().says("");
    wait_until("the config is kept", || {
        run();
        sandbox.path("home/.local/state/kage/config.cache").exists()
    });
    for file in ["state.json", "state.log"] {
        fs::remove_file(sandbox.path("home/.local/state/kage").join(file)).unwrap();
    }
    // Every subscription has run, and the state was written whole just before.
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
    let told = ran.stderr();
    let total = told.lines().find_map(|line| line.split_once("Collected : ")).map(|(_, total)| total.trim());
    total.and_then(|total| total.parse().ok()).unwrap_or_else(|| panic!("no count in: {told}"))
}

#[test]
fn a_start_costs_what_it_has_cost() {
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
    let beyond: Vec<_> = budget
        .iter()
        .filter(|(name, budget)| counts[*name].abs_diff(**budget) * 1000 > **budget * LEEWAY)
        .map(|(name, budget)| format!("{name}: {} instead of {budget}", counts[name]))
        .collect();
    assert!(beyond.is_empty(), "more than {LEEWAY} per mille off: {beyond:?}");
}
