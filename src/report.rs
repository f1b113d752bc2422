//! What kage shows: sentences, tables and JSON. Knows the pool; reads and decides nothing.

mod detect;
mod doctor;
mod metrics;
mod paint;
mod prompt;
mod ps;
mod sentences;
mod status;
mod statusline;
mod table;
mod time;
mod tmux;
mod usage;
mod why;
pub mod width;

use std::io::{self, ErrorKind, Write as _};

use anyhow::{Context as _, Result};
use serde_json::Value;

use crate::text;

pub use detect::{detected, detected_json};
pub use doctor::{Finding, Severity, findings, findings_json};
pub use metrics::{Metrics, metrics};
pub use paint::{for_terminal, trouble};
pub use prompt::{Readiness, prompt};
pub use ps::{below_home, running, running_json};
pub use sentences::{because, changed, command, dry_run, no_other, not_ready, refused};
pub use status::{Overview, details, details_json, list, pool_json};
pub use statusline::Segment;
pub use table::plain_table;
pub use time::{counted, short, until};
pub use tmux::{tmux, tmux_trouble};
pub use usage::{Around, Charts, Terminal, Usage, is_of_one_day, nothing, page, table};
pub use why::{why, why_json};

/// The number in every JSON answer; keys are only ever added under it.
pub const SCHEMA: u32 = 1;

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
    let size = rustix::termios::tcgetwinsize(io::stdout()).ok()?;
    Some(size.ws_col.into()).filter(|&columns| columns > 0)
}

/// Whether a person can be asked something: standard input and standard error are a terminal.
pub fn can_ask() -> bool {
    use std::io::IsTerminal as _;
    io::stdin().is_terminal() && io::stderr().is_terminal()
}
