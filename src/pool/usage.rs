//! Tokens by hour and model, and the cost of tokens.

use std::collections::BTreeMap;
use std::fmt;
use std::ops::AddAssign;

use jiff::{RoundMode, Timestamp, Unit, Zoned, ZonedRound};
use serde::{Deserialize, Serialize};

use super::TokenCount;

/// The lengths in tokens above which a price list charges a prompt as long.
pub const LONG_PROMPTS: [u64; 4] = [100_000, 128_000, 200_000, 272_000];

/// The length of a request's prompt, as precisely as price lists need it: how many of `LONG_PROMPTS` it
/// exceeds.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct PromptLength(pub u8);

impl PromptLength {
    fn of(request: &TokenCount) -> Self {
        let prompt = request.prompt();
        let above = LONG_PROMPTS.into_iter().filter(|&bound| prompt > bound).count();
        Self(u8::try_from(above).unwrap_or(u8::MAX))
    }

    /// Whether the prompt exceeds a bound, which must be one of `LONG_PROMPTS`.
    pub fn is_above(self, bound: u64) -> bool {
        LONG_PROMPTS.into_iter().take(self.0.into()).any(|known| known == bound)
    }
}

/// The name used for a model that the records do not name.
pub const UNKNOWN_MODEL: &str = "unknown";

/// The key under which tokens are counted. It determines the day they count on and their price.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Slice {
    /// The start of the hour in which the answer came, in the user's time zone.
    pub hour: Timestamp,
    pub model: String,
    pub prompt: PromptLength,
}

/// What an attempt used, according to the agent's own records.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Usage {
    /// The number of answers of the provider; 0 if nothing is known.
    pub requests: u64,
    pub slices: BTreeMap<Slice, TokenCount>,
}

impl Usage {
    /// Adds one answer of the provider.
    pub fn answered(&mut self, at: &Zoned, model: &str, count: TokenCount) {
        self.requests = self.requests.saturating_add(1);
        self.add(at, model, PromptLength::of(&count), count);
    }

    /// Adds the sum of several answers. Only the time of the last one is known.
    pub fn summed(&mut self, at: &Zoned, model: &str, count: TokenCount) {
        self.add(at, model, PromptLength::default(), count);
    }

    fn add(&mut self, at: &Zoned, model: &str, prompt: PromptLength, count: TokenCount) {
        if !count.is_none() {
            let model = if model.is_empty() { UNKNOWN_MODEL } else { model };
            let slice = Slice { hour: hour(at), model: model.to_owned(), prompt };
            *self.slices.entry(slice).or_default() += count;
        }
    }

    /// Returns the tokens by model.
    pub fn models(&self) -> BTreeMap<&str, TokenCount> {
        let mut models = BTreeMap::<_, TokenCount>::new();
        for (slice, &count) in &self.slices {
            *models.entry(slice.model.as_str()).or_default() += count;
        }
        models
    }

    pub fn total(&self) -> TokenCount {
        self.slices.values().copied().sum()
    }
}

/// Returns the start of the local hour.
fn hour(at: &Zoned) -> Timestamp {
    let down = ZonedRound::new().smallest(Unit::Hour).mode(RoundMode::Trunc);
    at.round(down).map_or(at.timestamp(), |hour| hour.timestamp())
}

/// What tokens would have cost at the provider's public prices, in picodollars (10^-12 US dollars). A price
/// per million tokens is a whole number of picodollars per token.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Cost(pub u128);

impl Cost {
    pub fn is_none(&self) -> bool {
        *self == Self::default()
    }

    /// Converts US dollars. Returns `None` below 0.000001 and above 10^9, which can only be a typing mistake.
    // The product is positive and at most 10^21, where the steps of f64 are far below a cent.
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
    pub fn from_dollars(dollars: f64) -> Option<Self> {
        let fits = (1e-6..=1e9).contains(&dollars);
        fits.then(|| Self((dollars * 1e12).round() as u128))
    }

    /// Returns US dollars for display.
    // The rounding error is far below a cent.
    #[allow(clippy::cast_precision_loss)]
    pub fn dollars(self) -> f64 {
        self.0 as f64 / 1e12
    }
}

