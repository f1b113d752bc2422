//! Totals: what ran and was used in the local day and month, of a subscription or of a namespace.

use std::collections::BTreeMap;

use jiff::civil::Date;
use jiff::fmt::serde::timestamp::second;
use jiff::{Timestamp, ToSpan as _};
use serde::{Deserialize, Serialize, Serializer};

use super::{Cost, Moment, Slice, TokenCount, Usage};

/// What slices of a usage would have cost at the provider's public prices; those without a price are not there.
pub type Costs = BTreeMap<Slice, Cost>;

/// Two clocks that are right show dates that are at most this many days apart: time zones span 26 hours.
const DAYS_APART: i64 = 2;

/// Totals of one local day.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Today {
    pub date: Date,
    /// When it began, by the clock of the kage that was the first to count on it. Older kages did not write it down.
    #[serde(default, skip_serializing_if = "Option::is_none", with = "second::optional")]
    pub began: Option<Timestamp>,
    pub runs: u64,
    #[serde(default, skip_serializing_if = "TokenCount::is_none", serialize_with = "without_zeros")]
    pub tokens: TokenCount,
    #[serde(default, skip_serializing_if = "Cost::is_none")]
    pub cost: Cost,
    /// Tokens of every kind whose price is not known: they are in no cost.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub unpriced: u64,
}

/// Totals of one month of the calendar.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Month {
    /// Its first day.
    pub first: Date,
    pub cost: Cost,
}

/// The totals of the day and the month in which something ran last.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Totals {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub today: Option<Today>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub month: Option<Month>,
}

// serde hands the fields over by reference.
#[allow(clippy::trivially_copy_pass_by_ref)]
fn is_zero(count: &u64) -> bool {
    *count == 0
}

/// The state is read at each start, and of most kinds there are no tokens.
fn without_zeros<S: Serializer>(tokens: &TokenCount, to: S) -> Result<S::Ok, S::Error> {
    let kinds = tokens.by_kind().filter(|(_, count)| *count > 0);
    to.collect_map(kinds.map(|(kind, count)| (kind.key, count)))
}

/// Whether the day or month that begins on `date` counts at a moment whose own begins on `own`: an older one does not,
/// a later one does.
///
/// It is later where another kage has a clock that is some minutes ahead or a time zone farther east, and where this one
/// books late. The moment's own day is over then, and its totals are gone. To count it again from nothing would lose
/// the totals of the later day and open the budgets of both, with each change from one to the other. So the later day
/// stays, and its totals and budgets are the ones that count for everybody.
///
/// A date that no right clock can show yet was left by a wrong one. Nothing would be counted until it comes.
fn is_current(date: Date, own: Date, moment: &Moment) -> bool {
    (own..=moment.today.saturating_add(DAYS_APART.days())).contains(&date)
}

impl Today {
    /// What is known of the day that counts; yesterday's totals are not today's.
    pub(super) fn at(known: Option<&Self>, moment: &Moment) -> Self {
        let fresh = || Self {
            date: moment.today,
            began: None,
            runs: 0,
            tokens: TokenCount::default(),
            cost: Cost::default(),
            unpriced: 0,
        };
        let known = known.filter(|known| is_current(known.date, moment.today, moment));
        let day = known.cloned().unwrap_or_else(fresh);
        Self { began: day.began.or_else(|| Some(moment.start_of(day.date))), ..day }
    }

    fn has_begun(&self, at: Timestamp) -> bool {
        self.began.is_none_or(|began| began <= at)
    }

    /// Notes that a run begins: by a clock that is behind, perhaps on the day before, which does not count any more.
    pub(super) fn count_run(known: &mut Option<Self>, moment: &Moment) {
        let mut today = Self::at(known.as_ref(), moment);
        if today.has_begun(moment.now) {
            today.runs = today.runs.saturating_add(1);
        }
        *known = Some(today);
    }

    /// Notes that what began then was no run; on an earlier day it was not counted here.
    pub(super) fn take_run_back(&mut self, since: Timestamp) {
        if self.has_begun(since) {
            self.runs = self.runs.saturating_sub(1);
        }
    }

    /// Adds what was used since the day began: an attempt may have begun on an earlier one.
    fn book(&mut self, usage: &Usage, costs: &Costs) {
        for (slice, &count) in &usage.slices {
            if !self.has_begun(slice.hour) {
                continue;
            }
            self.tokens += count;
            match costs.get(slice) {
                Some(&cost) => self.cost += cost,
                None => self.unpriced = self.unpriced.saturating_add(count.all()),
            }
        }
    }
}

impl Month {
    /// What is known of the month that counts.
    pub(super) fn at(known: Option<&Self>, moment: &Moment) -> Self {
        let fresh = Self { first: moment.today.first_of_month(), cost: Cost::default() };
        known.copied().filter(|known| is_current(known.first, fresh.first, moment)).unwrap_or(fresh)
    }

    /// Adds what was used since it began.
    fn book(&mut self, costs: &Costs, moment: &Moment) {
        let began = moment.start_of(self.first);
        for (_, &cost) in costs.iter().filter(|(slice, _)| slice.hour >= began) {
            self.cost += cost;
        }
    }
}

impl Totals {
    /// Those of the day that counts now.
    pub fn today(&self, moment: &Moment) -> Today {
        Today::at(self.today.as_ref(), moment)
    }

    /// Those of the month that counts now.
    pub fn month(&self, moment: &Moment) -> Month {
        Month::at(self.month.as_ref(), moment)
    }

    /// Whether they are of a month that some right clock still shows; older ones count for nothing.
    pub(super) fn are_current(&self, moment: &Moment) -> bool {
        let month = moment.today.saturating_sub(DAYS_APART.days()).first_of_month();
        let is_current = |date: Date| is_current(date.first_of_month(), month, moment);
        self.month.is_some_and(|known| is_current(known.first))
            || self.today.as_ref().is_some_and(|known| is_current(known.date))
    }

    /// Notes that a run begins.
    pub(super) fn count_run(&mut self, moment: &Moment) {
        Today::count_run(&mut self.today, moment);
    }

    /// Notes what an attempt used.
    pub(super) fn book(&mut self, usage: &Usage, costs: &Costs, moment: &Moment) {
        let (mut today, mut month) = (self.today(moment), self.month(moment));
        today.book(usage, costs);
        month.book(costs, moment);
        (self.today, self.month) = (Some(today), Some(month));
    }
}

#[cfg(test)]
mod tests;
