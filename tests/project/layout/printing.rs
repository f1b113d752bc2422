//! Which files write to kage's own standard output and standard error.

use super::source::Source;

/// The files that may do so, and what they do.
const ALLOWED: &[(&str, &str)] = &[
    ("report.rs", "prints answers and the messages of verbs"),
    ("report/paint.rs", "checks whether standard output shows colors"),
    ("engine/voice.rs", "prints messages during a run"),
    ("engine/voice/banner.rs", "shows messages while a session owns the screen"),
    ("run/relay.rs", "relays the output of the agent"),
    ("run/screen.rs", "draws the frames of `status --watch`"),
    ("run/terminal.rs", "restores the terminal after an agent"),
    ("help.rs", "prints the help"),
    ("complete.rs", "prints completions for the shell"),
    ("credentials/keychain.rs", "passes a secret to the kage that started it"),
];

const MACROS: [&str; 5] = ["print", "println", "eprint", "eprintln", "dbg"];

/// The statements of a file that print although the file may not.
pub(super) fn prints(source: &Source) -> Vec<String> {
    let path = source.path.to_string_lossy();
    if ALLOWED.iter().any(|(allowed, _)| *allowed == path) {
        return Vec::new();
    }
    let is_print = |name: &&String| MACROS.contains(&name.as_str());
    let macros = source.macros.iter().filter(is_print).map(|name| format!("{path}: {name}!"));
    // Any file may check whether a stream is a terminal.
    let streams = source.code.split_inclusive("()").zip(source.code.split("()").skip(1));
    let written = streams.filter(|(before, after)| {
        let word = before.rsplit(|letter: char| !letter.is_alphanumeric() && !"_()".contains(letter)).next();
        let names = matches!(word, Some("stdout()" | "stderr()"));
        names && !after.trim_start().starts_with(".is_terminal")
    });
    macros.chain(written.map(|_| format!("{path}: names a standard stream"))).collect()
}