impl fmt::Display for Cost {
    /// Writes `5.00 USD`: two decimals, or all that the amount has.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let decimals = format!("{:012}", self.0 % 1_000_000_000_000);
        let (cents, rest) = decimals.split_at(2);
        write!(f, "{}.{cents}{} USD", self.0 / 1_000_000_000_000, rest.trim_end_matches('0'))
    }
}

impl AddAssign for Cost {
    fn add_assign(&mut self, more: Self) {
        self.0 = self.0.saturating_add(more.0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> Zoned {
        text.parse().unwrap()
    }

    fn prompt(tokens: u64) -> TokenCount {
        TokenCount { cache_read_tokens: tokens, ..TokenCount::default() }
    }

    #[test]
    fn answers_are_summed_by_hour_model_and_length_of_prompt() {
        let mut usage = Usage::default();
        usage.answered(&at("2026-11-22T10:05:00[UTC]"), "a", prompt(5));
        usage.answered(&at("2026-11-22T10:59:59.9[UTC]"), "a", prompt(7));
        usage.answered(&at("2026-11-22T11:00:00[UTC]"), "a", prompt(1));
        usage.answered(&at("2026-11-22T11:00:00[UTC]"), "a", prompt(200_001));
        usage.answered(&at("2026-11-22T11:00:00[UTC]"), "b", TokenCount::default());
        let slices: Vec<_> = usage
            .slices
            .iter()
            .map(|(slice, count)| {
                (slice.hour.to_string(), slice.model.as_str(), slice.prompt.0, count.cache_read_tokens)
            })
            .collect();
        let expected = [
            ("2026-11-22T10:00:00Z".to_owned(), "a", 0, 12),
            ("2026-11-22T11:00:00Z".to_owned(), "a", 0, 1),
            ("2026-11-22T11:00:00Z".to_owned(), "a", 3, 200_001),
        ];
        assert_eq!(slices, expected);
        assert_eq!(usage.requests, 5);
        assert_eq!(usage.total(), prompt(200_014));
        assert_eq!(usage.models(), BTreeMap::from([("a", prompt(200_014))]));
    }

    #[test]
    fn a_model_without_a_name_is_unknown() {
        let mut usage = Usage::default();
        usage.answered(&at("2026-11-22T10:05:00[UTC]"), "", prompt(5));
        assert_eq!(usage.models(), BTreeMap::from([(UNKNOWN_MODEL, prompt(5))]));
    }

    #[test]
    fn an_hour_begins_by_the_users_clock() {
        for (time, begins) in [
            ("2026-11-22T10:29:00[Asia/Kolkata]", "2026-11-22T04:30:00Z"),
            ("2026-11-22T10:29:00[Asia/Kathmandu]", "2026-11-22T04:15:00Z"),
            // the hour that occurs twice when the clock is set back
            ("2026-10-25T02:30:00+01:00[Europe/Berlin]", "2026-10-25T01:00:00Z"),
            ("2026-10-25T02:30:00+02:00[Europe/Berlin]", "2026-10-25T00:00:00Z"),
            // an hour of ninety minutes
            ("2026-04-05T01:45:00+10:30[Australia/Lord_Howe]", "2026-04-04T14:00:00Z"),
        ] {
            assert_eq!(hour(&at(time)).to_string(), begins, "{time}");
        }
    }

    #[test]
    fn a_prompt_is_long_above_a_bound_and_not_at_it() {
        let length = |tokens| PromptLength::of(&prompt(tokens));
        assert!(!length(200_000).is_above(200_000) && length(200_000).is_above(128_000));
        assert!(length(200_001).is_above(200_000) && !length(200_001).is_above(272_000));
        assert!(length(u64::MAX).is_above(272_000) && !length(u64::MAX).is_above(7));
    }

    #[test]
    fn an_amount_of_dollars_is_exact_and_displayed_as_written() {
        for (dollars, shown) in
            [(5.0, "5.00 USD"), (0.1, "0.10 USD"), (12.345, "12.345 USD"), (1e9, "1000000000.00 USD")]
        {
            assert_eq!(Cost::from_dollars(dollars).unwrap().to_string(), shown);
        }
        for odd in [0.0, -1.0, f64::NAN, f64::INFINITY, 1e10, 1e-9] {
            assert_eq!(Cost::from_dollars(odd), None, "{odd}");
        }
        assert_eq!(Cost(1).to_string(), "0.000000000001 USD");
    }
}
