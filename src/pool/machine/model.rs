//! A minimal model of a pool: which subscriptions may be chosen, and what was used today.

use std::collections::BTreeMap;

use jiff::civil::Date;
use proptest::prelude::*;

use crate::pool::{Moment, Name, Pool, Request, Scope, Selector, State, Subscription};

/// The runs and tokens of one day.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Sum {
    runs: u64,
    tokens: u64,
}

/// What was counted on the latest day, by subscription and by namespace.
#[derive(Debug, Default)]
pub(super) struct Model {
    subscriptions: BTreeMap<Name, (Date, Sum)>,
    namespaces: BTreeMap<Name, (Date, Sum)>,
}

/// Returns the sum that counts now. A new day begins at zero. If the clock was set back to an earlier day,
/// the counted day continues.
fn sum_today(known: Option<&(Date, Sum)>, moment: &Moment) -> Sum {
    known.filter(|(date, _)| *date >= moment.today).map(|(_, sum)| *sum).unwrap_or_default()
}

impl Model {
    fn count(&mut self, name: &Name, namespace: Option<&Name>, moment: &Moment, add: impl Fn(&mut Sum)) {
        let both = [(&mut self.subscriptions, Some(name)), (&mut self.namespaces, namespace)];
        for (sums, name) in both.into_iter().filter_map(|(sums, name)| Some((sums, name?))) {
            let mut sum = sum_today(sums.get(name), moment);
            let day = sums.get(name).map_or(moment.today, |(date, _)| moment.today.max(*date));
            if day == moment.today {
                add(&mut sum);
            }
            sums.insert(name.clone(), (day, sum));
        }
    }

    pub(super) fn ran(&mut self, name: &Name, namespace: Option<&Name>, moment: &Moment) {
        self.count(name, namespace, moment, |sum| sum.runs += 1);
    }

    pub(super) fn used(&mut self, name: &Name, namespace: Option<&Name>, tokens: u64, moment: &Moment) {
        self.count(name, namespace, moment, |sum| sum.tokens += tokens);
    }

    /// Undoes a run that began on that day, because its agent never started.
    pub(super) fn never_ran(&mut self, name: &Name, namespace: Option<&Name>, day: Date) {
        let both =
            [self.subscriptions.get_mut(name), namespace.and_then(|name| self.namespaces.get_mut(name))];
        for (_, sum) in both.into_iter().flatten().filter(|(date, _)| *date == day) {
            sum.runs = sum.runs.saturating_sub(1);
        }
    }

    /// Checks that the totals equal the sums of what was settled.
    pub(super) fn agrees(&self, state: &State, moment: &Moment) -> Result<(), TestCaseError> {
        for (name, known) in &self.subscriptions {
            let today = state.of(name).today(moment);
            let sum = Sum { runs: today.runs, tokens: today.tokens.tokens() };
            prop_assert_eq!(sum, sum_today(Some(known), moment), "{}", name);
        }
        for (name, known) in &self.namespaces {
            let today = state.namespaces.get(name).cloned().unwrap_or_default().today(moment);
            let sum = Sum { runs: today.runs, tokens: today.tokens.tokens() };
            prop_assert_eq!(sum, sum_today(Some(known), moment), "{}", name);
        }
        Ok(())
    }
}

/// Returns the subscriptions that may be chosen, in name order, and whether each is a fallback.
pub(super) fn eligible(
    pool: &Pool,
    state: &State,
    model: &Model,
    request: &Request,
    moment: &Moment,
) -> Vec<(Name, bool)> {
    let spent =
        |tokens: u64, most: Option<u64>| most.is_some_and(|most| tokens >= most) && !request.over_budget;
    let is_spent = |name: &Name| {
        let tokens = sum_today(model.namespaces.get(name), moment).tokens;
        pool.namespaces.get(name).is_some_and(|budgets| spent(tokens, budgets.tokens_per_day))
    };
    let namespace_is_spent = request.namespace.as_ref().is_some_and(is_spent);
    let may = |one: &Subscription| {
        let running = state.leases.iter().filter(|lease| lease.subscription == one.name).count();
        let known = state.of(&one.name);
        let covers = |scope: &Scope| match scope {
            Scope::All => true,
            Scope::Model(model) => request.model.as_deref() == Some(model),
        };
        let limited = known.limits.iter().any(|limit| limit.until > moment.now && covers(&limit.scope));
        let unhealthy = known.unhealthy.as_ref();
        let unhealthy = unhealthy.is_some_and(|known| known.until > moment.now || running > 0);
        let tokens = sum_today(model.subscriptions.get(&one.name), moment).tokens;
        one.enabled
            && one.agent == request.agent
            && request.tags.iter().all(|tag| one.tags.contains(tag))
            && !request.tried.contains(&one.name)
            && one.max_parallel.is_none_or(|most| running < most as usize)
            && !limited
            && !unhealthy
            && !spent(tokens, one.budgets.tokens_per_day)
            && !namespace_is_spent
    };
    let allowed = pool.subscriptions.values().filter(|one| may(one));
    allowed.filter_map(|one| Some((one.name.clone(), is_fallback(pool, request, one)?))).collect()
}

/// Whether the routes of the namespace and the level allow a subscription only as a fallback; `None` if one
/// of them does not allow it.
fn is_fallback(pool: &Pool, request: &Request, one: &Subscription) -> Option<bool> {
    let holds = |set: &[Selector]| {
        set.iter().any(|selector| match selector {
            Selector::Name(name) => *name == one.name,
            Selector::Tag(tag) => one.tags.contains(tag),
        })
    };
    let mut fallback = false;
    for key in request.namespace.iter().map(Name::as_str).chain([request.level.as_str()]) {
        let Some(route) = pool.routes.get(key) else { continue };
        match (holds(&route.primary), holds(&route.fallback)) {
            (true, _) => {}
            (false, true) => fallback = true,
            (false, false) => return None,
        }
    }
    Some(fallback)
}
