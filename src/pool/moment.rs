//! What time it is, as the pool needs it: an instant and the local day around it.

use jiff::civil::Date;
use jiff::{Timestamp, Zoned};

/// An instant, with the local day that budgets and "today" count by.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Moment {
    pub now: Timestamp,
    pub today: Date,
    /// When the local day ends.
    pub midnight: Timestamp,
}

impl From<&Zoned> for Moment {
    fn from(zoned: &Zoned) -> Self {
        let now = zoned.timestamp();
        let midnight = zoned.tomorrow().and_then(|day| day.start_of_day()).map_or(now, |day| day.timestamp());
        Self { now, today: zoned.date(), midnight }
    }
}
