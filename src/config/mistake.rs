//! A mistake in the config whose line is not known yet.

/// A mistake that is found only when the parts are combined: its key, the message, and how to fix it.
pub(super) struct Mistake {
    pub(super) key: Vec<String>,
    pub(super) message: String,
    pub(super) hint: String,
}

impl Mistake {
    pub(super) fn new(key: &[&str], message: impl Into<String>, hint: impl Into<String>) -> Self {
        let key = key.iter().map(|&part| part.to_owned()).collect();
        Self { key, message: message.into(), hint: hint.into() }
    }
}
