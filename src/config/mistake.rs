//! A mistake that has no place in the text until it is looked for.

/// A mistake that only shows when the parts are put together: where, what, and how to fix it.
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
