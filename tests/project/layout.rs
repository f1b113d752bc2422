//! Holds the table of who may import whom.

use std::fs;
use std::path::{Path, PathBuf};

/// A module, and what of the crate it may name. `*` stands for everything but `main`.
const TABLE: &[(&str, &[&str])] = &[
    ("cli", &["pool"]),
    ("clock", &[]),
    ("text", &[]),
    ("error", &["text"]),
    ("secret", &[]),
    ("process", &[]),
    ("shell", &["text"]),
    // The function that is the whole run.
    ("start", &["kage"]),
    ("pool", &[]),
    ("paths", &["error"]),
    ("files", &["error", "text"]),
    ("agent", &["pool", "secret", "text"]),
    ("store", &["pool", "error", "files", "process"]),
    ("prices", &["pool"]),
    ("ledger", &["pool", "files", "prices"]),
    ("credentials", &["pool", "error", "files", "paths", "process", "secret"]),
    ("config", &["pool", "agent", "prices", "error", "files", "paths", "text"]),
    ("run", &["agent", "pool", "error", "process", "secret", "shell", "text"]),
    ("report", &["pool", "agent", "ledger", "prices", "error", "text"]),
    ("man", &["cli"]),
    ("complete", &["cli", "config", "paths", "pool"]),
    ("cmd", &["*"]),
];

fn sources(dir: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(dir).expect("src is readable").flatten().map(|entry| entry.path());
    entries.flat_map(|path| if path.is_dir() { sources(&path) } else { vec![path] }).collect()
}

#[test]
fn modules_import_only_what_the_table_allows() {
    let src = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut seen = Vec::new();
    for path in sources(&src) {
        let inside = path.strip_prefix(&src).expect("it was found there");
        let module =
            inside.iter().next().and_then(|part| Path::new(part).file_stem()).and_then(|part| part.to_str());
        let module = module.expect("a source file has a name").to_owned();
        if ["main", "lib"].contains(&module.as_str()) {
            continue;
        }
        let row = TABLE.iter().find(|(name, _)| *name == module);
        let (_, allowed) = row.unwrap_or_else(|| panic!("`{module}` is not in the table"));
        let text = fs::read_to_string(&path).expect("a source file is text");
        for (at, line) in text.lines().enumerate() {
            for named in line.split("crate::").skip(1) {
                let named: String =
                    named.chars().take_while(|c| c.is_ascii_lowercase() || *c == '_').collect();
                let fits = named == module || allowed.contains(&named.as_str()) || allowed.contains(&"*");
                assert!(fits, "{}:{}: `{module}` may not import `{named}`", inside.display(), at + 1);
            }
        }
        seen.push(module);
    }
    for (name, _) in TABLE {
        assert!(seen.iter().any(|module| module == name), "`{name}` is in the table and not in src");
    }
}
