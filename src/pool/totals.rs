//! Totals: what a subscription or a namespace ran and used in the local day and month.

use std::collections::BTreeMap;

use jiff::civil::Date;
use jiff::fmt::serde::timestamp::second;
use jiff::{Timestamp, ToSpan as _};
use serde::{Deserialize, Serialize, Serializer};

use super::{Cost, Moment, Slice, TokenCount, Usage};

/// What each slice of a usage would have cost at the provider's public prices. Slices of unknown price are
/// missing.
pub type Costs = BTreeMap<Slice, Priced>;

/// What some tokens would have cost.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Priced {
    pub cost: Cost,
    /// Whether a price was missing and one of the same family, or of another kind of token, was used.
    pub is_estimate: bool,
}

impl Priced {
    /// The part that is an estimate.
    pub fn estimated(self) -> Cost {
        if self.is_estimate { self.cost } else { Cost::default() }
    }
}

/// Two correct clocks show dates at most this many days apart, because time zones span 26 hours.
const DAYS_APART: i64 = 2;

/// The totals of one local day.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Today {
    pub date: Date,
    /// When the day began, by the clock of the kage that first counted something on that day. Older versions
    /// did not store it.
    #[serde(default, skip_serializing_if = "Option::is_none", with = "second::optional")]
    pub began: Option<Timestamp>,
    pub runs: u64,
    #[serde(default, skip_serializing_if = "TokenCount::is_none", serialize_with = "without_zeros")]
    pub tokens: TokenCount,
    #[serde(default, skip_serializing_if = "Cost::is_none")]
    pub cost: Cost,
    /// The part of `cost` that is an estimate.
    #[serde(default, skip_serializing_if = "Cost::is_none")]
    pub estimated: Cost,
    /// Tokens of all kinds whose price is unknown; no cost includes them.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub unpriced: u64,
}

/// The totals of one calendar month.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Month {
    /// The first day of the month.
    pub first: Date,
    pub cost: Cost,
}

/// The totals of the latest day and month in which something ran.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Totals {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub today: Option<Today>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub month: Option<Month>,
}

// serde passes the fields by reference.
#[allow(clippy::trivially_copy_pass_by_ref)]
fn is_zero(count: &u64) -> bool {
    *count == 0
}

/// Omits kinds without tokens, which are most of them. This keeps the state small, which is read at each
/// start.
fn without_zeros<S: Serializer>(tokens: &TokenCount, to: S) -> Result<S::Ok, S::Error> {
    let kinds = tokens.by_kind().filter(|(_, count)| *count > 0);
    to.collect_map(kinds.map(|(kind, count)| (kind.key, count)))
}

/// Whether a stored day or month, which begins on `date`, counts now. `own` is the first day of the current
/// one by this kage's clock. An older day or month does not count; a later one does.
///
/// The stored one is later if another kage's clock is some minutes ahead or its time zone is farther east, or
/// if this kage books late. The totals of this kage's own day no longer exist then. Counting that day again
/// from zero would drop the totals of the later day and reopen the budgets of both days, again and again as
/// the kages alternate. So the later day is kept, and its totals and budgets count for all kages.
///
/// A date that no correct clock can show yet comes from a wrong clock. If it counted, nothing would be
/// counted until that date.
fn is_current(date: Date, own: Date, moment: &Moment) -> bool {
    (own..=moment.today.saturating_add(DAYS_APART.days())).contains(&date)
}

impl Today {
    /// Returns the totals of the current day: the known ones if they are current, else empty ones.
    pub(super) fn at(known: Option<&Self>, moment: &Moment) -> Self {
        let fresh = || Self {
            date: moment.today,
            began: None,
            runs: 0,
            tokens: TokenCount::default(),
            cost: Cost::default(),
            estimated: Cost::default(),
            unpriced: 0,
        };
        let known = known.filter(|known| is_current(known.date, moment.today, moment));
        let day = known.cloned().unwrap_or_else(fresh);
        Self { began: day.began.or_else(|| Some(moment.start_of(day.date))), ..day }
    }

    fn has_begun(&self, at: Timestamp) -> bool {
        self.began.is_none_or(|began| began <= at)
    }

    /// Counts a run that begins now. With a slow clock, it may begin on the previous day, which no longer
    /// counts.
    pub(super) fn count_run(known: &mut Option<Self>, moment: &Moment) {
        let mut today = Self::at(known.as_ref(), moment);
        if today.has_begun(moment.now) {
            today.runs = today.runs.saturating_add(1);
        }
        *known = Some(today);
    }

    /// Undoes a run that began at `since`. A run of an earlier day was not counted here.
    pub(super) fn undo_run(&mut self, since: Timestamp) {
        if self.has_begun(since) {
            self.runs = self.runs.saturating_sub(1);
        }
    }

    /// Adds what was used since the day began. The attempt may have begun on an earlier day.
    fn book(&mut self, usage: &Usage, costs: &Costs) {
        for (slice, &count) in &usage.slices {
            if !self.has_begun(slice.hour) {
                continue;
            }
            self.tokens += count;
            match costs.get(slice) {
                Some(priced) => {
                    self.cost += priced.cost;
                    self.estimated += priced.estimated();
                }
                None => self.unpriced = self.unpriced.saturating_add(count.all()),
            }
        }
    }
}

impl Month {
    /// Returns the totals of the current month: the known ones if they are current, else empty ones.
    pub(super) fn at(known: Option<&Self>, moment: &Moment) -> Self {
        let fresh = Self { first: moment.today.first_of_month(), cost: Cost::default() };
        known.copied().filter(|known| is_current(known.first, fresh.first, moment)).unwrap_or(fresh)
    }

    /// Adds what was used since the month began.
    fn book(&mut self, costs: &Costs, moment: &Moment) {
        let began = moment.start_of(self.first);
        for (_, priced) in costs.iter().filter(|(slice, _)| slice.hour >= began) {
            self.cost += priced.cost;
        }
    }
}

impl Totals {
    /// Returns the totals of the current day.
    pub fn today(&self, moment: &Moment) -> Today {
        Today::at(self.today.as_ref(), moment)
    }

    /// Returns the totals of the current month.
    pub fn month(&self, moment: &Moment) -> Month {
        Month::at(self.month.as_ref(), moment)
    }

    /// Whether the totals belong to a month that a correct clock can still show. Older totals are not used.
    pub(super) fn are_current(&self, moment: &Moment) -> bool {
        let month = moment.today.saturating_sub(DAYS_APART.days()).first_of_month();
        let is_current = |date: Date| is_current(date.first_of_month(), month, moment);
        self.month.is_some_and(|known| is_current(known.first))
            || self.today.as_ref().is_some_and(|known| is_current(known.date))
    }

    /// Counts a run that begins now.
    pub(super) fn count_run(&mut self, moment: &Moment) {
        Today::count_run(&mut self.today, moment);
    }

    /// Books what an attempt used.
    pub(super) fn book(&mut self, usage: &Usage, costs: &Costs, moment: &Moment) {
        let (mut today, mut month) = (self.today(moment), self.month(moment));
        today.book(usage, costs);
        month.book(costs, moment);
        (self.today, self.month) = (Some(today), Some(month));
    }
}

#[cfg(test)]
mod tests;
