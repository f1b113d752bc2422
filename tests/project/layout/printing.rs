//! Who writes on kage's own standard output and standard error.

use super::source::Source;

/// The files that may, and why.
const ALLOWED: &[(&str, &str)] = &[
    ("report.rs", "answers, and what verbs say"),
    ("report/paint.rs", "asks whether standard output shows colors"),
    ("engine/voice.rs", "what is said while kage works"),
    ("engine/voice/banner.rs", "what is shown while a session owns the screen"),
    ("run/relay.rs", "passes on what the agent prints"),
    ("run/screen.rs", "draws the frames of `status --watch`"),
    ("run/terminal.rs", "puts the terminal back after an agent"),
    ("help.rs", "the help"),
    ("complete.rs", "answers the shell's completion"),
    ("credentials/keychain.rs", "hands a secret to the kage that started it"),
    ("start.rs", "opens streams that were closed"),
];

const MACROS: [&str; 5] = ["print", "println", "eprint", "eprintln", "dbg"];

/// The places of a file that print and may not.
pub(super) fn prints(source: &Source) -> Vec<String> {
    let path = source.path.to_string_lossy();
    if ALLOWED.iter().any(|(allowed, _)| *allowed == path) {
        return Vec::new();
    }
    let is_print = |name: &&String| MACROS.contains(&name.as_str());
    let macros = source.macros.iter().filter(is_print).map(|name| format!("{path}: {name}!"));
    // Whether a stream is a terminal may be asked anywhere.
    let streams = source.code.split_inclusive("()").zip(source.code.split("()").skip(1));
    let written = streams.filter(|(before, after)| {
        let word = before.rsplit(|letter: char| !letter.is_alphanumeric() && !"_()".contains(letter)).next();
        let names = matches!(word, Some("stdout()" | "stderr()"));
        names && !after.trim_start().starts_with(".is_terminal")
    });
    macros.chain(written.map(|_| format!("{path}: names a standard stream"))).collect()
}
