//! Errors on which code decides, with their exit status, and the one way kage speaks on stderr.

use std::fmt;
use std::io::Write as _;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};

/// kage's own exit statuses; every other one is the agent's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Status {
    /// A verb other than `exec` could not do its work.
    Failed = 1,
    /// Wrong usage or configuration.
    Usage = 2,
    /// No subscription is ready.
    NotReady = 75,
    /// kage failed before the agent started.
    BeforeStart = 125,
    /// The agent is there but cannot be executed.
    CannotExecute = 126,
    /// The agent was not found.
    NotFound = 127,
}

/// A failure with its exit status and the next command to type.
#[derive(Debug, Clone)]
pub struct Failure {
    pub status: Status,
    pub message: String,
    pub hint: Option<String>,
}

impl Failure {
    pub fn new(status: Status, message: impl Into<String>) -> Self {
        Self { status, message: message.into(), hint: None }
    }

    pub fn usage(message: impl Into<String>) -> Self {
        Self::new(Status::Usage, message)
    }

    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Failure {}

/// Says something on stderr: one line, `kage: ` in front. A closed stderr is not kage's concern.
pub fn say(message: impl fmt::Display) {
    let _ = writeln!(std::io::stderr(), "kage: {}", one_line(&message.to_string()));
}

/// Whether warnings are left out, since what they warn of is in the answer.
static HUSHED: AtomicBool = AtomicBool::new(false);

/// From now on nobody is warned on stderr.
pub fn hush_warnings() {
    HUSHED.store(true, Ordering::Relaxed);
}

/// Warns on stderr.
pub fn warn(message: impl fmt::Display) {
    if HUSHED.load(Ordering::Relaxed) {
        return;
    }
    say(format_args!("warning: {message}"));
}

/// What to type where nothing fits better: it looks at everything that kage needs.
const LAST_RESORT: &str = "kage doctor";

/// Shows the error that ends kage: one line, then a hint.
pub fn show(error: &anyhow::Error) {
    say(format_args!("{error:#}"));
    let hint = error.downcast_ref::<Failure>().and_then(|failure| failure.hint.as_deref());
    let hint = hint.filter(|hint| !hint.is_empty()).unwrap_or(LAST_RESORT);
    let _ = writeln!(std::io::stderr(), "hint: {}", one_line(hint));
}

/// Text from outside may hold line breaks and terminal escapes; neither reaches the terminal.
pub fn one_line(text: &str) -> String {
    harmless(text).trim().to_owned()
}

/// The same with the blanks around it.
pub fn harmless(text: &str) -> String {
    text.chars().map(|letter| if is_harmless(letter) { letter } else { ' ' }).collect()
}

/// Whether a letter is only itself: it does not steer the terminal (C0, C1), break the line, turn what stands around
/// it the other way, or hide in it. Joiners stay, for some scripts are written with them. Source: UAX #9, table 4;
/// the Unicode standard, 23.2-23.9.
pub fn is_harmless(letter: char) -> bool {
    let is_format = matches!(letter,
        '\u{ad}' | '\u{61c}' | '\u{180e}' | '\u{200b}' | '\u{200e}'..='\u{200f}' | '\u{2028}'..='\u{202e}'
        | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e007f}');
    !letter.is_control() && !is_format
}

/// A word as a shell would need it: a hint is typed, and a path may have been named by somebody else.
pub fn quoted(word: &str) -> String {
    in_quotes(word, &one_line(word))
}

/// A word as it is, or what is shown of it between quotes, where it needs them.
pub fn in_quotes(word: &str, shown: &str) -> String {
    let plain = |letter: char| letter.is_ascii_alphanumeric() || "-_./:=,@%+".contains(letter);
    if !word.is_empty() && word.chars().all(plain) {
        word.to_owned()
    } else {
        format!("'{}'", shown.replace('\'', r"'\''"))
    }
}

/// The same for a path.
pub fn quoted_path(path: &Path) -> String {
    quoted(&path.display().to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn escapes_and_line_breaks_do_not_reach_the_terminal() {
        assert_eq!(one_line("a\u{1b}[31mred\nb\u{9b}2J\r\n"), "a [31mred b 2J");
        assert_eq!(one_line("a\u{202e}b\u{2028}c\u{200b}d\u{e0041}e"), "a b c d e");
        assert_eq!(one_line("می\u{200c}خواهم é 仕事 👩\u{200d}💻"), "می\u{200c}خواهم é 仕事 👩\u{200d}💻");
    }
}
