//! What the parts of the page share: the charts that they draw, and the card around each.

use super::element::Element;
use crate::ledger::Answer;
use crate::pool::{Pool, State};

/// What the charts show beside the rows.
pub struct Charts<'a> {
    /// By day and subscription.
    pub over_time: &'a Answer,
    /// By model.
    pub models: &'a Answer,
    pub pool: &'a Pool,
    pub state: &'a State,
}

pub(super) fn card(heading: &str) -> Element {
    Element::of("section", "card").child(Element::new("h2").text(heading))
}
