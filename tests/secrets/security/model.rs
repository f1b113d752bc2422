//! SECURITY.md: each line of the threat model names its tests, and the tests exist.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

/// The lines of the model, each with its continuation lines.
fn lines(page: &str) -> Vec<String> {
    let mut lines = Vec::new();
    for line in page.lines() {
        match (line.strip_prefix("- "), line.strip_prefix("  ")) {
            (Some(begin), _) => lines.push(begin.to_owned()),
            (None, Some(rest)) => *lines.last_mut().unwrap() += &format!(" {rest}"),
            (None, None) => {}
        }
    }
    lines
}

/// The tests that a line names, with the file of each: `(tests/suite.rs: one, another)`.
fn tests(line: &str) -> Vec<(String, String)> {
    let groups = line.split('(').filter_map(|group| group.split_once(')')?.0.split_once(".rs: "));
    let tests = groups.flat_map(|(file, names)| {
        names.split(',').map(move |name| (format!("{file}.rs"), name.trim().to_owned()))
    });
    tests.collect()
}

/// The file and its modules: `tests/security.rs` and `tests/security/*.rs`.
fn sources(file: &str) -> Vec<PathBuf> {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join(file);
    let below = fs::read_dir(file.with_extension("")).into_iter().flatten().flatten();
    let below = below.map(|entry| entry.path()).filter(|path| path.extension().is_some_and(|is| is == "rs"));
    below.chain([file]).collect()
}

/// The names of the tests in a file and its modules.
fn known(file: &str) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    for source in sources(file) {
        let text = fs::read_to_string(&source).unwrap_or_else(|why| panic!("{}: {why}", source.display()));
        let tests = text.split("#[test]\n").skip(1);
        let names = tests.filter_map(|test| test.split_once("fn ")?.1.split_once('(').map(|(name, _)| name));
        found.extend(names.map(str::to_owned));
    }
    found
}

fn page() -> String {
    fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("SECURITY.md")).unwrap()
}

#[test]
fn each_line_of_the_threat_model_has_its_test() {
    let lines = lines(&page());
    assert!(lines.len() > 25, "{}", lines.len());
    for line in lines {
        assert!(line.ends_with(')') && !tests(&line).is_empty(), "no test: {line}");
        for (file, name) in tests(&line) {
            assert!(known(&file).contains(&name), "{file} has no test {name}: {line}");
        }
    }
}

#[test]
fn each_test_of_this_suite_is_named_by_a_line() {
    let page = page();
    let own = "each_line_of_the_threat_model_has_its_test";
    for name in known("tests/secrets/security.rs") {
        let is_about_the_page = name == own || name == "each_test_of_this_suite_is_named_by_a_line";
        assert!(is_about_the_page || page.contains(&name), "SECURITY.md does not name {name}");
    }
}
