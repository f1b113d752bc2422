//! What is checked in under completions/ is what kage generates, and it is well made.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use crate::support::{Sandbox, has_all};

fn checked_in() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("completions")
}

/// Every file below a directory, by its path in there.
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

/// `UPDATE=1 cargo test --test completions` writes them anew.
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
    assert_eq!(names(&there), names(&made), "UPDATE=1 cargo test --test completions");
    for (inside, text) in &made {
        let name = inside.display();
        assert_eq!(&there[inside], text, "{name} has drifted; UPDATE=1 cargo test --test completions");
        assert!(!text.contains("@KAGE@"), "{name} has its token still");
    }
}

#[test]
fn the_scripts_please_the_linters_of_their_shells() {
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
