//! The files in completions/ are those that kage generates, and linters accept them.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use crate::support::{Sandbox, has_all};

fn checked_in() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("completions")
}

/// Every file below a directory, by its relative path.
fn files(dir: &Path) -> BTreeMap<PathBuf, String> {
    let mut found = BTreeMap::new();
    for entry in fs::read_dir(dir).into_iter().flatten().flatten() {
        let (name, path) = (PathBuf::from(entry.file_name()), entry.path());
        if path.is_dir() {
            found.extend(files(&path).into_iter().map(|(inside, text)| (name.join(inside), text)));
        } else {
            found.insert(name, fs::read_to_string(path).unwrap());
        }
    }
    found
}

/// `UPDATE=1 cargo test --test shell completions` writes them again.
#[test]
fn the_checked_in_scripts_and_pages_are_those_that_kage_generates() {
    let sandbox = Sandbox::new();
    sandbox.kage(["generate", "made"]).run().success().prints("").says("");
    let made = files(&sandbox.path("work/made"));
    if std::env::var_os("UPDATE").is_some() {
        let _ = fs::remove_dir_all(checked_in());
        for (inside, text) in &made {
            let file = checked_in().join(inside);
            fs::create_dir_all(file.parent().unwrap()).unwrap();
            fs::write(file, text).unwrap();
        }
    }
    let there = files(&checked_in());
    let names = |files: &BTreeMap<PathBuf, String>| files.keys().cloned().collect::<Vec<_>>();
    assert_eq!(names(&there), names(&made), "UPDATE=1 cargo test --test shell completions");
    for (inside, text) in &made {
        let name = inside.display();
        assert_eq!(&there[inside], text, "{name} is outdated; UPDATE=1 cargo test --test shell completions");
        assert!(!text.contains("@KAGE@"), "{name} still has its token");
    }
}

#[test]
fn the_scripts_pass_the_linters_of_their_shells() {
    let sandbox = Sandbox::new();
    for (line, file) in [
        ("shellcheck -s bash", "kage.bash"),
        ("shfmt -d -i 2 -ci -ln bash", "kage.bash"),
        ("bash -n", "kage.bash"),
        ("zsh -n", "_kage"),
        ("fish_indent --check", "kage.fish"),
        ("fish --no-execute", "kage.fish"),
    ] {
        let mut words = line.split(' ');
        let program = words.next().unwrap();
        if has_all(&[program]) {
            let file = checked_in().join(file).display().to_string();
            sandbox.call(program.as_ref(), words.chain([file.as_str()])).run().success().prints("").says("");
        }
    }
}

#[test]
fn every_man_page_renders_without_a_warning_and_keeps_its_examples() {
    if !has_all(&["man", "groff"]) {
        return;
    }
    let sandbox = Sandbox::new();
    let help = |verb: &str| {
        let words = verb.split('-').skip(1).chain(["--help"]);
        sandbox.kage(words).run().success().stdout()
    };
    let pages = files(&checked_in().join("man"));
    assert!(pages.len() > 20, "{} pages", pages.len());
    for name in pages.keys() {
        let file = checked_in().join("man").join(name).display().to_string();
        let man = sandbox.call("man".as_ref(), ["-l", "--warnings=w,mac", &file]);
        let page =
            man.env("MANWIDTH", "200").env("MAN_KEEP_FORMATTING", "").run().success().says("").stdout();
        let verb = name.file_stem().unwrap().to_str().unwrap();
        let help = help(verb);
        let examples = help.split("Examples:\n").nth(1).unwrap().lines().take_while(|line| !line.is_empty());
        for example in examples {
            let line = format!("           {}\n", example.trim());
            assert!(page.contains(&line), "no `{line}` in the page of {verb}:\n{page}");
        }
        for part in ["NAME\n", "SYNOPSIS\n", "DESCRIPTION\n", "EXIT STATUS\n", "EXAMPLES\n", "SEE ALSO\n"] {
            assert!(page.contains(part), "no {part} in the page of {verb}");
        }
        assert!(!page.contains("General Commands Manual"), "the title of {verb} lacks a part");
    }
}

#[test]
fn the_page_of_a_command_has_the_same_exit_status_as_its_help() {
    let sandbox = Sandbox::new();
    let mut checked = 0;
    for (name, page) in files(&checked_in().join("man")) {
        let verb = name.file_stem().unwrap().to_str().unwrap();
        let help = sandbox.kage(verb.split('-').skip(1).chain(["--help"])).run().success().stdout();
        let (_, section) = page.split_once(".SH \"EXIT STATUS\"\n").unwrap();
        let (section, _) = section.split_once("\n.SH ").unwrap();
        let Some((_, status)) = help.split_once("Exit status: ") else {
            assert!(!help.contains("xit status:"), "{verb} names the exit status in another form");
            continue;
        };
        // Ignores bold text, escapes, the case of the first letter, and line breaks.
        let plain = |text: &str| {
            let text = text.replace("\\fB", "").replace("\\fR", "").replace("\\(aq", "'").replace('`', "");
            text.to_lowercase().split_whitespace().collect::<Vec<_>>().join(" ")
        };
        let expected = plain(status.split("\n\n").next().unwrap());
        assert_eq!(plain(section), expected, "in the page of {verb}");
        assert!(!page.contains("Exit status: "), "the page of {verb} has it twice");
        checked += 1;
    }
    assert!(checked >= 8, "the help of only {checked} commands has the exit status");
}
