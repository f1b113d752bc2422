//! The crates that kage is built from: their licenses, their sources and their number. Checks the lists in
//! deny.toml even if `cargo deny` is not installed.

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

/// The output of cargo. None of these calls uses the network.
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
    /// The path or the address of a crate that does not come from the registry.
    elsewhere: Option<String>,
    license: String,
}

impl Crate {
    /// Parses `name v1.2.3 (proc-macro)|MIT OR Apache-2.0`. An `(*)` at the end marks a repeated crate.
    fn of(line: &str) -> Self {
        let (known, license) = line.trim_end_matches(" (*)").split_once('|').unwrap();
        let mut words = known.split(' ').filter(|word| *word != "(proc-macro)").map(str::to_owned);
        let [name, version] = [words.next(), words.next()].map(Option::unwrap);
        Self { name, version, elsewhere: words.next(), license: license.to_owned() }
    }
}

/// The crates of a build for this machine, without those of the tests and without kage.
fn crates() -> BTreeSet<Crate> {
    let args = ["tree", "--locked", "--offline", "-e", "normal,build", "--prefix", "none", "-f", "{p}|{l}"];
    cargo(&args).lines().map(Crate::of).filter(|known| known.name != "kage").collect()
}

fn deny() -> toml::Table {
    file("deny.toml").parse().unwrap()
}

/// The texts in a list of deny.toml, or under a key of the tables in it.
fn texts(list: &toml::Value, key: Option<&str>) -> BTreeSet<String> {
    let text = |value: &toml::Value| {
        key.map_or(Some(value), |key| value.get(key)).unwrap().as_str().unwrap().to_owned()
    };
    list.as_array().unwrap().iter().map(text).collect()
}

#[test]
fn each_direct_dependency_has_a_reason() {
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
fn the_program_has_fewer_than_250_crates() {
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

/// Whether a license is allowed: of each part between `AND`, at least one choice between `OR` is.
fn is_allowed(license: &str, allowed: &BTreeSet<String>) -> bool {
    let license = license.replace('/', " OR ");
    let any =
        |part: &str| part.trim_matches(['(', ')']).split(" OR ").any(|one| allowed.contains(one.trim()));
    license.split(" AND ").all(any)
}

#[test]
fn every_license_is_allowed_and_every_allowed_license_is_needed() {
    let deny = deny();
    let allowed = texts(&deny["licenses"]["allow"], None);
    let exceptions = deny["licenses"]["exceptions"].as_array().unwrap();
    let crates = crates();
    for known in &crates {
        let own = exceptions.iter().find(|one| one["crate"].as_str() == Some(&known.name));
        let own = own.map(|one| texts(&one["allow"], None)).unwrap_or_default();
        let allowed = allowed.union(&own).cloned().collect();
        assert!(is_allowed(&known.license, &allowed), "{}: {}", known.name, known.license);
    }
    for one in &allowed {
        let without = allowed.iter().filter(|other| *other != one).cloned().collect();
        assert!(crates.iter().any(|known| !is_allowed(&known.license, &without)), "{one} is not needed");
    }
    assert!(is_allowed("(MIT OR X) AND Unicode-3.0", &allowed) && !is_allowed("MIT AND X", &allowed));
}

#[test]
fn crates_in_several_versions_are_listed() {
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
    let version = Command::new("cargo").args(["deny", "--version"]).output();
    if !version.is_ok_and(|ran| ran.status.success()) {
        eprintln!("SKIPPED: cargo deny is not installed; the other tests here check the same lists");
        return;
    }
    // Advisories need a database from the network, which `cargo deny check` downloads.
    cargo(&["deny", "--offline", "check", "bans", "licenses", "sources"]);
}
