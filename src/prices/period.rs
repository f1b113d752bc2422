//! The prices of a model in one period of time, as they are written in a table: US dollars for a million tokens.

use jiff::civil::Date;
use serde::de::Error;
use serde::{Deserialize, Deserializer};
use toml::value::Datetime;

use crate::pool::{Cost, LONG_PROMPTS, PromptLength, TokenCount};

/// No price is as high: a million dollars for a million tokens.
const HIGHEST: f64 = 1e6;

/// What a model costs from one day to another.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(try_from = "Entry")]
pub struct Period {
    /// The first day; the beginning of time where it is not said.
    from: Date,
    /// The last day.
    until: Date,
    usual: Rates,
    /// From which length of a prompt on other rates hold, for all tokens of the request.
    long: Option<(u64, Rates)>,
}

/// Picodollars per token, which are dollars per million tokens times a million; `None` where not known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Rates {
    input: Option<u64>,
    output: Option<u64>,
    cache_read: Option<u64>,
    cache_write_5m: Option<u64>,
    cache_write_1h: Option<u64>,
}

impl Period {
    pub(super) fn covers(&self, day: Date) -> bool {
        self.from <= day && day <= self.until
    }

    /// Whether there is a day that both cover.
    fn overlaps(&self, other: &Self) -> bool {
        self.from.max(other.from) <= self.until.min(other.until)
    }

    /// `None` where there are tokens of a kind whose price is not known.
    pub(super) fn cost(&self, prompt: PromptLength, count: &TokenCount) -> Option<Cost> {
        let rates = match &self.long {
            Some((above, rates)) if prompt.is_above(*above) => rates,
            _ => &self.usual,
        };
        // What the model said to itself is part of the output.
        let kinds = [
            (count.input_tokens, rates.input),
            (count.output_tokens, rates.output),
            (count.cache_read_tokens, rates.cache_read),
            (count.cache_write_5m_tokens, rates.cache_write_5m),
            (count.cache_write_1h_tokens, rates.cache_write_1h),
        ];
        let mut cost = 0u128;
        for (tokens, rate) in kinds.into_iter().filter(|(tokens, _)| *tokens > 0) {
            cost += u128::from(tokens) * u128::from(rate?);
        }
        Some(Cost(cost))
    }
}

/// Whether there is a day on which a model would have two prices.
pub fn overlap(periods: &[Period]) -> bool {
    let mut rest = periods.iter();
    while let Some(period) = rest.next() {
        if rest.clone().any(|other| period.overlaps(other)) {
            return true;
        }
    }
    false
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Entry {
    #[serde(deserialize_with = "price")]
    input: Option<u64>,
    #[serde(deserialize_with = "price")]
    output: Option<u64>,
    #[serde(default, deserialize_with = "price")]
    cache_read: Option<u64>,
    #[serde(default, deserialize_with = "price")]
    cache_write_5m: Option<u64>,
    #[serde(default, deserialize_with = "price")]
    cache_write_1h: Option<u64>,
    #[serde(default, deserialize_with = "day")]
    from: Option<Date>,
    #[serde(default, deserialize_with = "day")]
    until: Option<Date>,
    long: Option<Long>,
}

/// What is left out here costs as much as in a short prompt.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Long {
    #[serde(deserialize_with = "bound")]
    above: u64,
    #[serde(default, deserialize_with = "price")]
    input: Option<u64>,
    #[serde(default, deserialize_with = "price")]
    output: Option<u64>,
    #[serde(default, deserialize_with = "price")]
    cache_read: Option<u64>,
    #[serde(default, deserialize_with = "price")]
    cache_write_5m: Option<u64>,
    #[serde(default, deserialize_with = "price")]
    cache_write_1h: Option<u64>,
}

impl TryFrom<Entry> for Period {
    type Error = String;

    fn try_from(entry: Entry) -> Result<Self, String> {
        let usual = Rates {
            input: entry.input,
            output: entry.output,
            cache_read: entry.cache_read,
            cache_write_5m: entry.cache_write_5m,
            cache_write_1h: entry.cache_write_1h,
        };
        let long = entry.long.map(|long| {
            let rates = Rates {
                input: long.input.or(usual.input),
                output: long.output.or(usual.output),
                cache_read: long.cache_read.or(usual.cache_read),
                cache_write_5m: long.cache_write_5m.or(usual.cache_write_5m),
                cache_write_1h: long.cache_write_1h.or(usual.cache_write_1h),
            };
            (long.above, rates)
        });
        let (from, until) = (entry.from.unwrap_or(Date::MIN), entry.until.unwrap_or(Date::MAX));
        if until < from {
            return Err(format!("`until` ({until}) is before `from` ({from})"));
        }
        Ok(Self { from, until, usual, long })
    }
}

/// Dollars per million tokens.
fn price<'de, D: Deserializer<'de>>(from: D) -> Result<Option<u64>, D::Error> {
    let dollars = f64::deserialize(from)?;
    if !(0.0..=HIGHEST).contains(&dollars) {
        return Err(D::Error::custom(format!("{dollars} is not a price in US dollars per million tokens")));
    }
    // It is not negative, and at most 10^12.
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
    let picodollars = (dollars * 1e6).round() as u64;
    Ok(Some(picodollars))
}

/// One of the lengths by which requests are told apart: for others it is not known which they were.
fn bound<'de, D: Deserializer<'de>>(from: D) -> Result<u64, D::Error> {
    let tokens = i64::deserialize(from)?;
    let known = u64::try_from(tokens).ok().filter(|tokens| LONG_PROMPTS.contains(tokens));
    known.ok_or_else(|| {
        let known = LONG_PROMPTS.map(|bound| bound.to_string()).join(", ");
        D::Error::custom(format!("a prompt can be long above {known} tokens, not above {tokens}"))
    })
}

fn day<'de, D: Deserializer<'de>>(from: D) -> Result<Option<Date>, D::Error> {
    let written = Datetime::deserialize(from)?;
    let refused = || D::Error::custom(format!("{written} is not a day such as 2026-10-01"));
    let (Some(date), None) = (written.date, written.time) else { return Err(refused()) };
    let parts = (i16::try_from(date.year), i8::try_from(date.month), i8::try_from(date.day));
    let (Ok(year), Ok(month), Ok(day)) = parts else { return Err(refused()) };
    Date::new(year, month, day).map(Some).map_err(|_| refused())
}
