//! Everything that kage shows: sentences, tables, charts and JSON.
//!
//! Called by the verbs. It knows the pool and the ledger's answers; it reads no file and decides nothing.

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
pub use paint::{error_line, for_terminal};
pub use prompt::{Readiness, prompt};
pub use ps::{below_home, running, running_json};
pub(crate) use said::sentence;
pub use sentences::{changed, command, dry_run, no_other, not_ready, refused};
pub use status::{Overview, details, details_json, list, pool_json};
pub use statusline::Segment;
pub use table::plain_table;
pub(crate) use table::{Narrowing, fitting_table};
pub use time::{counted, short, until};
pub use tmux::{tmux, tmux_error};
pub use usage::{Charts, Extras, Terminal, Usage, is_single_day, no_usage, page, table};
pub use why::{why, why_json};

/// The version of every JSON answer. Within a version, keys are only added.
pub(crate) use crate::engine::SCHEMA;

/// Prints an answer on stdout. Color appears only on a terminal. A closed pipe is not an error.
pub fn print(text: &str) -> Result<()> {
    let shown = text::terminal(text);
    let mut out = anstream::stdout().lock();
    let written = out.write_all(shown.as_bytes()).and_then(|()| out.flush());
    match written {
        Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(()),
        other => other.context("could not write to standard output"),
    }
}

/// Prints part of a status line on stdout, unchanged. A closed pipe is not an error.
pub(crate) fn print_part(text: &str) {
    let mut out = io::stdout();
    let _ = out.write_all(text.as_bytes()).and_then(|()| out.flush());
}

/// Prints one JSON object on stdout.
pub fn print_json(value: &Value) -> Result<()> {
    print(&format!("{}\n", text::json(format!("{value:#}"))))
}

/// Whether the user's locale uses UTF-8. Source for the order of the variables: locale(7).
fn shows_unicode() -> bool {
    let set = |name: &str| std::env::var(name).ok().filter(|value| !value.is_empty());
    let locale = set("LC_ALL").or_else(|| set("LC_CTYPE")).or_else(|| set("LANG"));
    locale.is_some_and(|locale| locale.to_lowercase().replace('-', "").contains("utf8"))
}

/// The width of the terminal on stdout in columns; `None` if stdout is not a terminal.
pub fn columns() -> Option<usize> {
    terminal::size(io::stdout()).map(|size| size.columns)
}

/// Prints one line on stderr, with the prefix `kage: `.
pub(crate) fn say(message: impl fmt::Display) {
    print_line(message);
}

/// Prints a warning on stderr.
pub(crate) fn warn(message: impl fmt::Display) {
    print_line(format_args!("warning: {message}"));
}

/// Prints the notices of a lower module on stderr.
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

/// The hint for an error that has none: this verb checks everything that kage needs.
const DEFAULT_HINT: &str = "kage doctor";

/// Prints the error that ends kage on stderr: one line, then a hint.
pub(crate) fn failed(error: &anyhow::Error) {
    say(format_args!("{error:#}"));
    let hint = error.downcast_ref::<Failure>().and_then(|failure| failure.hint.as_deref());
    print_hint(hint.filter(|hint| !hint.is_empty()).unwrap_or(DEFAULT_HINT));
}

/// Whether kage can ask the user a question: stdin and stderr are terminals.
pub fn can_ask() -> bool {
    use std::io::IsTerminal as _;
    io::stdin().is_terminal() && io::stderr().is_terminal()
}
