//! Totals: what ran and was used in the local day and month, of a subscription or of a namespace.

use std::collections::BTreeMap;

use jiff::civil::Date;
use serde::{Deserialize, Serialize, Serializer};

use super::{Cost, Moment, Slice, TokenCount, Usage};

/// What slices of a usage would have cost at the provider's public prices; those without a price are not there.
pub type Costs = BTreeMap<Slice, Cost>;

/// Totals of one local day.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Today {
    pub date: Date,
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
    let TokenCount {
        input_tokens,
        output_tokens,
        cache_read_tokens,
        cache_write_5m_tokens,
        cache_write_1h_tokens,
        reasoning_tokens,
    } = *tokens;
    let kinds = [
        ("input_tokens", input_tokens),
        ("output_tokens", output_tokens),
        ("cache_read_tokens", cache_read_tokens),
        ("cache_write_5m_tokens", cache_write_5m_tokens),
        ("cache_write_1h_tokens", cache_write_1h_tokens),
        ("reasoning_tokens", reasoning_tokens),
    ];
    to.collect_map(kinds.into_iter().filter(|(_, count)| *count > 0))
}

impl Today {
    /// What is known of this day; yesterday's totals are not today's.
    pub(super) fn at(known: Option<&Self>, moment: &Moment) -> Self {
        let fresh = || Self {
            date: moment.today,
            runs: 0,
            tokens: TokenCount::default(),
            cost: Cost::default(),
            unpriced: 0,
        };
        known.filter(|known| known.date == moment.today).cloned().unwrap_or_else(fresh)
    }

    /// Adds what was used on this day: an attempt may have begun on an earlier one.
    pub(super) fn book(&mut self, usage: &Usage, costs: &Costs, moment: &Moment) {
        for (slice, &count) in usage.slices.iter().filter(|(slice, _)| slice.hour >= moment.day_began) {
            self.tokens += count;
            match costs.get(slice) {
                Some(&cost) => self.cost += cost,
                None => self.unpriced = self.unpriced.saturating_add(count.all()),
            }
        }
    }
}

impl Month {
    /// What is known of this month.
    pub(super) fn at(known: Option<&Self>, moment: &Moment) -> Self {
        let fresh = Self { first: moment.today.first_of_month(), cost: Cost::default() };
        known.copied().filter(|known| known.first == fresh.first).unwrap_or(fresh)
    }

    /// Adds what was used in this month.
    pub(super) fn book(&mut self, costs: &Costs, moment: &Moment) {
        for (_, &cost) in costs.iter().filter(|(slice, _)| slice.hour >= moment.month_began) {
            self.cost += cost;
        }
    }
}

impl Totals {
    /// Today's totals.
    pub fn today(&self, moment: &Moment) -> Today {
        Today::at(self.today.as_ref(), moment)
    }

    /// This month's totals.
    pub fn month(&self, moment: &Moment) -> Month {
        Month::at(self.month.as_ref(), moment)
    }

    /// Whether they are of this month; older ones count for nothing.
    pub(super) fn are_current(&self, moment: &Moment) -> bool {
        let month = moment.today.first_of_month();
        self.month.is_some_and(|known| known.first == month)
            || self.today.as_ref().is_some_and(|known| known.date.first_of_month() == month)
    }

    /// Notes that a run begins.
    pub(super) fn count_run(&mut self, moment: &Moment) {
        let mut today = self.today(moment);
        today.runs = today.runs.saturating_add(1);
        self.today = Some(today);
    }

    /// Notes what an attempt used.
    pub(super) fn book(&mut self, usage: &Usage, costs: &Costs, moment: &Moment) {
        let (mut today, mut month) = (self.today(moment), self.month(moment));
        today.book(usage, costs, moment);
        month.book(costs, moment);
        (self.today, self.month) = (Some(today), Some(month));
    }
}
