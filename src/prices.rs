//! What tokens cost at the providers' public prices: a dated table, and the user's own on top.
//!
//! Called by the config, which reads the user's, and by whoever shows or limits a cost.

use jiff::civil::Date;

use crate::pool::{Cost, PromptLength, TokenCount};

/// All prices that are known.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Prices {}

/// The prices of one model, over time.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct OfModel {}

impl Prices {
    /// The prices of a model by the id in the agent's records; none where it is not in the table.
    pub(crate) fn of(&self, _model: &str) -> OfModel {
        OfModel {}
    }
}

impl OfModel {
    /// What the tokens would have cost on that day; `None` where no price is known for it.
    pub(crate) fn cost(&self, _day: Date, _prompt: PromptLength, _count: &TokenCount) -> Option<Cost> {
        None
    }
}
