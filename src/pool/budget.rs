//! Budgets: what a subscription or a namespace may use per day and month, and how much of it is used.

use jiff::Timestamp;

use super::totals::{Month, Today};
use super::{Cost, Moment, Name};

/// What may be used per local day and calendar month; `None` means no budget. Tokens are input and output
/// tokens; costs are API-equivalent.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Budgets {
    pub tokens_per_day: Option<u64>,
    pub cost_per_day: Option<Cost>,
    pub cost_per_month: Option<Cost>,
}

/// One of the budgets in `Budgets`.
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

/// The owner of a budget.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Owner {
    Subscription(Name),
    Namespace(Name),
}

/// How much of one budget is used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Gauge {
    pub owner: Owner,
    pub budget: Budget,
    /// Tokens or picodollars (10^-12 US dollars).
    pub used: u128,
    /// The budget, in the same unit.
    pub most: u128,
    /// When the day or the month of this budget ends.
    pub until: Timestamp,
}

impl Gauge {
    /// Whether 80 % or more is used. If it is a subscription's budget, the subscription then ranks last.
    pub fn is_near(&self) -> bool {
        self.used.saturating_mul(5) >= self.most.saturating_mul(4)
    }

    /// Whether the whole budget is used.
    pub fn is_reached(&self) -> bool {
        self.used >= self.most
    }

    /// Returns the clause that reports that the budget is used up.
    pub(super) fn clause(&self) -> String {
        let amount = match self.budget {
            Budget::TokensPerDay => format!("{} tokens", self.most),
            Budget::CostPerDay | Budget::CostPerMonth => format!("{} API-equivalent", Cost(self.most)),
        };
        let period = match self.budget {
            Budget::TokensPerDay | Budget::CostPerDay => "per day",
            Budget::CostPerMonth => "per month",
        };
        match &self.owner {
            Owner::Subscription(_) => format!("it is out of budget ({amount} {period})"),
            Owner::Namespace(name) => {
                format!("namespace `{name}` is out of budget ({amount} {period})")
            }
        }
    }
}

impl Budgets {
    /// Whether a cost is limited.
    pub fn limits_cost(self) -> bool {
        self.cost_per_day.is_some() || self.cost_per_month.is_some()
    }

    /// Returns a gauge for each budget that is set.
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
