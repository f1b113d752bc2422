//! What time it is, as the pool needs it: an instant, and the local day and month around it.

use jiff::civil::Date;
use jiff::tz::TimeZone;
use jiff::{Timestamp, Zoned};

/// An instant, with the local days and months that budgets and "today" count by.
#[derive(Debug, Clone)]
pub struct Moment {
    pub now: Timestamp,
    pub today: Date,
    pub(super) zone: TimeZone,
}

impl From<&Zoned> for Moment {
    fn from(zoned: &Zoned) -> Self {
        Self { now: zoned.timestamp(), today: zoned.date(), zone: zoned.time_zone().clone() }
    }
}

impl Moment {
    /// When a local day begins, which is not midnight where clocks are set forward then.
    pub(super) fn start_of(&self, day: Date) -> Timestamp {
        let start = day.to_zoned(self.zone.clone()).and_then(|day| day.start_of_day());
        // No time is beyond the calendar's end; a day or month there is as long as it has been.
        start.map_or(self.now, |start| start.timestamp())
    }

    /// When a local day ends.
    pub(super) fn end_of(&self, day: Date) -> Timestamp {
        day.tomorrow().map_or(self.now, |next| self.start_of(next))
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
            // a day that begins at one o'clock
            (
                "2026-03-08T12:00:00[America/Havana]",
                ["2026-03-08T05:00:00Z", "2026-03-09T04:00:00Z"],
                ["2026-03-01T05:00:00Z", "2026-04-01T04:00:00Z"],
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
            let today = moment.today;
            let (first, last) = (today.first_of_month(), today.last_of_month());
            assert_eq!(text([moment.start_of(today), moment.end_of(today)]), day, "{now}");
            assert_eq!(text([moment.start_of(first), moment.end_of(last)]), month, "{now}");
        }
    }
}
