//! The kinds of tokens. Only this file lists them: a new kind is a field of `TokenCount` and a line of
//! `token_kinds`. The readers of the agents that report it must then read it, and `prices.toml` must hold its
//! price.

use std::iter::Sum;
use std::ops::AddAssign;

use serde::{Deserialize, Serialize};

/// The tokens of one model, by kind.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct TokenCount {
    /// Input tokens, without those read from the cache or written to it.
    pub input_tokens: u64,
    /// Output tokens, including reasoning tokens.
    pub output_tokens: u64,
    pub cache_read_tokens: u64,
    pub cache_write_5m_tokens: u64,
    pub cache_write_1h_tokens: u64,
    /// The part of the output that is reasoning, if the agent reports it separately.
    pub reasoning_tokens: u64,
}

/// Calls a macro with all kinds, each as `field: Role, price name (default);`.
///
/// Lines of the ledger hold the counts in this order, so a new kind must be added at the end. The price is
/// named as in a table of prices. A price marked `(default)` may be missing there, and is then unknown.
macro_rules! token_kinds {
    ($callback:ident) => {
        $callback! {
            input_tokens: Input, price input;
            output_tokens: Output, price output;
            cache_read_tokens: CacheRead, price cache_read (default);
            cache_write_5m_tokens: CacheWrite, price cache_write_5m (default);
            cache_write_1h_tokens: CacheWrite, price cache_write_1h (default);
            reasoning_tokens: PartOfOutput;
        }
    };
}
pub(crate) use token_kinds;

/// A kind of tokens.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TokenKind {
    /// The name of the field of `TokenCount`.
    pub key: &'static str,
    /// The name of its price; `None` for a kind that is part of another kind.
    pub price: Option<&'static str>,
    role: Role,
}

/// The role of tokens in a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Role {
    Input,
    Output,
    CacheRead,
    CacheWrite,
    /// Included in the output.
    PartOfOutput,
}

macro_rules! optional_name {
    () => {
        None
    };
    ($name:ident) => {
        Some(stringify!($name))
    };
}

macro_rules! list {
    ($($key:ident: $role:ident $(, price $price:ident $((default))?)?;)*) => {
        impl TokenKind {
            pub const ALL: [Self; [$(stringify!($key)),*].len()] = [
                $(Self { key: stringify!($key), price: optional_name!($($price)?), role: Role::$role }),*
            ];
        }

        impl TokenCount {
            /// Returns the counts in the order of `TokenKind::ALL`.
            pub fn counts(&self) -> [u64; TokenKind::ALL.len()] {
                let Self { $($key),* } = *self;
                [$($key),*]
            }
        }

        impl From<[u64; TokenKind::ALL.len()]> for TokenCount {
            fn from([$($key),*]: [u64; TokenKind::ALL.len()]) -> Self {
                Self { $($key),* }
            }
        }
    };
}

token_kinds!(list);

impl TokenCount {
    pub fn is_none(&self) -> bool {
        *self == Self::default()
    }

    /// Returns the count of each kind.
    pub fn by_kind(&self) -> impl Iterator<Item = (TokenKind, u64)> + use<> {
        TokenKind::ALL.into_iter().zip(self.counts())
    }

    fn of(&self, roles: &[Role]) -> u64 {
        let counts = self.by_kind().filter(|(kind, _)| roles.contains(&kind.role)).map(|(_, count)| count);
        counts.fold(0, u64::saturating_add)
    }

    /// Returns input plus output, which tables and budgets call "tokens".
    pub fn tokens(&self) -> u64 {
        self.of(&[Role::Input, Role::Output])
    }

    /// Returns the sum of all kinds.
    pub fn all(&self) -> u64 {
        self.of(&[Role::Input, Role::Output, Role::CacheRead, Role::CacheWrite])
    }

    /// Returns all tokens that were sent, cached or not: the length of a request's prompt.
    pub fn prompt(&self) -> u64 {
        self.of(&[Role::Input, Role::CacheRead, Role::CacheWrite])
    }

    /// Returns the tokens written to the cache.
    pub fn cache_written(&self) -> u64 {
        self.of(&[Role::CacheWrite])
    }

