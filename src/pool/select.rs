//! Chooses a subscription: which ones are eligible, in which order, and why. `kage exec` and `kage why` share
//! this code.

mod order;
mod reach;
mod rule;
mod rules;

use std::collections::BTreeMap;

use jiff::Timestamp;

use self::order::{Class, Eligible, Order, Turn};
use self::rules::Case;
use super::maps::zip_by_key;
use super::state::SubscriptionState;
use super::totals::Today;
use super::{Moment, Name, Pool, Request, State, Subscription};
use reach::{Tier, applying, tier};
pub use rule::{Exclusion, Rule};

/// How a subscription ranks for a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Ranking {
    /// Eligible; rank 1 is chosen next.
    Ranked {
        rank: usize,
        near_limit: bool,
        fallback: bool,
        /// What decided the order, as text for the user: `0 running, priority 150`.
        detail: String,
    },
    Excluded(Exclusion),
}

/// A subscription and its ranking.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Candidate {
    pub name: Name,
    pub ranking: Ranking,
}

/// The chosen subscription.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Selection {
    pub name: Name,
    /// The exclusion that `-s` or `--over-budget` overruled.
    pub overruled: Option<Exclusion>,
}

/// Why nothing can be chosen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NotReady {
    EmptyPool,
    /// The routes with these keys allow no subscription of the pool.
    EmptyRoute(Vec<String>),
    /// All subscriptions are excluded; the candidates hold the reasons.
    Excluded(Vec<Candidate>),
}

impl NotReady {
    /// Returns when the first subscription is ready again, or `None` if that is not known.
    pub fn earliest(&self) -> Option<Timestamp> {
        let Self::Excluded(candidates) = self else { return None };
        let mut earliest: Option<Timestamp> = None;
        for candidate in candidates {
            match &candidate.ranking {
                Ranking::Excluded(Exclusion { until: Some(at), .. }) => {
                    earliest = Some(earliest.map_or(*at, |known| known.min(*at)));
                }
                // An occupied place may become free at any time.
                Ranking::Excluded(exclusion) if exclusion.rule.is_temporary() => return None,
                _ => {}
            }
        }
        earliest
    }

    /// Whether waiting can help. It cannot if the cause is an empty pool, a route or a mistyped tag.
    pub fn waiting_can_help(&self) -> bool {
        let Self::Excluded(candidates) = self else { return false };
        candidates.iter().any(|candidate| match &candidate.ranking {
            Ranking::Excluded(exclusion) => exclusion.rule.is_temporary(),
            Ranking::Ranked { .. } => true,
        })
    }
}

/// Returns every subscription with its ranking: the eligible by rank, then the excluded by name.
pub fn explain(pool: &Pool, state: &State, request: &Request, moment: &Moment) -> Vec<Candidate> {
    let (mut eligible, excluded) = judge_all(pool, state, request, moment);
    let order = Order::of(pool.strategy, &mut eligible);
    eligible.sort_by_cached_key(|one| order.key(one));
    let ranked = eligible.into_iter().enumerate().map(|(at, eligible)| Candidate {
        name: eligible.subscription.name.clone(),
        ranking: Ranking::Ranked {
            rank: at + 1,
            near_limit: eligible.class.near_limit,
            fallback: eligible.class.tier == Tier::Fallback,
            detail: eligible.detail(pool.strategy),
        },
    });
    ranked.chain(excluded).collect()
}

/// Returns what would be chosen for a request now. Changes nothing.
pub fn peek(pool: &Pool, state: &State, request: &Request, moment: &Moment) -> Result<Selection, NotReady> {
    choose(pool, state, request, moment).map(|(selection, _)| selection)
}

/// Chooses a subscription for a request and counts the run. The caller records the lease in the same
/// transaction.
pub fn take(
    pool: &Pool,
    state: &mut State,
    request: &Request,
    moment: &Moment,
) -> Result<Selection, NotReady> {
    let (selection, turn) = choose(pool, state, request, moment)?;
    turn.charge(state);
    let chosen = state.subscriptions.entry(selection.name.clone()).or_default();
    Today::count_run(&mut chosen.today, moment);
    chosen.requests.add(1, pool.rate_limit_window, moment.now);
    if let Some(namespace) = &request.namespace {
        state.namespaces.retain(|_, totals| totals.are_current(moment));
        state.namespaces.entry(namespace.clone()).or_default().count_run(moment);
    }
    Ok(selection)
}

fn choose<'a>(
    pool: &'a Pool,
    state: &State,
    request: &Request,
    moment: &Moment,
) -> Result<(Selection, Turn<'a>), NotReady> {
    if pool.subscriptions.is_empty() {
        return Err(NotReady::EmptyPool);
    }
    let routes = applying(pool, request);
    let reachable = |subscription: &Subscription| tier(&routes, subscription).is_some();
    if request.only.is_none() && !pool.subscriptions.values().any(reachable) {
        return Err(NotReady::EmptyRoute(routes.iter().map(|(key, _)| (*key).to_owned()).collect()));
    }
    let (mut eligible, excluded) = judge_all(pool, state, request, moment);
    let order = Order::of(pool.strategy, &mut eligible);
    let first = eligible.iter().enumerate().min_by_key(|(_, one)| order.key(one));
    let Some((chosen, first)) = first else { return Err(NotReady::Excluded(excluded)) };
    let selection = Selection { name: first.subscription.name.clone(), overruled: first.overruled.clone() };
    Ok((selection, Turn { chosen, eligible }))
}

/// Returns the eligible and the excluded subscriptions, both in name order.
fn judge_all<'a>(
    pool: &'a Pool,
    state: &State,
    request: &Request,
    moment: &Moment,
) -> (Vec<Eligible<'a>>, Vec<Candidate>) {
    let routes = applying(pool, request);
    let fresh = SubscriptionState::default();
    let namespace = pool.namespace_gauges(state, request.namespace.as_ref(), moment);
    let mut running_on: BTreeMap<&Name, u32> = BTreeMap::new();
    for lease in &state.leases {
        *running_on.entry(&lease.subscription).or_default() += 1;
    }
    let mut eligible = Vec::new();
    let mut excluded = Vec::new();
    let wanted = |name: &Name| request.only.as_ref().is_none_or(|only| only == name);
    let all = zip_by_key(&pool.subscriptions, &state.subscriptions).filter(|(name, ..)| wanted(name));
    for (name, subscription, known) in all {
        let known = known.unwrap_or(&fresh);
        let running = running_on.get(name).copied().unwrap_or(0);
        let tier = tier(&routes, subscription);
        let case = Case { pool, subscription, known, namespace: &namespace, running, request, moment };
        match case.exclusion(&routes) {
            Some(exclusion) if !request.overrules(exclusion.rule) => {
                excluded.push(Candidate { name: name.clone(), ranking: Ranking::Excluded(exclusion) });
            }
            overruled => eligible.push(Eligible {
                subscription,
                class: Class {
                    tier: tier.unwrap_or(Tier::Fallback),
                    near_limit: case.is_near_limit(),
                    not_preferred: request.prefer.as_ref() != Some(name),
                    strategy_key: (0, 0),
                },
                overruled,
                limited_model: case.limited_model(),
                running,
                credit: known.credit,
                utilization: known.highest_utilization(request.model.as_deref(), moment.now),
                recent_tokens: known.recent_tokens(moment.now),
            }),
        }
    }
    (eligible, excluded)
}

#[cfg(test)]
mod tests;
