//! Tokens and money: rounded for tables and exact for CSV.

use crate::ledger::Tally;
use crate::pool::{Cost, Priced};
use crate::report::time::grouped;

/// `999`, `12.3k`, `1.2M`: about three digits.
// The lost precision is not shown.
#[allow(clippy::cast_precision_loss)]
pub(super) fn short(number: u64) -> String {
    if number < 1000 {
        return number.to_string();
    }
    let mut value = number as f64;
    for unit in ["k", "M", "B"] {
        value /= 1000.0;
        if value < 99.95 {
            return format!("{value:.1}{unit}");
        }
        if value < 999.5 {
            return format!("{value:.0}{unit}");
        }
    }
    format!("{:.1}T", value / 1000.0)
}

/// The cost of some tokens, as far as their prices are known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in super::super) enum Worth {
    NoTokens,
    Priced(Priced),
    /// Only some of the tokens have a price.
    Partly(Priced),
    Unpriced,
}

impl Worth {
    pub(in super::super) fn of(tally: &Tally) -> Self {
        let cost = Priced { cost: tally.cost, is_estimate: !tally.estimated.is_none() };
        match (tally.cost.is_none(), tally.unpriced) {
            (true, 0) if tally.tokens.is_none() => Self::NoTokens,
            (_, 0) => Self::Priced(cost),
            // A cost of 0 is not always unpriced: some of the tokens may have the price 0.
            (true, unpriced) if unpriced >= tally.tokens.all() => Self::Unpriced,
            _ => Self::Partly(cost),
        }
    }

    /// The known part of the cost; `None` if there are tokens and none of them has a price.
    pub(in super::super) fn known(self) -> Option<Cost> {
        match self {
            Self::NoTokens => Some(Cost::default()),
            Self::Priced(priced) | Self::Partly(priced) => Some(priced.cost),
            Self::Unpriced => None,
        }
    }

    /// Whether `text` contains an amount of money.
    pub(super) fn is_shown(self) -> bool {
        matches!(self, Self::Priced(_) | Self::Partly(_))
    }

    pub(super) fn text(self) -> String {
        match self {
            Self::NoTokens => String::new(),
            Self::Priced(priced) => amount(priced),
            Self::Partly(priced) => format!("{} + unpriced", amount(priced)),
            Self::Unpriced => "unpriced".to_owned(),
        }
    }

    /// The text for a narrow column.
    pub(super) fn brief(self) -> String {
        match self {
            Self::Partly(priced) => format!("{}+", amount(priced)),
            other => other.text(),
        }
    }
}

/// One cent in picodollars, the unit of `Cost`.
const CENT: u128 = 10_000_000_000;

/// `$1.20`, or `~$1.20` if any of it is an estimate.
fn amount(priced: Priced) -> String {
    format!("{}{}", if priced.is_estimate { "~" } else { "" }, dollars(priced.cost))
}

/// `$1,234.56`.
fn dollars(cost: Cost) -> String {
    let cents = cost.0.saturating_add(CENT / 2) / CENT;
    if cents == 0 && cost != Cost::default() {
        return "<$0.01".to_owned();
    }
    format!("${}.{:02}", grouped(u64::try_from(cents / 100).unwrap_or(u64::MAX)), cents % 100)
}

/// `0.000003`: US dollars with all digits, at least two of them after the point.
pub(super) fn exact(cost: Cost) -> String {
    let digits = format!("{:012}", cost.0 % (CENT * 100));
    let (cents, rest) = digits.split_at(2);
    format!("{}.{cents}{}", cost.0 / (CENT * 100), rest.trim_end_matches('0'))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pool::TokenCount;

    #[test]
    fn tokens_are_shown_with_about_three_digits() {
        let numbers = [0, 999, 1000, 12_345, 99_949, 99_950, 999_499, 999_500, 1_234_567, 2_000_000_000];
        let shown = ["0", "999", "1.0k", "12.3k", "99.9k", "100k", "999k", "1.0M", "1.2M", "2.0B"];
        assert_eq!(numbers.map(short), shown);
        assert_eq!(short(u64::MAX), "18446744.1T");
    }

    #[test]
    fn money_is_rounded_to_cents_in_tables_and_exact_in_csv() {
        let costs = [0, 1, 4_999_999_999, 5_000_000_000, 12_340_000_000_000, 1_234_567_891_000_000];
        assert_eq!(
            costs.map(|cost| dollars(Cost(cost))),
            ["$0.00", "<$0.01", "<$0.01", "$0.01", "$12.34", "$1,234.57"]
        );
        assert_eq!(
            costs.map(|cost| exact(Cost(cost))),
            ["0.00", "0.000000000001", "0.004999999999", "0.005", "12.34", "1234.567891"]
        );
    }

    #[test]
    fn a_cost_is_known_partly_known_or_unknown() {
        let tally = |tokens, unpriced, cost, estimated| Tally {
            tokens: TokenCount { input_tokens: tokens, ..TokenCount::default() },
            unpriced,
            cost: Cost(cost),
            estimated: Cost(estimated),
            ..Tally::default()
        };
        let priced = |cost, is_estimate| Priced { cost: Cost(cost), is_estimate };
        let cost = 1_200_000_000_000;
        for (tally, worth, text, brief) in [
            (tally(0, 0, 0, 0), Worth::NoTokens, "", ""),
            (tally(9, 0, 0, 0), Worth::Priced(priced(0, false)), "$0.00", "$0.00"),
            (tally(9, 0, cost, 0), Worth::Priced(priced(cost, false)), "$1.20", "$1.20"),
            (tally(9, 0, cost, 1), Worth::Priced(priced(cost, true)), "~$1.20", "~$1.20"),
            (tally(9, 4, cost, 0), Worth::Partly(priced(cost, false)), "$1.20 + unpriced", "$1.20+"),
            (tally(9, 4, cost, 1), Worth::Partly(priced(cost, true)), "~$1.20 + unpriced", "~$1.20+"),
            (tally(9, 4, 0, 0), Worth::Partly(priced(0, false)), "$0.00 + unpriced", "$0.00+"),
            (tally(9, 9, 0, 0), Worth::Unpriced, "unpriced", "unpriced"),
        ] {
            let got = Worth::of(&tally);
            assert_eq!((got, got.text().as_str(), got.brief().as_str()), (worth, text, brief));
            assert_eq!(got.known().is_none(), worth == Worth::Unpriced);
        }
    }
}
