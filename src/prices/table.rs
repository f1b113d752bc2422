//! Prices by the names of models.

use std::collections::HashMap;

use super::Period;

/// Prices by the names of models.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Table {
    pub(super) models: HashMap<String, Vec<Period>>,
    /// What is in front of the `*`, the longest first.
    pub(super) families: Vec<(String, Vec<Period>)>,
}
