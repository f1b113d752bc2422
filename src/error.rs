//! Failures with an exit status, and notices. Nothing here prints.

use std::fmt;

/// The exit statuses of kage's own failures.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Status {
    /// A command other than `exec` failed.
    Failed = 1,
    /// The arguments or the configuration are invalid.
    Usage = 2,
    /// No subscription is ready.
    NotReady = 75,
    /// kage failed before the agent started.
    BeforeStart = 125,
    /// The agent was found but could not be executed.
    CannotExecute = 126,
    /// The agent was not found.
    NotFound = 127,
}

/// A failure with its exit status and a hint: the next command to type.
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

/// Something that the user should know although the command continues: one line and a hint.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Notice {
    pub message: String,
    pub hint: Option<String>,
    /// Whether something is wrong. Warnings are also shown with `--quiet`.
    pub is_warning: bool,
}

impl Notice {
    /// Returns a warning.
    pub fn new(message: impl Into<String>) -> Self {
        Self { message: message.into(), hint: None, is_warning: true }
    }

    /// Returns a notice that is not a warning.
    pub fn news(message: impl Into<String>) -> Self {
        Self { is_warning: false, ..Self::new(message) }
    }

    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }
}
