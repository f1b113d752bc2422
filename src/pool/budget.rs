//! Budgets: what a subscription or a namespace may use in a day and in a month, and how far that is used up.

use jiff::Timestamp;

use super::totals::{Month, Today};
use super::{Cost, Moment, Name};

/// What may be used in a local day and in a month of the calendar; `None` is without end. Tokens are input and
/// output; a cost is API-equivalent.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Budgets {
    pub tokens_per_day: Option<u64>,
    pub cost_per_day: Option<Cost>,
    pub cost_per_month: Option<Cost>,
}

/// One of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Budget {
    TokensPerDay,
    CostPerDay,
    CostPerMonth,
}

impl Budget {
    /// The key in the config.
    pub fn key(self) -> &'static str {
        match self {
            Self::TokensPerDay => "tokens_per_day",
            Self::CostPerDay => "cost_per_day",
            Self::CostPerMonth => "cost_per_month",
        }
    }
}

/// Whose budget it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Owner {
    Subscription(Name),
    Namespace(Name),
}

/// How far one budget is used up.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Gauge {
    pub owner: Owner,
    pub budget: Budget,
    /// Tokens, or picodollars.
    pub used: u128,
    /// The same.
    pub most: u128,
    /// When the day or the month ends whose totals they are.
    pub until: Timestamp,
}

impl Gauge {
    /// 80 %: a subscription is then taken last.
    pub fn is_near(&self) -> bool {
        self.used.saturating_mul(5) >= self.most.saturating_mul(4)
    }

    /// 100 %.
    pub fn is_reached(&self) -> bool {
        self.used >= self.most
    }

    /// That it is reached, as a clause about its subscription.
    pub(super) fn clause(&self) -> String {
        let amount = match self.budget {
            Budget::TokensPerDay => format!("{} tokens", self.most),
            Budget::CostPerDay | Budget::CostPerMonth => format!("{} (API-equivalent)", Cost(self.most)),
        };
        let period = match self.budget {
            Budget::TokensPerDay | Budget::CostPerDay => "today",
            Budget::CostPerMonth => "this month",
        };
        match &self.owner {
            Owner::Subscription(_) => format!("its {amount} for {period} are used up"),
            Owner::Namespace(name) => {
                format!("the {amount} of the namespace `{name}` for {period} are used up")
            }
        }
    }
}

impl Budgets {
    /// Those that are set, and how far they are used up.
    pub(super) fn gauges(self, owner: &Owner, today: &Today, month: &Month, moment: &Moment) -> Vec<Gauge> {
        let (day, last_of_month) = (today.date, month.first.last_of_month());
        let tokens = (Budget::TokensPerDay, u128::from(today.tokens.tokens()), day);
        let all = [
            (tokens, self.tokens_per_day.map(u128::from)),
            ((Budget::CostPerDay, today.cost.0, day), self.cost_per_day.map(|cost| cost.0)),
            ((Budget::CostPerMonth, month.cost.0, last_of_month), self.cost_per_month.map(|cost| cost.0)),
        ];
        let gauge = |((budget, used, last), most): (_, Option<u128>)| {
            Some(Gauge { owner: owner.clone(), budget, used, most: most?, until: moment.end_of(last) })
        };
        all.into_iter().filter_map(gauge).collect()
    }
}

#[cfg(test)]
mod tests;
