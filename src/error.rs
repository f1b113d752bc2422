//! Errors on which code decides, with their exit status, and the one way kage speaks on stderr.

use std::fmt;
use std::io::Write as _;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::text::one_line;

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
