//! The prices of a model in one period of time, read from a table: US dollars per million tokens.

use jiff::civil::Date;
use serde::de::Error;
use serde::{Deserialize, Deserializer};
use toml::value::Datetime;

use crate::pool::{Cost, LONG_PROMPTS, Priced, PromptLength, TokenCount, token_kinds};

/// The highest accepted price, in US dollars per million tokens.
const HIGHEST: f64 = 1e6;

/// The prices of a model from one day to another.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(try_from = "Entry")]
pub struct Period {
    /// The first day; `Date::MIN` if the table has none.
    from: Date,
    /// The last day, included; `Date::MAX` if the table has none.
    until: Date,
    usual: Rates,
    /// The prompt length in tokens above which other rates apply, to all tokens of the request.
    long: Option<(u64, Rates)>,
}

/// Picodollars per token (US dollars per million tokens, times a million); `None` if unknown. One for each
/// kind of token that has a price, in the order of `TokenKind::ALL`.
type Rates = [Option<u64>; PRICED];

/// The index of the price of input tokens in `Rates`. Every period has one.
const INPUT: usize = 0;

impl Period {
    pub(super) fn covers(&self, day: Date) -> bool {
        self.from <= day && day <= self.until
    }

    /// Whether both periods cover the same day.
    fn overlaps(&self, other: &Self) -> bool {
        self.from.max(other.from) <= self.until.min(other.until)
    }

    /// Returns what the tokens cost. Cached tokens without a price are estimated at the price of input tokens.
    pub(super) fn cost(&self, prompt: PromptLength, count: &TokenCount) -> Option<Priced> {
        let rates = match &self.long {
            Some((above, rates)) if prompt.is_above(*above) => rates,
            _ => &self.usual,
        };
        let priced = count.by_kind().filter(|(kind, _)| kind.price.is_some()).map(|(_, tokens)| tokens);
        let (mut cost, mut is_estimate) = (0u128, false);
        for (tokens, rate) in priced.zip(rates).filter(|(tokens, _)| *tokens > 0) {
            is_estimate |= rate.is_none();
            cost += u128::from(tokens) * u128::from(rate.or(rates[INPUT])?);
        }
        Some(Priced { cost: Cost(cost), is_estimate })
    }
}

/// Whether two of the periods cover the same day, which would give a model two prices.
pub fn overlap(periods: &[Period]) -> bool {
    let mut rest = periods.iter();
    while let Some(period) = rest.next() {
        if rest.clone().any(|other| period.overlaps(other)) {
            return true;
        }
    }
    false
}

/// Defines an entry of a table: one key for the price of each kind of token that has one.
macro_rules! entries {
    ($($key:ident: $role:ident $(, price $price:ident $(($default:ident))?)?;)*) => {
        const PRICED: usize = [$($(stringify!($price),)?)*].len();

        #[derive(Deserialize)]
        #[serde(deny_unknown_fields)]
        struct Entry {
            $($(
                #[serde($($default,)? deserialize_with = "price")]
                $price: Option<u64>,
            )?)*
            #[serde(default, deserialize_with = "day")]
            from: Option<Date>,
            #[serde(default, deserialize_with = "day")]
            until: Option<Date>,
            long: Option<Long>,
        }

        /// A price that is left out here is the same as for a short prompt.
        #[derive(Deserialize)]
        #[serde(deny_unknown_fields)]
        struct Long {
            #[serde(deserialize_with = "bound")]
            above: u64,
            $($(
                #[serde(default, deserialize_with = "price")]
                $price: Option<u64>,
            )?)*
        }

        impl Entry {
            fn rates(&self) -> Rates {
                [$($(self.$price,)?)*]
            }
        }

        impl Long {
            fn rates(&self, usual: Rates) -> Rates {
                let [$($($price,)?)*] = usual;
                [$($(self.$price.or($price),)?)*]
            }
        }
    };
}

token_kinds!(entries);

impl TryFrom<Entry> for Period {
    type Error = String;

    fn try_from(entry: Entry) -> Result<Self, String> {
        let usual = entry.rates();
        let long = entry.long.map(|long| (long.above, long.rates(usual)));
        let (from, until) = (entry.from.unwrap_or(Date::MIN), entry.until.unwrap_or(Date::MAX));
        if until < from {
            return Err(format!("`until` ({until}) is before `from` ({from})"));
        }
        Ok(Self { from, until, usual, long })
    }
}

/// Reads US dollars per million tokens as picodollars per token.
fn price<'de, D: Deserializer<'de>>(from: D) -> Result<Option<u64>, D::Error> {
    let dollars = f64::deserialize(from)?;
    if !(0.0..=HIGHEST).contains(&dollars) {
        return Err(D::Error::custom(format!("{dollars} is not a price in US dollars per million tokens")));
    }
    // The value is between 0 and 10^12.
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
    let picodollars = (dollars * 1e6).round() as u64;
    Ok(Some(picodollars))
}

/// Reads a prompt length. It must be one of `LONG_PROMPTS`: usage distinguishes only these lengths.
fn bound<'de, D: Deserializer<'de>>(from: D) -> Result<u64, D::Error> {
    let tokens = i64::deserialize(from)?;
    let known = u64::try_from(tokens).ok().filter(|tokens| LONG_PROMPTS.contains(tokens));
    known.ok_or_else(|| {
        let known = LONG_PROMPTS.map(|bound| bound.to_string()).join(", ");
        D::Error::custom(format!("`above` must be one of {known} (tokens), not {tokens}"))
    })
}

fn day<'de, D: Deserializer<'de>>(from: D) -> Result<Option<Date>, D::Error> {
    let written = Datetime::deserialize(from)?;
    let refused = || D::Error::custom(format!("{written} is not a date such as 2026-10-01"));
    let (Some(date), None) = (written.date, written.time) else { return Err(refused()) };
    let parts = (i16::try_from(date.year), i8::try_from(date.month), i8::try_from(date.day));
    let (Ok(year), Ok(month), Ok(day)) = parts else { return Err(refused()) };
    Date::new(year, month, day).map(Some).map_err(|_| refused())
}
