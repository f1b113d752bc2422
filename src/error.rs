//! Errors on which code decides, with their exit status, and notices. Nothing here prints.

use std::fmt;

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

/// Something that kept no call from its work, and that the user should know: one line, and what to type.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Notice {
    pub message: String,
    pub hint: Option<String>,
    /// Whether something is wrong, so that it is also said with `--quiet`.
    pub is_warning: bool,
}

impl Notice {
    /// A warning.
    pub fn new(message: impl Into<String>) -> Self {
        Self { message: message.into(), hint: None, is_warning: true }
    }

    /// News: nothing is wrong.
    pub fn news(message: impl Into<String>) -> Self {
        Self { is_warning: false, ..Self::new(message) }
    }

    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }
}
