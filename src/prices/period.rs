//! The prices of a model in one period of time, as they are written in a table: US dollars for a million tokens.

use jiff::civil::Date;
use serde::de::Error;
use serde::{Deserialize, Deserializer};
use toml::value::Datetime;

use crate::pool::{Cost, LONG_PROMPTS, PromptLength, TokenCount, token_kinds};

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

/// Picodollars per token, which are dollars per million tokens times a million; `None` where not known. They are of the
/// kinds that have a price, in the order of `TokenKind::ALL`.
type Rates = [Option<u64>; PRICED];

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
        let priced = count.by_kind().filter(|(kind, _)| kind.price.is_some()).map(|(_, tokens)| tokens);
        let mut cost = 0u128;
        for (tokens, rate) in priced.zip(rates).filter(|(tokens, _)| *tokens > 0) {
            cost += u128::from(tokens) * u128::from((*rate)?);
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

/// What is written in a table: a key for the price of each kind that has one.
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

        /// What is left out here costs as much as in a short prompt.
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
