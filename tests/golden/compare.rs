//! The checked-in files: where they are, how they are compared, and how they are rewritten.

use std::fs;
use std::path::{Path, PathBuf};

/// The maximum number of lines that are shown of a difference.
const MOST_LINES: usize = 80;

/// Where the checked-in files are.
pub(crate) fn golden_dir() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden")
}

/// Whether to rewrite the checked-in files.
pub(crate) fn is_update() -> bool {
    std::env::var_os("UPDATE").is_some()
}

/// Compares these texts with the files of these names, or writes them there. A file without text does not
/// exist.
pub(crate) fn compare_or_update<'a>(files: impl IntoIterator<Item = (String, &'a str)>) {
    let failures = files.into_iter().filter_map(|(name, text)| {
        let file = golden_dir().join(&name);
        if is_update() {
            write(&file, text);
        }
        let expected = fs::read_to_string(&file).unwrap_or_default();
        (expected != text).then(|| failure(&name, &expected, text))
    });
    let failures: String = failures.collect();
    assert!(
        failures.is_empty(),
        "{failures}If this is intended: UPDATE=1 cargo test --test golden, and check the changes in git"
    );
}

fn write(file: &Path, text: &str) {
    if text.is_empty() {
        let _ = fs::remove_file(file);
    } else {
        fs::create_dir_all(file.parent().unwrap()).unwrap();
        fs::write(file, text).unwrap();
    }
}

/// Returns the failure message. Also saves a copy of what was found.
fn failure(name: &str, expected: &str, found: &str) -> String {
    let copy = Path::new(env!("CARGO_TARGET_TMPDIR")).join("golden").join(name);
    write(&copy, found);
    let difference = difference(expected, found);
    format!("tests/golden/{name} differs; what was found is in {}\n{difference}\n", copy.display())
}

/// The lines that differ, without context.
fn difference(expected: &str, found: &str) -> String {
    let expected: Vec<_> = expected.lines().collect();
    let found: Vec<_> = found.lines().collect();
    // The number of lines that both texts have in common, from each pair of lines to the ends.
    let mut common = vec![vec![0_u32; found.len() + 1]; expected.len() + 1];
    for a in (0..expected.len()).rev() {
        for b in (0..found.len()).rev() {
            common[a][b] = if expected[a] == found[b] {
                common[a + 1][b + 1] + 1
            } else {
                common[a + 1][b].max(common[a][b + 1])
            };
        }
    }
    let (mut a, mut b) = (0, 0);
    let mut lines = Vec::new();
    while a < expected.len() || b < found.len() {
        if a < expected.len() && b < found.len() && expected[a] == found[b] {
            (a, b) = (a + 1, b + 1);
        } else if b == found.len() || a < expected.len() && common[a + 1][b] >= common[a][b + 1] {
            lines.push(format!("{:>5} -{}", a + 1, expected[a]));
            a += 1;
        } else {
            lines.push(format!("{:>5} +{}", b + 1, found[b]));
            b += 1;
        }
    }
    if lines.len() > MOST_LINES {
        let more = lines.len() - MOST_LINES;
        lines.truncate(MOST_LINES);
        lines.push(format!("      and {more} more lines"));
    }
    lines.join("\n")
}

#[test]
fn a_difference_has_the_missing_and_the_new_lines() {
    assert_eq!(difference("a\nb\nc\nd\n", "a\nc\nx\nd\ny\n"), "    2 -b\n    3 +x\n    5 +y");
    assert_eq!(difference("", "a\n"), "    1 +a");
    assert_eq!(difference("a\nb\n", "b\n"), "    1 -a");
}
