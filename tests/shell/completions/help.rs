//! The help of each command, in a terminal of any width.

use std::fs;
use std::path::Path;

use rexpect::session::spawn_command;

use crate::support::{Call, Sandbox, kage};

/// The longest line, even in a wider terminal.
const WIDEST: usize = 100;
const WIDTHS: [usize; 6] = [40, 60, 79, 80, 100, 200];

/// The words of each command, from the checked-in man pages.
fn verbs() -> Vec<Vec<String>> {
    let pages = Path::new(env!("CARGO_MANIFEST_DIR")).join("completions/man");
    let names = fs::read_dir(pages).unwrap().flatten().map(|page| page.file_name());
    let words = names.map(|name| {
        let name = name.to_str().unwrap().trim_end_matches(".1").to_owned();
        name.split('-').skip(1).map(str::to_owned).collect()
    });
    let mut verbs: Vec<Vec<_>> = words.collect();
    verbs.sort();
    assert!(verbs.len() > 25, "{verbs:?}");
    verbs
}

/// The source of all command definitions.
fn sources() -> String {
    let cli = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/cli");
    let files = fs::read_dir(&cli).unwrap().flatten().map(|file| file.path());
    let files = files.chain([cli.with_extension("rs")]);
    files.map(|file| fs::read_to_string(file).unwrap()).collect()
}

fn help(sandbox: &Sandbox, verb: &[String], flag: &str) -> Call {
    sandbox.kage(verb.iter().map(String::as_str).chain([flag]))
}

/// Whether the source contains this line literally, such as an example.
fn is_kept(line: &str, sources: &str) -> bool {
    line.starts_with("  ") && sources.contains(&format!("/// {line}\n"))
}

fn columns(line: &str) -> usize {
    line.chars().count()
}

#[test]
fn help_fits_the_terminal_and_breaks_no_word() {
    let (sandbox, sources) = (Sandbox::new(), sources());
    for verb in verbs() {
        for flag in ["--help", "-h"] {
            let at = |width: usize| {
                let call = help(&sandbox, &verb, flag).env("COLUMNS", width.to_string());
                call.run().success().says("").stdout()
            };
            let words = |text: &str| text.split_whitespace().map(str::to_owned).collect::<Vec<_>>();
            let whole = at(WIDEST);
            for width in WIDTHS {
                let text = at(width);
                assert_eq!(words(&text), words(&whole), "{verb:?} at {width}");
                for line in text.lines() {
                    let is_word = line.split_whitespace().count() <= 1;
                    let fits = columns(line) <= width.min(WIDEST) || is_word || is_kept(line, &sources);
                    assert!(fits, "{verb:?} {flag} at {width}: {line}");
                    assert_eq!(line.trim_end(), line, "{verb:?} {flag} at {width}");
                }
            }
        }
    }
}

#[test]
fn help_uses_all_columns() {
    let (sandbox, sources) = (Sandbox::new(), sources());
    let mut seen = 0;
    for verb in verbs() {
        for width in WIDTHS {
            let text =
                help(&sandbox, &verb, "--help").env("COLUMNS", width.to_string()).run().success().stdout();
            let lines: Vec<_> = text.lines().collect();
            for pair in lines.windows(2) {
                let is_prose =
                    |line: &str| !line.is_empty() && !line.starts_with(' ') && !line.ends_with(':');
                if is_prose(pair[0]) && is_prose(pair[1]) {
                    let next = pair[1].split(' ').next().unwrap();
                    let room = width.min(WIDEST).saturating_sub(columns(pair[0]));
                    assert!(room <= columns(next), "{verb:?} at {width}: {}\n{}", pair[0], pair[1]);
                    seen += 1;
                }
            }
            // Examples are never wrapped, so they can be copied from any terminal.
            let (_, examples) = text.split_once("\nExamples:\n").unwrap();
            let examples: Vec<_> = examples.lines().take_while(|line| !line.is_empty()).collect();
            assert!(!examples.is_empty());
            for example in examples {
                assert!(is_kept(example, &sources), "{verb:?} at {width}: {example}");
            }
        }
    }
    assert!(seen > 500, "{seen}");
}

/// The output of a shell command at a terminal.
fn on_terminal(sandbox: &Sandbox, columns: usize, line: &str, variable: Option<&str>) -> String {
    let script = format!(
        "stty -onlcr cols {columns} rows 24; {}",
        line.replace("kage", &kage().display().to_string())
    );
    let mut call = sandbox.call("sh".as_ref(), ["-c", &script]).env("TERM", "xterm");
    if let Some(columns) = variable {
        call = call.env("COLUMNS", columns);
    }
    let shown = spawn_command(call.command, Some(20_000)).unwrap().exp_eof().unwrap();
    // Each character of this text is one byte of the output.
    String::from_utf8(shown.chars().map(|byte| u8::try_from(byte).unwrap()).collect()).unwrap()
}

#[test]
fn the_width_of_help_is_that_of_the_terminal() {
    let sandbox = Sandbox::new();
    let at = |columns: &str| {
        let call = sandbox.kage(["exec", "--help"]).env("COLUMNS", columns);
        call.run().success().stdout()
    };
    let alone = sandbox.kage(["exec", "--help"]).run().success().stdout();
    assert_eq!(alone, at("100"));
    assert!(at("60") != at("80") && at("80") != alone);
    for odd in ["0", "", "wide", "-5", "99999999999999999999"] {
        assert_eq!(at(odd), alone, "COLUMNS={odd}");
    }
    let help = "kage exec --help";
    for (columns, variable, line, expected) in [
        (60, None, help, "60"),
        (60, Some("40"), help, "60"),
        (200, None, help, "100"),
        // A terminal that does not report its size, such as a serial line.
        (0, None, help, "80"),
        (0, Some("60"), help, "80"),
        // A pager uses the same terminal.
        (60, None, "kage exec --help | cat", "60"),
        (0, None, "kage exec --help | cat", "80"),
        (60, None, "kage exec --help </dev/null 2>/dev/null | cat", "100"),
        (60, None, "kage exec --help </dev/null >/dev/null 2>&1; kage help exec", "60"),
    ] {
        let shown = on_terminal(&sandbox, columns, line, variable);
        assert_eq!(shown, at(expected), "{line} at {columns}, COLUMNS={variable:?}");
    }
    let missing = sandbox.kage(["subscription"]).env("COLUMNS", "40").run().status(2);
    assert_eq!(
        missing.stderr(),
        sandbox.kage(["subscription", "-h"]).env("COLUMNS", "40").run().success().stdout()
    );
    assert_eq!(missing.stdout(), "");
}
