//! What kage is built of: who wrote it under which terms, where it comes from, and how much of it there is. Holds
//! what deny.toml says also where `cargo deny` is not installed.

// A failed unwrap is a failed test.
#![allow(clippy::unwrap_used)]

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::process::Command;
use std::{env, fs};

/// A file of the repository.
fn file(name: &str) -> String {
    fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(name)).unwrap()
}

/// What cargo prints, which asks nobody.
fn cargo(args: &[&str]) -> String {
    let cargo = env::var("CARGO").unwrap_or_else(|_| "cargo".to_owned());
    let ran = Command::new(cargo).args(args).current_dir(env!("CARGO_MANIFEST_DIR")).output().unwrap();
    assert!(ran.status.success(), "{args:?}: {}", String::from_utf8_lossy(&ran.stderr));
    String::from_utf8(ran.stdout).unwrap()
}

#[derive(PartialEq, Eq, PartialOrd, Ord)]
struct Crate {
    name: String,
    version: String,
    /// A path or an address, where it does not come from the registry.
    elsewhere: Option<String>,
    licence: String,
}

impl Crate {
    /// From `name v1.2.3 (proc-macro)|MIT OR Apache-2.0`; an `(*)` says that it stood there before.
    fn of(line: &str) -> Self {
        let (known, licence) = line.trim_end_matches(" (*)").split_once('|').unwrap();
        let mut words = known.split(' ').filter(|word| *word != "(proc-macro)").map(str::to_owned);
        let [name, version] = [words.next(), words.next()].map(Option::unwrap);
        Self { name, version, elsewhere: words.next(), licence: licence.to_owned() }
    }
}

/// The crates that a build for this machine takes, without those of the tests and without kage.
fn crates() -> BTreeSet<Crate> {
    let args = ["tree", "--locked", "--offline", "-e", "normal,build", "--prefix", "none", "-f", "{p}|{l}"];
    cargo(&args).lines().map(Crate::of).filter(|known| known.name != "kage").collect()
}

fn deny() -> toml::Table {
    file("deny.toml").parse().unwrap()
}

/// The texts of a list in deny.toml, or of a key of its tables.
fn texts(list: &toml::Value, key: Option<&str>) -> BTreeSet<String> {
    let text = |value: &toml::Value| {
        key.map_or(Some(value), |key| value.get(key)).unwrap().as_str().unwrap().to_owned()
    };
    list.as_array().unwrap().iter().map(text).collect()
}

#[test]
fn each_direct_dependency_says_what_it_is_for() {
    let manifest = file("Cargo.toml");
    let mut section = "";
    let mut seen = 0;
    for line in manifest.lines() {
        if line.starts_with('[') {
            section = line;
        } else if section.ends_with("dependencies]") && line.contains('=') {
            let reason = line.rsplit_once(" # ").map_or("", |(_, reason)| reason);
            assert!(!reason.trim().is_empty(), "no reason: {line}");
            seen += 1;
        }
    }
    assert!(seen > 30, "{seen}");
}

#[test]
fn the_program_is_made_of_fewer_than_250_crates() {
    let crates = crates();
    assert!((50..250).contains(&crates.len()), "{}", crates.len());
}

#[test]
fn every_crate_comes_from_the_registry() {
    for known in crates() {
        assert_eq!(known.elsewhere, None, "{}", known.name);
    }
    let lock = file("Cargo.lock");
    let packages = lock.split("[[package]]").skip(1);
    let foreign = packages.filter(|package| !package.contains("\nchecksum = \""));
    assert_eq!(foreign.count(), 1, "kage alone has no checksum");
}

/// Whether one of the terms that a licence offers is allowed, of each part that must be kept.
fn is_allowed(licence: &str, allowed: &BTreeSet<String>) -> bool {
    let licence = licence.replace('/', " OR ");
    let any =
        |part: &str| part.trim_matches(['(', ')']).split(" OR ").any(|one| allowed.contains(one.trim()));
    licence.split(" AND ").all(any)
}

#[test]
fn every_licence_is_one_that_is_allowed_and_each_allowed_one_is_needed() {
    let deny = deny();
    let allowed = texts(&deny["licenses"]["allow"], None);
    let exceptions = deny["licenses"]["exceptions"].as_array().unwrap();
    let crates = crates();
    for known in &crates {
        let own = exceptions.iter().find(|one| one["crate"].as_str() == Some(&known.name));
        let own = own.map(|one| texts(&one["allow"], None)).unwrap_or_default();
        let allowed = allowed.union(&own).cloned().collect();
        assert!(is_allowed(&known.licence, &allowed), "{}: {}", known.name, known.licence);
    }
    for one in &allowed {
        let without = allowed.iter().filter(|other| *other != one).cloned().collect();
        assert!(crates.iter().any(|known| !is_allowed(&known.licence, &without)), "{one} is not needed");
    }
    assert!(is_allowed("(MIT OR X) AND Unicode-3.0", &allowed) && !is_allowed("MIT AND X", &allowed));
}

#[test]
fn what_is_there_twice_is_known() {
    if !cfg!(target_os = "linux") {
        return;
    }
    let mut versions = BTreeMap::<String, BTreeSet<String>>::new();
    for known in crates() {
        versions.entry(known.name).or_default().insert(known.version);
    }
    let twice: BTreeSet<_> =
        versions.into_iter().filter(|(_, versions)| versions.len() > 1).map(|(name, _)| name).collect();
    let deny = deny();
    assert_eq!(twice, texts(&deny["bans"]["skip"], Some("crate")), "`skip` in deny.toml");
    assert!(texts(&deny["bans"]["skip"], Some("reason")).iter().all(|reason| !reason.is_empty()));
}

#[test]
fn cargo_deny_agrees() {
    let is_there = Command::new("cargo").args(["deny", "--version"]).output();
    if !is_there.is_ok_and(|ran| ran.status.success()) {
        eprintln!("SKIPPED: cargo deny is not installed; the tests beside this one hold the same lists");
        return;
    }
    // Advisories need a database from elsewhere: `cargo deny check` asks for that.
    cargo(&["deny", "--offline", "check", "bans", "licenses", "sources"]);
}
