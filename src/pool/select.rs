//! Choosing: who is eligible, in which order, and why. `kage exec` and `kage why` ask the same code.

use std::collections::BTreeMap;

use jiff::Timestamp;

use super::route::{self, Tier};
use super::state::SubscriptionState;
use super::{Moment, Name, Pool, Request, Scope, State, Strategy, Subscription};

/// Share of a declared budget from which a subscription comes last.
const NEAR_BUDGET: f64 = 0.8;

/// The rule that keeps a subscription from a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Rule {
    Agent,
    Route,
    Tag,
    Disabled,
    Limited,
    Unhealthy,
    Parallel,
    Budget,
    Tried,
}

impl Rule {
    /// The word in `kage why --json`.
    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::Agent => "agent",
            Self::Route => "route",
            Self::Tag => "tag",
            Self::Disabled => "disabled",
            Self::Limited => "limited",
            Self::Unhealthy => "unhealthy",
            Self::Parallel => "parallel",
            Self::Budget => "budget",
            Self::Tried => "tried",
        }
    }

    /// Whether naming the subscription with `-s` overrules it.
    fn yields_to_insistence(self) -> bool {
        matches!(self, Self::Route | Self::Tag | Self::Limited | Self::Unhealthy | Self::Budget)
    }
}

/// Why a subscription is not eligible, and until when if that is known.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Exclusion {
    pub rule: Rule,
    pub until: Option<Timestamp>,
    /// A clause for a person: `2 of 2 agents are running`.
    pub detail: String,
}

impl Exclusion {
    fn new(rule: Rule, detail: impl Into<String>) -> Self {
        Self { rule, until: None, detail: detail.into() }
    }

    fn until(mut self, until: Option<Timestamp>) -> Self {
        self.until = until;
        self
    }
}

/// Where a subscription stands with regard to a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Standing {
    /// Eligible; rank 1 is chosen.
    Ranked {
        rank: usize,
        near_limit: bool,
        fallback: bool,
        /// What the order went by, for a person.
        detail: String,
    },
    Excluded(Exclusion),
}

/// A subscription and its standing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Candidate {
    pub name: Name,
    pub standing: Standing,
}

/// What was chosen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Selection {
    pub name: Name,
    /// What would have excluded it, had it not been insisted on.
    pub overruled: Option<Exclusion>,
}

/// Nothing can be chosen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum NotReady {
    EmptyPool,
    /// The routes named allow nothing that is in the pool.
    EmptyRoute(Vec<String>),
    /// Everything is excluded; the candidates say why.
    Excluded(Vec<Candidate>),
}

/// What of a candidate decides before turns do; equal classes take turns.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Class {
    tier: Tier,
    near_limit: bool,
    not_preferred: bool,
    /// The strategy's own key, lower first.
    merit: (u64, u8),
}

/// An eligible subscription with all that orders it.
struct Eligible<'a> {
    subscription: &'a Subscription,
    class: Class,
    overruled: Option<Exclusion>,
    running: u32,
    credit: i64,
    utilization: Option<f64>,
    recent_tokens: u64,
}

impl Eligible<'_> {
    fn weight(&self) -> i64 {
        i64::from(self.subscription.priority.max(1))
    }

    /// What the order goes by: `0 running, priority 150`.
    fn merits(&self, strategy: Strategy) -> String {
        let kept = if self.class.not_preferred { "" } else { "it ran this conversation last, " };
        let fallback = if self.class.tier == Tier::Fallback { "fallback, " } else { "" };
        let near = if self.class.near_limit { "near a limit, " } else { "" };
        let used = match (strategy, self.utilization) {
            (Strategy::LeastUsed, Some(part)) => format!("{:.0} % used, ", part * 100.0),
            (Strategy::LeastUsed, None) => format!("{} tokens in 5 hours, ", self.recent_tokens),
            _ => String::new(),
        };
        let Self { running, subscription, .. } = self;
        format!("{kept}{fallback}{near}{used}{running} running, priority {}", subscription.priority)
    }
}

/// Every subscription with its standing: the eligible by rank, then the excluded by name.
pub(crate) fn explain(pool: &Pool, state: &State, request: &Request, moment: &Moment) -> Vec<Candidate> {
    let (ranked, excluded) = judge_all(pool, state, request, moment);
    let ranked = ranked.into_iter().enumerate().map(|(at, eligible)| Candidate {
        name: eligible.subscription.name.clone(),
        standing: Standing::Ranked {
            rank: at + 1,
            near_limit: eligible.class.near_limit,
            fallback: eligible.class.tier == Tier::Fallback,
            detail: eligible.merits(pool.strategy),
        },
    });
    ranked.chain(excluded).collect()
}

/// Chooses for a request and takes the turn. The caller records the lease in the same transaction.
pub(crate) fn select(
    pool: &Pool,
    state: &mut State,
    request: &Request,
    moment: &Moment,
) -> Result<Selection, NotReady> {
    if pool.subscriptions.is_empty() {
        return Err(NotReady::EmptyPool);
    }
    let routes = route::applying(pool, request);
    let reachable = |subscription: &Subscription| route::tier(&routes, subscription).is_some();
    if request.only.is_none() && !pool.subscriptions.values().any(reachable) {
        return Err(NotReady::EmptyRoute(routes.iter().map(|(key, _)| (*key).to_owned()).collect()));
    }
    let (ranked, excluded) = judge_all(pool, state, request, moment);
    let Some(first) = ranked.first() else { return Err(NotReady::Excluded(excluded)) };
    let selection = Selection { name: first.subscription.name.clone(), overruled: first.overruled.clone() };
    take_turn(&ranked, state);
    let chosen = state.subscriptions.entry(selection.name.clone()).or_default();
    let mut today = chosen.today(moment);
    today.runs += 1;
    chosen.today = Some(today);
    chosen.requests.add(1, pool.rate_limit_window, moment.now);
    Ok(selection)
}

