//! Checks that the golden files have every verb with `--json`, every event, and every status.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use crate::GOLDEN_FILES;
use crate::compare::{golden_dir, is_update};
use crate::golden_file::file_names;

fn read(file: &Path) -> String {
    fs::read_to_string(file).unwrap()
}

/// All checked-in output of commands.
fn shapes() -> String {
    GOLDEN_FILES
        .iter()
        .map(|name| fs::read_to_string(golden_dir().join(&file_names(name)[0])).unwrap_or_default())
        .collect()
}

/// Every verb with the text of its man page.
fn verbs() -> Vec<(String, String)> {
    let pages = fs::read_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join("completions/man")).unwrap();
    let mut verbs: Vec<_> = pages
        .flatten()
        .map(|page| {
            let name = page.path().file_stem().unwrap().to_str().unwrap().replace('-', " ");
            (name, read(&page.path()))
        })
        .collect();
    verbs.sort_unstable();
    verbs
}

/// Whether a command with these words is in the golden files.
fn has_command(shapes: &str, words: &[&str]) -> bool {
    let commands = shapes.lines().filter(|line| line.starts_with("$ "));
    commands.into_iter().any(|line| words.iter().all(|word| line.contains(word)))
}

#[test]
fn every_verb_with_json_and_every_other_format_is_in_the_files() {
    let shapes = if is_update() { return } else { shapes() };
    let with_json = verbs().into_iter().filter(|(_, page)| page.contains("\\-\\-json\\fR"));
    let names: Vec<_> = with_json.map(|(name, _)| name).collect();
    assert!(names.len() >= 12, "{names:?}");
    for name in &names {
        assert!(has_command(&shapes, &[name, "--json"]), "no `{name} --json`");
    }
    for by in ["subscription", "model", "namespace", "project", "day", "hour"] {
        for form in ["--json", "--csv"] {
            assert!(
                has_command(&shapes, &["kage usage", &format!("--by {by} "), form]),
                "no `{by}` in {form}"
            );
        }
    }
    for words in ["status --format json", "status --format tmux", "metrics", "prompt", "statusline"] {
        assert!(has_command(&shapes, &[&format!("kage {words}")]), "no `{words}`");
    }
}

#[test]
fn every_event_status_verdict_and_rule_is_in_the_files() {
    let shapes = if is_update() { return } else { shapes() };
    let page = read(&Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/config.md"));
    for event in [
        "switched",
        "rate_limited",
        "exhausted",
        "recovered",
        "all_limited",
        "unhealthy",
        "budget_warning",
        "budget_reached",
    ] {
        assert!(page.contains(event), "{event} is not in docs/config.md");
        assert!(shapes.contains(&format!("\"event\":\"{event}\"")), "no event {event}");
    }
    for status in ["active", "rate_limited", "exhausted", "disabled", "unhealthy"] {
        assert!(shapes.contains(&format!("\"status\": \"{status}\"")), "no status {status}");
    }
    for class in [
        "succeeded",
        "agent_failed",
        "interrupted",
        "not_started",
        "usage_limit",
        "throttled",
        "overloaded",
        "unreachable",
        "timed_out",
        "auth_rejected",
        "organisation_refused",
        "billing_rejected",
    ] {
        assert!(shapes.contains(&format!("\"class\": \"{class}\"")), "no verdict {class}");
    }
    for rule in ["agent", "disabled", "parallel", "route", "tag", "limited", "unhealthy", "budget"] {
        assert!(shapes.contains(&format!("\"rule\": \"{rule}\"")), "no rule {rule}");
    }
}

#[test]
fn the_table_has_every_verb_and_every_exit_status() {
    if is_update() {
        return;
    }
    let table = read(&golden_dir().join("exits.txt"));
    assert!(table.lines().count() >= 60);
    for (verb, _) in verbs() {
        assert!(table.contains(&format!(" {verb}")), "no {verb}");
    }
    let statuses: BTreeSet<_> = table
        .lines()
        .map(|line| line.split("  ").map(str::trim).filter(|cell| !cell.is_empty()).nth(1).unwrap())
        .collect();
    for status in "0 1 2 10 11 12 13 41 75 125 126 127 130 137 173 255 TERM INT HUP PIPE KILL".split(' ') {
        assert!(statuses.contains(status), "no situation ends with {status}: {statuses:?}");
    }
}

#[test]
fn the_stored_state_has_the_keys_of_earlier_versions() {
    let state = read(&golden_dir().join("states/version-1.json"));
    for key in ["sickness", "strikes", "speaker", "visits", "refused", "lost", "record", "repeats", "credit"]
    {
        assert!(state.contains(&format!("\"{key}\":")), "no `{key}`");
    }
}

#[test]
fn every_file_is_in_the_list_of_golden_files() {
    if is_update() {
        return;
    }
    for kind in ["shapes", "stderr"] {
        let known: BTreeSet<_> = GOLDEN_FILES.iter().map(|name| format!("{name}.txt")).collect();
        for file in fs::read_dir(golden_dir().join(kind)).unwrap().flatten() {
            let name = file.file_name().into_string().unwrap();
            assert!(
                known.contains(&name) || name == "exits.txt",
                "{kind}/{name} is not in the list of golden files"
            );
        }
    }
}
