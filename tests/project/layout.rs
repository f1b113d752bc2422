//! Checks the structure of the source: allowed imports, no cycles between files, which files print, and
//! sizes.

mod printing;
mod resolve;
mod source;

use std::collections::BTreeMap;
use std::path::Path;

use self::resolve::Crate;
use self::source::Source;

/// Each module with the modules of the crate that it may import.
const TABLE: &[(&str, &[&str])] = &[
    // Leaves.
    ("text", &[]),
    ("clock", &[]),
    ("secret", &[]),
    ("process", &[]),
    ("terminal", &[]),
    ("error", &[]),
    ("paths", &["error"]),
    ("files", &["error", "text"]),
    // Pure.
    ("pool", &[]),
    ("cli", &["pool"]),
    // What the engine uses.
    ("shell", &["text"]),
    ("agent", &["pool", "secret", "text"]),
    ("prices", &["pool"]),
    ("config", &["agent", "pool", "prices", "error", "files", "paths", "text"]),
    ("credentials", &["pool", "error", "files", "paths", "process", "secret"]),
    ("store", &["pool", "error", "files", "process"]),
    ("ledger", &["pool", "prices", "files"]),
    ("run", &["agent", "pool", "shell", "error", "process", "secret", "terminal", "text"]),
    // Runs.
    (
        "engine",
        &[
            "agent",
            "pool",
            "store",
            "ledger",
            "credentials",
            "prices",
            "config",
            "run",
            "error",
            "files",
            "paths",
            "process",
            "secret",
            "clock",
            "terminal",
            "text",
        ],
    ),
    // Everything that is shown. Of the engine it uses the values that describe what happened.
    ("report", &["engine", "agent", "pool", "ledger", "prices", "error", "terminal", "text"]),
    ("man", &["cli"]),
    ("help", &["cli", "terminal"]),
    ("complete", &["cli", "config", "paths", "pool"]),
    // The verbs. They use neither the store nor the ledger.
    (
        "cmd",
        &[
            "cli",
            "engine",
            "report",
            "config",
            "agent",
            "pool",
            "credentials",
            "run",
            "shell",
            "man",
            "help",
            "error",
            "files",
            "paths",
            "process",
            "secret",
            "clock",
            "terminal",
            "text",
        ],
    ),
];

/// The maximum number of lines of a file.
const LONGEST_FILE: usize = 400;
/// The maximum number of lines of a function, from its signature to its closing brace.
const LONGEST_FUNCTION: usize = 60;