fn judge_all<'a>(
    pool: &'a Pool,
    state: &State,
    request: &Request,
    moment: &Moment,
) -> (Vec<Eligible<'a>>, Vec<Candidate>) {
    let routes = route::applying(pool, request);
    let fresh = SubscriptionState::default();
    let mut running_on: BTreeMap<&Name, u32> = BTreeMap::new();
    for lease in &state.leases {
        *running_on.entry(&lease.subscription).or_default() += 1;
    }
    let mut eligible = Vec::new();
    let mut excluded = Vec::new();
    let wanted = |name: &Name| request.only.as_ref().is_none_or(|only| only == name);
    for subscription in pool.subscriptions.values().filter(|subscription| wanted(&subscription.name)) {
        let name = &subscription.name;
        let known = state.subscriptions.get(name).unwrap_or(&fresh);
        let running = running_on.get(name).copied().unwrap_or(0);
        let tier = route::tier(&routes, subscription);
        let case = Case { pool, subscription, known, running, request, moment };
        match case.exclusion(tier, &routes) {
            Some(exclusion) if !(request.only.is_some() && exclusion.rule.yields_to_insistence()) => {
                excluded.push(Candidate { name: name.clone(), standing: Standing::Excluded(exclusion) });
            }
            overruled => eligible.push(Eligible {
                subscription,
                class: Class {
                    tier: tier.unwrap_or(Tier::Fallback),
                    near_limit: case.is_near_limit(),
                    not_preferred: request.prefer.as_ref() != Some(name),
                    merit: (0, 0),
                },
                overruled,
                running,
                credit: known.credit,
                utilization: known.highest_utilization(moment.now),
                recent_tokens: known.recent_tokens(moment.now),
            }),
        }
    }
    rank(pool.strategy, &mut eligible);
    (eligible, excluded)
}

/// One subscription before one request.
struct Case<'a> {
    pool: &'a Pool,
    subscription: &'a Subscription,
    known: &'a SubscriptionState,
    running: u32,
    request: &'a Request,
    moment: &'a Moment,
}

impl Case<'_> {
    /// The first rule that excludes the subscription.
    fn exclusion(&self, tier: Option<Tier>, routes: &[(&str, &super::Route)]) -> Option<Exclusion> {
        let Self { subscription, request, .. } = self;
        if subscription.agent != request.agent {
            return Some(Exclusion::new(Rule::Agent, format!("it is for {}", subscription.agent)));
        }
        // What insistence cannot overrule is asked first, so that it is not hidden by what it can.
        self.own_setting()
            .or_else(|| {
                let keys: Vec<String> = routes.iter().map(|(key, _)| format!("`{key}`")).collect();
                let detail = format!("the route {} does not name it", keys.join(" and "));
                tier.is_none().then(|| Exclusion::new(Rule::Route, detail))
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
            (Scope::All, super::LimitKind::RateLimited) => "it is rate_limited".to_owned(),
            (Scope::All, super::LimitKind::Exhausted) => "it is exhausted".to_owned(),
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
    fn is_near_limit(&self) -> bool {
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

/// Orders the eligible: by class, then whoever runs fewest for its weight, then by turn.
///
/// Agents are counted in whole rounds (what the lightest of the class runs while all run their share), so
/// that equal weights spread strictly and unequal ones keep their proportion also when few run at once.
fn rank(strategy: Strategy, eligible: &mut [Eligible<'_>]) {
    let all_measured = eligible.iter().all(|one| one.utilization.is_some());
    for one in &mut *eligible {
        let standing = u8::MAX - one.subscription.priority;
        one.class.merit = match (strategy, one.utilization) {
            (Strategy::RoundRobin, _) => (0, 0),
            (Strategy::Priority, _) => (0, standing),
            (Strategy::LeastUsed, Some(utilization)) if all_measured => (thousandths(utilization), standing),
            (Strategy::LeastUsed, _) => (one.recent_tokens, standing),
        };
    }
    let mut lightest: BTreeMap<Class, i64> = BTreeMap::new();
    for one in &*eligible {
        let least = lightest.entry(one.class).or_insert_with(|| one.weight());
        *least = one.weight().min(*least);
    }
    eligible.sort_by_cached_key(|one| {
        let rounds = i64::from(one.running) * lightest[&one.class] / one.weight();
        (one.class, rounds, -(one.credit + one.weight()), one.subscription.name.clone())
    });
}

// A utilisation is 0.0-1.0 or a little above.
#[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
fn thousandths(utilization: f64) -> u64 {
    (utilization.max(0.0) * 1000.0).round() as u64
}

/// Smooth weighted round-robin among the class of the first: each is owed its weight, and the chosen pays
/// for all. What is owed stays within one round, so that nobody who was busy for long gets a burst of runs.
fn take_turn(ranked: &[Eligible<'_>], state: &mut State) {
    let class = ranked[0].class;
    let peers: Vec<_> = ranked.iter().filter(|one| one.class == class).collect();
    let round: i64 = peers.iter().map(|one| one.weight()).sum();
    for (at, one) in peers.iter().enumerate() {
        let known = state.subscriptions.entry(one.subscription.name.clone()).or_default();
        let paid = if at == 0 { round } else { 0 };
        known.credit = (known.credit + one.weight() - paid).clamp(-round, round);
    }
}

#[cfg(test)]
mod tests;
