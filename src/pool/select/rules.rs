//! Eligibility: the rules that exclude a subscription from a request, in the order in which they are checked.

use super::reach::refusing;
use crate::pool::state::SubscriptionState;
use crate::pool::{
    Budgets, Gauge, LimitKind, Moment, Owner, Pool, Request, Route, Scope, Subscription, family_name,
};

use super::{Exclusion, Rule};

/// A subscription is near its limit, and ranks last, if it used at least this share of `requests_per_window`.
const NEAR_WINDOW: f64 = 0.8;

/// One subscription, judged for one request.
pub(super) struct Case<'a> {
    pub(super) pool: &'a Pool,
    pub(super) subscription: &'a Subscription,
    pub(super) known: &'a SubscriptionState,
    /// The gauges of the budgets of the request's namespace.
    pub(super) namespace: &'a [Gauge],
    pub(super) running: u32,
    pub(super) request: &'a Request,
    pub(super) moment: &'a Moment,
}

impl Case<'_> {
    /// Returns the exclusion by the first rule that applies.
    pub(super) fn exclusion(&self, routes: &[(&str, &Route)]) -> Option<Exclusion> {
        let Self { subscription, request, .. } = self;
        if subscription.agent != request.agent {
            return Some(Exclusion::new(Rule::Agent, format!("it is for the agent {}", subscription.agent)));
        }
        // Rules that `-s` cannot overrule come first, so that an overrulable rule does not hide them.
        self.firm_exclusion()
            .or_else(|| {
                let key = refusing(routes, subscription)?;
                Some(Exclusion::new(Rule::Route, format!("it is not in the route `{key}`")))
            })
            .or_else(|| {
                let missing = request.tags.iter().find(|tag| !subscription.tags.contains(tag))?;
                Some(Exclusion::new(Rule::Tag, format!("it is not tagged `{missing}`")))
            })
            .or_else(|| self.temporary_exclusion())
    }

    /// Returns the exclusion that ends on its own. If a budget excludes the subscription for longer than the
    /// provider's refusal does, the budget is reported, so that a waiting run knows how long to wait. With
    /// `--over-budget` the refusal is reported.
    fn temporary_exclusion(&self) -> Option<Exclusion> {
        let refused = self.limited().or_else(|| self.unhealthy());
        let spent = self.over_budget();
        match (&refused, &spent) {
            (Some(Exclusion { until: Some(refused), .. }), Some(Exclusion { until: Some(until), .. }))
                if until > refused && !self.request.over_budget =>
            {
                spent
            }
            _ => refused.or(spent),
        }
    }

    fn firm_exclusion(&self) -> Option<Exclusion> {
        let Self { subscription, running, .. } = self;
        if !subscription.enabled {
            return Some(Exclusion::new(Rule::Disabled, "it is disabled"));
        }
        if self.request.tried.contains(&subscription.name) {
            return Some(Exclusion::new(Rule::Tried, "this run already tried it"));
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
            (Scope::Model(model), _) => format!("it is at its {} limit", family_name(model)),
            (Scope::All, LimitKind::RateLimited) => "it is rate_limited".to_owned(),
            (Scope::All, LimitKind::Exhausted) => "it is exhausted".to_owned(),
        };
        Some(Exclusion::new(Rule::Limited, what).until(Some(limit.until)))
    }

    /// Until the deadline no run may try an unhealthy subscription. After it, one run may try it, and the
    /// others wait for the outcome.
    fn unhealthy(&self) -> Option<Exclusion> {
        let unhealthy = self.known.unhealthy.as_ref()?;
        let detail = format!("it is unhealthy ({})", unhealthy.reason);
        if unhealthy.is_until_reset() {
            Some(Exclusion::new(Rule::Refused, detail))
        } else if unhealthy.until > self.moment.now {
            Some(Exclusion::new(Rule::Unhealthy, detail).until(Some(unhealthy.until)))
        } else if self.running > 0 {
            Some(Exclusion::new(Rule::Unhealthy, format!("{detail}; one run is trying it")))
        } else {
            None
        }
    }

    /// Returns the exclusion by the used-up budget that lasts longest. On a tie, the budget of the namespace
    /// wins.
    fn over_budget(&self) -> Option<Exclusion> {
        let own = self.gauges();
        let reached = own.iter().chain(self.namespace).filter(|gauge| gauge.is_reached());
        if let Some(gauge) = reached.max_by_key(|gauge| gauge.until) {
            let of_namespace = matches!(gauge.owner, Owner::Namespace(_));
            let exclusion = Exclusion::new(Rule::Budget, gauge.clause()).until(Some(gauge.until));
            return Some(Exclusion { of_namespace, ..exclusion });
        }
        let (pool, now) = (self.pool, self.moment.now);
        let most = self.subscription.requests_per_window.filter(|&most| self.requests() >= most)?;
        let free = self.known.requests.below(most, pool.rate_limit_window, now);
        let unit = if most == 1 { "request" } else { "requests" };
        let detail = format!("it is out of budget ({most} {unit} per {:#})", pool.rate_limit_window);
        Some(Exclusion::new(Rule::Budget, detail).until(free))
    }

    fn requests(&self) -> u64 {
        self.known.requests.total(self.pool.rate_limit_window, self.moment.now)
    }

    /// Returns the gauges of the subscription's own budgets.
    fn gauges(&self) -> Vec<Gauge> {
        let Self { subscription, known, moment, .. } = self;
        if subscription.budgets == Budgets::default() {
            return Vec::new();
        }
        let owner = Owner::Subscription(subscription.name.clone());
        subscription.budgets.gauges(&owner, &known.today(moment), &known.month(moment), moment)
    }

    /// The model family of a limit that does not exclude the subscription.
    pub(super) fn limited_model(&self) -> Option<String> {
        self.known.active_limits(self.moment.now).find_map(|limit| limit.scope.model()).map(str::to_owned)
    }

    /// Whether the subscription is near a limit of the provider, near a declared budget, or limited for a
    /// model that the request does not use.
    pub(super) fn is_near_limit(&self) -> bool {
        let now = self.moment.now;
        let requests = self.subscription.requests_per_window;
        self.known
            .highest_utilization(self.request.model.as_deref(), now)
            .is_some_and(|value| value >= self.pool.near_limit)
            || self.known.active_limits(now).next().is_some()
            || requests.is_some_and(|most| share(self.requests(), most) >= NEAR_WINDOW)
            || self.gauges().iter().any(Gauge::is_near)
    }
}

// Request counts are far below 2^53, above which f64 cannot hold every integer.
#[allow(clippy::cast_precision_loss)]
fn share(used: u64, most: u64) -> f64 {
    used as f64 / most as f64
}
