//! The documentation: its links resolve, and the README stays short and starts with what kage is.

use std::collections::BTreeSet;
use std::fs;
use std::path::PathBuf;

/// The maximum number of lines of the README.
const LONGEST_README: usize = 220;

fn root() -> PathBuf {
    env!("CARGO_MANIFEST_DIR").into()
}

/// Every Markdown file of the project, by its path in it.
fn documents() -> Vec<(PathBuf, String)> {
    let docs = fs::read_dir(root().join("docs")).unwrap().map(|entry| entry.unwrap().path());
    let top = fs::read_dir(root()).unwrap().map(|entry| entry.unwrap().path());
    let mut found: Vec<_> = docs
        .chain(top)
        .filter(|path| path.extension().is_some_and(|extension| extension == "md"))
        .map(|path| (path.strip_prefix(root()).unwrap().to_owned(), fs::read_to_string(path).unwrap()))
        .collect();
    found.sort();
    assert!(found.len() > 8, "{found:?}");
    found
}

/// The text without its code blocks.
fn prose(text: &str) -> String {
    let mut in_block = false;
    let outside = text.lines().filter(|line| {
        let is_fence = line.starts_with("```");
        in_block ^= is_fence;
        !in_block && !is_fence && !line.starts_with("    ")
    });
    outside.collect::<Vec<_>>().join("\n")
}

/// The targets of the links and pictures in a text.
fn links(text: &str) -> Vec<String> {
    let mut targets = Vec::new();
    for rest in prose(text).split("](").skip(1) {
        targets.push(rest.split_once(')').expect("a link has an end").0.to_owned());
    }
    targets
}

/// The anchors of a document's headings, as GitHub generates them.
fn anchors(text: &str) -> BTreeSet<String> {
    let headings = prose(text);
    let headings = headings.lines().filter(|line| line.starts_with('#'));
    headings
        .map(|heading| {
            let words = heading.trim_start_matches('#').trim().to_lowercase();
            let kept = words.chars().filter(|c| c.is_alphanumeric() || [' ', '-', '_'].contains(c));
            kept.map(|c| if c == ' ' { '-' } else { c }).collect()
        })
        .collect()
}

#[test]
fn every_relative_link_resolves() {
    let mut seen = 0;
    for (path, text) in documents() {
        for link in links(&text).into_iter().filter(|link| !link.contains("://")) {
            let (file, anchor) = link.split_once('#').unwrap_or((&link, ""));
            let target = if file.is_empty() {
                root().join(&path)
            } else {
                root().join(path.parent().unwrap()).join(file)
            };
            assert!(target.exists(), "{}: {link} leads nowhere", path.display());
            if !anchor.is_empty() {
                let text = fs::read_to_string(&target).unwrap();
                assert!(anchors(&text).contains(anchor), "{}: no heading for {link}", path.display());
            }
            seen += 1;
        }
    }
    assert!(seen > 20, "only {seen} links were found");
}

#[test]
fn every_document_is_linked_from_the_readme() {
    let readme = fs::read_to_string(root().join("README.md")).unwrap();
    let linked: BTreeSet<String> = links(&readme).into_iter().collect();
    for (path, _) in documents() {
        let path = path.to_str().unwrap().to_owned();
        let is_linked = linked.iter().any(|link| link.split('#').next() == Some(&path));
        assert!(is_linked || ["README.md", "CHANGELOG.md"].contains(&path.as_str()), "{path} is not linked");
    }
}

#[test]
fn the_readme_is_short_and_has_the_two_commands() {
    let readme = fs::read_to_string(root().join("README.md")).unwrap();
    assert!(readme.lines().count() <= LONGEST_README, "the README has {} lines", readme.lines().count());
    assert!(readme.starts_with("# kage\n\nkage runs coding agents on several subscriptions."));
    for command in ["    cargo run -- demo\n", "    bash tests/run.sh\n"] {
        assert_eq!(readme.matches(command).count(), 1, "{command}");
    }
}

#[test]
fn links_and_anchors_are_found() {
    let text = "# A `b`: c, d\n[x](y.md#z) and ![p](q.svg)\n```\n[no](no.md)\n```\n    [no](no.md)\n";
    assert_eq!(links(text), ["y.md#z", "q.svg"]);
    assert_eq!(anchors(text), BTreeSet::from(["a-b-c-d".to_owned()]));
}
