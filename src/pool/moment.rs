//! The current time as the pool needs it: an instant, with its local day and month.

use jiff::civil::Date;
use jiff::tz::TimeZone;
use jiff::{Timestamp, Zoned};

/// An instant, with the local date and time zone by which budgets and totals count.
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
    /// Returns when a local day begins. That is not midnight if clocks are set forward at midnight.
    pub(super) fn start_of(&self, day: Date) -> Timestamp {
        let start = day.to_zoned(self.zone.clone()).and_then(|day| day.start_of_day());
        // Beyond the end of the calendar there is no time: the day or month then begins or ends now.
        start.map_or(self.now, |start| start.timestamp())
    }

    /// Returns when a local day ends.
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
