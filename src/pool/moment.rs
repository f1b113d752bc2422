//! What time it is, as the pool needs it: an instant, and the local day and month around it.

use jiff::civil::Date;
use jiff::{Timestamp, Zoned};

/// An instant, with the local day and month that budgets and "today" count by.
#[derive(Debug, Clone, Copy)]
pub struct Moment {
    pub now: Timestamp,
    pub today: Date,
    /// When the local day began, which is not midnight where clocks were set forward then.
    pub day_began: Timestamp,
    /// When it ends.
    pub midnight: Timestamp,
    /// When the local month began.
    pub month_began: Timestamp,
    /// When it ends.
    pub month_ends: Timestamp,
}

impl From<&Zoned> for Moment {
    fn from(zoned: &Zoned) -> Self {
        let now = zoned.timestamp();
        // No time stands beyond the calendar's end; a day or month that does is as long as it has been.
        let start = |day: Result<Zoned, jiff::Error>| {
            day.and_then(|day| day.start_of_day()).map_or(now, |start| start.timestamp())
        };
        Self {
            now,
            today: zoned.date(),
            day_began: start(Ok(zoned.clone())),
            midnight: start(zoned.tomorrow()),
            month_began: start(zoned.first_of_month()),
            month_ends: start(zoned.last_of_month().and_then(|last| last.tomorrow())),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_day_and_a_month_begin_and_end_by_the_users_clock() {
        for (now, day, month) in [
            (
                "2026-11-22T23:30:00[UTC]",
                ["2026-11-22T00:00:00Z", "2026-11-23T00:00:00Z"],
                ["2026-11-01T00:00:00Z", "2026-12-01T00:00:00Z"],
            ),
            (
                "2026-12-31T12:00:00[Asia/Kolkata]",
                ["2026-12-30T18:30:00Z", "2026-12-31T18:30:00Z"],
                ["2026-11-30T18:30:00Z", "2026-12-31T18:30:00Z"],
            ),
            // the day on which clocks are set back, and its month
            (
                "2026-10-25T12:00:00[Europe/Berlin]",
                ["2026-10-24T22:00:00Z", "2026-10-25T23:00:00Z"],
                ["2026-09-30T22:00:00Z", "2026-10-31T23:00:00Z"],
            ),
        ] {
            let moment = Moment::from(&now.parse::<Zoned>().unwrap());
            let text = |at: [Timestamp; 2]| at.map(|at| at.to_string());
            assert_eq!(text([moment.day_began, moment.midnight]), day, "{now}");
            assert_eq!(text([moment.month_began, moment.month_ends]), month, "{now}");
        }
    }
}