fn sources() -> Vec<Source> {
    source::below(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src"))
}

/// The top-level module of a file; `None` for the root of the library and the program.
fn top(source: &Source) -> Option<&str> {
    source.module.first().map(String::as_str).filter(|top| *top != "main")
}

#[test]
fn modules_import_only_what_the_table_allows() {
    let table: BTreeMap<&str, &[&str]> = TABLE.iter().copied().collect();
    let mut seen = BTreeMap::new();
    for source in &sources() {
        let Some(module) = top(source) else { continue };
        let allowed = table.get(module).unwrap_or_else(|| panic!("`{module}` is not in the table"));
        for named in source.named_modules() {
            let fits = named == module || allowed.contains(&named.as_str());
            assert!(fits, "{}: `{module}` may not import `{named}`", source.path.display());
            seen.entry(module.to_owned()).or_insert_with(Vec::new).push(named);
        }
    }
    for (module, allowed) in TABLE {
        let named = seen.get(*module).cloned().unwrap_or_default();
        for one in *allowed {
            assert!(
                named.iter().any(|known| known == one),
                "`{module}` does not import `{one}`: remove it from the table"
            );
        }
    }
}

/// `UPDATE=1 cargo test --test project imports` rewrites the table in the page.
#[test]
fn the_architecture_page_shows_the_table_of_imports() {
    const PAGE: &str = "docs/ARCHITECTURE.md";
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(PAGE);
    let text = std::fs::read_to_string(&path).unwrap();
    let (before, rest) = text.split_once("<!-- imports -->\n").expect("the page has the mark");
    let (_, after) = rest.split_once("<!-- end of imports -->").expect("the page has the mark");
    let rows = TABLE.iter().map(|(module, allowed)| match allowed {
        [] => format!("| {module} | none |\n"),
        allowed => format!("| {module} | {} |\n", allowed.join(", ")),
    });
    let table: String = rows.collect();
    let table = format!("| module | may import |\n|---|---|\n{table}");
    let generated = format!("{before}<!-- imports -->\n{table}<!-- end of imports -->{after}");
    if std::env::var_os("UPDATE").is_some() {
        std::fs::write(&path, &generated).unwrap();
    }
    let current = std::fs::read_to_string(&path).unwrap();
    assert!(current == generated, "{PAGE} is out of date; UPDATE=1 cargo test --test project imports");
}

#[test]
fn the_table_has_no_cycles() {
    // Each row may name only rows above it.
    for (at, (module, allowed)) in TABLE.iter().enumerate() {
        for named in *allowed {
            assert!(
                TABLE[..at].iter().any(|(above, _)| above == named),
                "`{module}` is above `{named}` in the table"
            );
        }
    }
}

#[test]
fn there_is_no_cycle_between_files() {
    let cycles = Crate::of(sources()).cycles();
    let shown: Vec<_> = cycles.iter().map(|files| files.join(", ")).collect();
    assert!(cycles.is_empty(), "files that import each other:\n{}", shown.join("\n"));
}

#[test]
fn a_cycle_through_a_reexport_of_the_parent_is_found() {
    let file = |path: &str, text: &str| Source::parse(Path::new(path), text);
    let parent = "mod a;\nmod b;\npub use a::A;\npub use b::B;\nstruct Own;";
    let cyclic = [
        file("x.rs", parent),
        file("x/a.rs", "use super::B;\npub struct A(B);"),
        file("x/b.rs", "use crate::x::A;\npub struct B(Box<A>);"),
    ];
    assert_eq!(Crate::of(cyclic.into()).cycles(), [["x/a", "x/b"]]);
    let plain = [
        file("x.rs", parent),
        file("x/a.rs", "use super::B;\npub struct A(B);"),
        file("x/b.rs", "pub struct B;"),
    ];
    assert!(Crate::of(plain.into()).cycles().is_empty());
    let child =
        [file("x.rs", "mod a;\nuse a::A;\npub struct Own(A);"), file("x/a.rs", "pub struct A(super::Own);")];
    assert_eq!(Crate::of(child.into()).cycles(), [["x", "x/a"]]);
}

#[test]
fn results_are_not_nested() {
    let all = sources();
    let aliases: Vec<_> = all.iter().flat_map(Source::result_aliases).collect();
    let nested: Vec<_> = all.iter().flat_map(|source| source.nested_results(&aliases)).collect();
    assert!(nested.is_empty(), "a result within a result:\n{}", nested.join("\n"));
    let found =
        |text: &str| Source::parse(Path::new("x.rs"), text).nested_results(&["Answer".to_owned()]).len();
    assert_eq!(found("fn f() -> Result<Result<u8, u8>, u8> { todo() }"), 1);
    assert_eq!(found("fn f() -> io::Result<Option<Answer<u8>>> { todo() }"), 1);
    assert_eq!(found("struct S { at: Result<Vec<u8>, u8> }"), 0);
}

#[test]
fn only_the_listed_files_print() {
    let found: Vec<_> = sources().iter().flat_map(printing::prints).collect();
    assert!(found.is_empty(), "files that print and are not in the list:\n{}", found.join("\n"));
}

#[test]
fn files_and_functions_are_short() {
    let mut long = Vec::new();
    for source in sources() {
        let path = source.path.display();
        if source.lines > LONGEST_FILE {
            long.push(format!("{path} has {} lines", source.lines));
        }
        let functions = source.functions().into_iter().filter(|(_, lines)| *lines > LONGEST_FUNCTION);
        long.extend(functions.map(|(name, lines)| format!("{path}: {name} has {lines} lines")));
    }
    assert!(long.is_empty(), "{}", long.join("\n"));
}
