//! Shared by the parts of the page: the input of the charts and the card around each part.

use super::element::Element;
use crate::ledger::Answer;
use crate::pool::{Pool, State};

/// The input of the charts, in addition to the rows.
pub struct Charts<'a> {
    /// The query by day and subscription.
    pub over_time: &'a Answer,
    /// The query by model.
    pub models: &'a Answer,
    pub pool: &'a Pool,
    pub state: &'a State,
}

/// A section with a heading and a border.
pub(super) fn card(heading: &str) -> Element {
    Element::of("section", "card").child(Element::new("h2").text(heading))
}
