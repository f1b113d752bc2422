//! The type of both price tables: the built-in one and the user's.

use std::collections::HashMap;

use super::Period;

/// Prices by model name.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Table {
    pub(super) models: HashMap<String, Vec<Period>>,
    /// The names that end in `*`, without it; the longest first.
    pub(super) families: Vec<(String, Vec<Period>)>,
}
