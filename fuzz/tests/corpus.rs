//! Runs every input of the corpus without a fuzzer and with any compiler, so that fixed bugs stay fixed.

use std::fs;
use std::path::Path;

const TARGETS: [(&str, fn(&[u8])); 10] = [
    ("config", kage_fuzz::config),
    ("dbus", kage_fuzz::dbus),
    ("ledger", kage_fuzz::ledger),
    ("markers", kage_fuzz::markers),
    ("quoting", kage_fuzz::quoting),
    ("report", kage_fuzz::report),
    ("reset", kage_fuzz::reset),
    ("state", kage_fuzz::state),
    ("stream", kage_fuzz::stream),
    ("transcript", kage_fuzz::transcript),
];
const MOST: usize = 40;
const LONGEST: usize = 4096;

#[test]
fn every_target_passes_on_its_corpus() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus");
    for (target, check) in TARGETS {
        let entries = fs::read_dir(root.join(target)).expect("each target has a corpus").flatten();
        let files: Vec<_> = entries.map(|entry| entry.path()).collect();
        assert!((1..=MOST).contains(&files.len()), "{target} has {} inputs", files.len());
        for file in files {
            let input = fs::read(&file).expect("the input can be read");
            assert!(input.len() < LONGEST, "{} is too long", file.display());
            println!("{}", file.display());
            check(&input);
            // Truncated inputs are inputs too.
            check(&input[..input.len() / 2]);
            check(&input[input.len() / 2..]);
        }
    }
}

#[test]
fn every_target_has_a_binary() {
    let manifest = include_str!("../Cargo.toml");
    let named: Vec<_> =
        manifest.lines().filter_map(|line| line.strip_prefix("path = \"fuzz_targets/")).collect();
    assert_eq!(named, TARGETS.map(|(target, _)| format!("{target}.rs\"")));
}
