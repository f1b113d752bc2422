//! Eligibility: the rules that keep a subscription from a request, in the order in which they are asked.

use crate::pool::route::refusing;
use crate::pool::state::SubscriptionState;
use crate::pool::{LimitKind, Moment, Pool, Request, Route, Scope, Subscription};

use super::{Exclusion, Rule};

/// Share of a declared budget from which a subscription comes last.
const NEAR_BUDGET: f64 = 0.8;

/// One subscription before one request.
pub(super) struct Case<'a> {
    pub(super) pool: &'a Pool,
    pub(super) subscription: &'a Subscription,
    pub(super) known: &'a SubscriptionState,
    pub(super) running: u32,
    pub(super) request: &'a Request,
    pub(super) moment: &'a Moment,
}

impl Case<'_> {
    /// The first rule that excludes the subscription.
    pub(super) fn exclusion(&self, routes: &[(&str, &Route)]) -> Option<Exclusion> {
        let Self { subscription, request, .. } = self;
        if subscription.agent != request.agent {
            return Some(Exclusion::new(Rule::Agent, format!("it is for {}", subscription.agent)));
        }
        // What insistence cannot overrule is asked first, so that it is not hidden by what it can.
        self.own_setting()
            .or_else(|| {
                let key = refusing(routes, subscription)?;
                Some(Exclusion::new(Rule::Route, format!("the route `{key}` does not name it")))
            })
            .or_else(|| {
                let missing = request.tags.iter().find(|tag| !subscription.tags.contains(tag))?;
                Some(Exclusion::new(Rule::Tag, format!("it is not tagged `{missing}`")))
            })
            .or_else(|| self.limited())
            .or_else(|| self.unhealthy())
            .or_else(|| self.over_budget())
    }

    fn own_setting(&self) -> Option<Exclusion> {
        let Self { subscription, running, .. } = self;
        if !subscription.enabled {
            return Some(Exclusion::new(Rule::Disabled, "it is disabled"));
        }
        if self.request.tried.contains(&subscription.name) {
            return Some(Exclusion::new(Rule::Tried, "this run has tried it"));
        }
        let most = subscription.max_parallel.filter(|most| running >= most)?;
        Some(Exclusion::new(Rule::Parallel, format!("{running} of {most} agents are running")))
    }

    fn limited(&self) -> Option<Exclusion> {
        let covers = |scope: &Scope| match scope {
            Scope::All => true,
            Scope::Model(model) => self.request.model.as_ref() == Some(model),
        };
        let limits = self.known.active_limits(self.moment.now).filter(|limit| covers(&limit.scope));
        let limit = limits.max_by_key(|limit| limit.until)?;
        let what = match (&limit.scope, limit.kind) {
            (Scope::Model(model), _) => format!("its {model} limit is reached"),
            (Scope::All, LimitKind::RateLimited) => "it is rate_limited".to_owned(),
            (Scope::All, LimitKind::Exhausted) => "it is exhausted".to_owned(),
        };
        Some(Exclusion::new(Rule::Limited, what).until(Some(limit.until)))
    }

    /// While its time-out runs nothing may try it; afterwards one run may, and others wait for its outcome.
    fn unhealthy(&self) -> Option<Exclusion> {
        let sickness = self.known.sickness.as_ref()?;
        let detail = format!("it is unhealthy ({})", sickness.reason);
        if sickness.until > self.moment.now {
            Some(Exclusion::new(Rule::Unhealthy, detail).until(Some(sickness.until)))
        } else if self.running > 0 {
            Some(Exclusion::new(Rule::Unhealthy, format!("{detail}; one run is trying it")))
        } else {
            None
        }
    }

    fn over_budget(&self) -> Option<Exclusion> {
        let (pool, now) = (self.pool, self.moment.now);
        if let Some(most) = self.subscription.requests_per_window
            && self.requests() >= most
        {
            let free = self.known.requests.below(most, pool.rate_limit_window, now);
            let detail = format!("its {most} requests in {:#} are spent", pool.rate_limit_window);
            return Some(Exclusion::new(Rule::Budget, detail).until(free));
        }
        let most = self.subscription.tokens_per_day.filter(|&most| self.tokens_today() >= most)?;
        let detail = format!("its {most} tokens of today are spent");
        Some(Exclusion::new(Rule::Budget, detail).until(Some(self.moment.midnight)))
    }

    fn requests(&self) -> u64 {
        self.known.requests.total(self.pool.rate_limit_window, self.moment.now)
    }

    fn tokens_today(&self) -> u64 {
        self.known.today(self.moment).tokens.tokens()
    }

    /// Near a provider's limit, near a declared budget, or limited for a model that is not asked for.
    pub(super) fn is_near_limit(&self) -> bool {
        let now = self.moment.now;
        let spent = |used: u64, most: Option<u64>| most.is_some_and(|most| share(used, most) >= NEAR_BUDGET);
        self.known.highest_utilization(now).is_some_and(|value| value >= self.pool.near_limit)
            || self.known.active_limits(now).next().is_some()
            || spent(self.requests(), self.subscription.requests_per_window)
            || spent(self.tokens_today(), self.subscription.tokens_per_day)
    }
}

// Budgets are far below 2^52, where f64 begins to round.
#[allow(clippy::cast_precision_loss)]
fn share(used: u64, most: u64) -> f64 {
    used as f64 / most as f64
}