    /// Whether any tokens were read from the cache or written to it.
    pub fn has_cached(&self) -> bool {
        self.of(&[Role::CacheRead, Role::CacheWrite]) > 0
    }
}

impl AddAssign for TokenCount {
    fn add_assign(&mut self, more: Self) {
        let mut sums = self.counts();
        for (sum, more) in sums.iter_mut().zip(more.counts()) {
            *sum = sum.saturating_add(more);
        }
        *self = sums.into();
    }
}

impl Sum for TokenCount {
    fn sum<I: Iterator<Item = Self>>(counts: I) -> Self {
        counts.fold(Self::default(), |mut sum, count| {
            sum += count;
            sum
        })
    }
}

#[cfg(test)]
mod tests {
    use std::array;

    use super::*;

    /// Returns 1 of the first kind, 2 of the second, 4 of the third: each sum shows which kinds it includes.
    fn powers() -> TokenCount {
        array::from_fn(|index| 1 << index).into()
    }

    #[test]
    fn the_list_has_all_fields_of_a_count_in_order() {
        let written = serde_json::to_string(&powers()).unwrap();
        let listed = powers().by_kind().map(|(kind, count)| format!("\"{}\":{count}", kind.key));
        assert_eq!(written, format!("{{{}}}", listed.collect::<Vec<_>>().join(",")));
        assert_eq!(serde_json::from_str::<TokenCount>(&written).unwrap(), powers());
        assert!(
            written.starts_with(
                r#"{"input_tokens":1,"output_tokens":2,"cache_read_tokens":4,"cache_write_5m_tokens":8,"cache_write_1h_tokens":16,"reasoning_tokens":32"#
            ),
            "lines of the ledger hold the counts in this order: {written}"
        );
    }

    #[test]
    fn each_sum_includes_the_kinds_it_names() {
        let count = powers();
        let TokenCount { input_tokens, output_tokens, cache_read_tokens, .. } = count;
        let written = count.cache_write_5m_tokens + count.cache_write_1h_tokens;
        assert_eq!(count.tokens(), input_tokens + output_tokens);
        assert_eq!(count.prompt(), input_tokens + cache_read_tokens + written);
        assert_eq!(count.all(), input_tokens + output_tokens + cache_read_tokens + written);
        assert_eq!(count.cache_written(), written);
        assert_eq!(count.counts().into_iter().sum::<u64>(), count.all() + count.reasoning_tokens);
    }

    #[test]
    fn a_kind_has_a_price_unless_it_is_part_of_another() {
        for kind in TokenKind::ALL {
            assert_eq!(kind.price.is_none(), kind.role == Role::PartOfOutput, "{kind:?}");
        }
        let prices = TokenKind::ALL.into_iter().filter_map(|kind| kind.price);
        let priced: u64 =
            powers().by_kind().filter(|(kind, _)| kind.price.is_some()).map(|(_, count)| count).sum();
        assert_eq!(priced, powers().all());
        assert_eq!(
            prices.collect::<Vec<_>>()[..5],
            ["input", "output", "cache_read", "cache_write_5m", "cache_write_1h"]
        );
    }

    #[test]
    fn counts_are_added_by_kind_and_saturate() {
        let mut sum = powers();
        sum += powers();
        assert_eq!(sum.counts(), powers().counts().map(|count| 2 * count));
        sum += TokenCount::from(powers().counts().map(|_| u64::MAX));
        assert!(sum.counts().iter().all(|&count| count == u64::MAX));
        assert_eq!((sum.all(), sum.prompt(), sum.cache_written()), (u64::MAX, u64::MAX, u64::MAX));
    }

    #[test]
    fn has_cached_means_read_from_or_written_to_the_cache() {
        let cached = |count: TokenCount| count.has_cached();
        assert!(!cached(TokenCount {
            input_tokens: 1,
            output_tokens: 1,
            reasoning_tokens: 1,
            ..TokenCount::default()
        }));
        assert!(cached(TokenCount { cache_read_tokens: 1, ..TokenCount::default() }));
        assert!(cached(TokenCount { cache_write_5m_tokens: 1, ..TokenCount::default() }));
        assert!(cached(TokenCount { cache_write_1h_tokens: 1, ..TokenCount::default() }));
    }
}
