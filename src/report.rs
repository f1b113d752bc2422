//! What kage shows: sentences, tables and JSON. Knows the pool; reads and decides nothing.

mod detect;
mod doctor;
mod metrics;
mod paint;
mod prompt;
mod ps;
mod said;
mod sentences;
mod status;
mod statusline;
mod table;
mod time;
mod tmux;
mod usage;
mod why;
pub mod width;

use std::fmt;
use std::io::{self, ErrorKind, Write as _};

use anyhow::{Context as _, Result};
use serde_json::Value;

use crate::engine::{print_hint, print_line};
use crate::error::{Failure, Notice};
use crate::terminal;
use crate::text;

pub use detect::{detected, detected_json};
pub use doctor::{Finding, Severity, findings, findings_json};
pub use metrics::{Metrics, metrics};
pub use paint::{for_terminal, trouble};
pub use prompt::{Readiness, prompt};
pub use ps::{below_home, running, running_json};
pub(crate) use said::sentence;
pub use sentences::{because, changed, command, dry_run, no_other, not_ready, refused};
pub use status::{Overview, details, details_json, list, pool_json};
pub use statusline::Segment;
pub use table::plain_table;
pub(crate) use table::{Narrowing, fitting_table};
pub use time::{counted, short, until};
pub use tmux::{tmux, tmux_trouble};
pub use usage::{Around, Charts, Terminal, Usage, is_of_one_day, nothing, page, table};
pub use why::{why, why_json};

/// The number in every JSON answer; keys are only ever added under it.
pub(crate) use crate::engine::SCHEMA;

/// Prints an answer. Colour goes where a terminal shows it; a reader that has gone away is no failure.
pub fn print(text: &str) -> Result<()> {
    let shown = text::terminal(text);
    let mut out = anstream::stdout().lock();
    let written = out.write_all(shown.as_bytes()).and_then(|()| out.flush());
    match written {
        Err(gone) if gone.kind() == ErrorKind::BrokenPipe => Ok(()),
        other => other.context("could not write to standard output"),
    }
}

/// Prints part of a line as it is, for a status line. A reader that has gone away is no failure.
pub(crate) fn print_part(text: &str) {
    let mut out = io::stdout();
    let _ = out.write_all(text.as_bytes()).and_then(|()| out.flush());
}

/// Prints one JSON object.
pub fn print_json(value: &Value) -> Result<()> {
    print(&format!("{}\n", text::json(format!("{value:#}"))))
}

/// One JSON object as a line, for a command.
pub fn json_line(value: &Value) -> String {
    text::json(value.to_string()) + "\n"
}

/// Whether the user's locale shows more than ASCII. Source: locale(7), the order of the variables.
fn shows_unicode() -> bool {
    let set = |name: &str| std::env::var(name).ok().filter(|value| !value.is_empty());
    let locale = set("LC_ALL").or_else(|| set("LC_CTYPE")).or_else(|| set("LANG"));
    locale.is_some_and(|locale| locale.to_lowercase().replace('-', "").contains("utf8"))
}

/// How wide the terminal is that shows an answer, where one does.
pub fn columns() -> Option<usize> {
    terminal::size(io::stdout()).map(|size| size.columns)
}

/// Says something on stderr: one line, `kage: ` in front.
pub(crate) fn say(message: impl fmt::Display) {
    print_line(message);
}

/// Warns on stderr.
pub(crate) fn warn(message: impl fmt::Display) {
    print_line(format_args!("warning: {message}"));
}

/// Says what a lower module has to report.
pub(crate) fn notices(notices: impl IntoIterator<Item = Notice>) {
    for notice in notices {
        if notice.is_warning {
            warn(&notice.message);
        } else {
            say(&notice.message);
        }
        if let Some(hint) = &notice.hint {
            print_hint(hint);
        }
    }
}

/// What to type where nothing fits better: it looks at everything that kage needs.
const LAST_RESORT: &str = "kage doctor";

/// Shows the error that ends kage: one line, then a hint.
pub(crate) fn failed(error: &anyhow::Error) {
    say(format_args!("{error:#}"));
    let hint = error.downcast_ref::<Failure>().and_then(|failure| failure.hint.as_deref());
    print_hint(hint.filter(|hint| !hint.is_empty()).unwrap_or(LAST_RESORT));
}

/// Prints text on stderr as it is, but for what could steer the terminal: a question, or its end.
pub(crate) fn ask(question: &str) {
    let _ = write!(io::stderr(), "{}", text::harmless(question));
}

/// Ends the line of a question.
pub(crate) fn end_question() {
    let _ = writeln!(io::stderr());
}

/// Whether a person can be asked something: standard input and standard error are a terminal.
pub fn can_ask() -> bool {
    use std::io::IsTerminal as _;
    io::stdin().is_terminal() && io::stderr().is_terminal()
}
