//! The order of the eligible subscriptions, and the accounting of turns.

use std::collections::BTreeMap;

use super::reach::Tier;
use crate::pool::{State, Strategy, Subscription, SubscriptionState, family_name};

use super::{Exclusion, Rule};

/// The maximum number of runs that a subscription can be behind or ahead of its share; credit beyond that is
/// dropped.
const MAX_LAG: i64 = 3;

/// The properties that decide before turns do. Candidates of equal class take turns.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Class {
    pub(super) tier: Tier,
    pub(super) near_limit: bool,
    pub(super) not_preferred: bool,
    /// The sort key of the strategy, lower first.
    pub(super) strategy_key: (u64, u8),
}

/// An eligible subscription with everything that its order depends on.
pub(super) struct Eligible<'a> {
    pub(super) subscription: &'a Subscription,
    pub(super) class: Class,
    pub(super) overruled: Option<Exclusion>,
    /// The model family of a limit that does not apply to this request.
    pub(super) limited_model: Option<String>,
    pub(super) running: u32,
    pub(super) credit: i64,
    pub(super) utilization: Option<f64>,
    pub(super) recent_tokens: u64,
}

impl Eligible<'_> {
    fn weight(&self) -> i64 {
        i64::from(self.subscription.priority.max(1))
    }

    /// Returns what decides the order: `0 running, priority 150`.
    pub(super) fn detail(&self, strategy: Strategy) -> String {
        let kept = if self.class.not_preferred { "" } else { "last ran this conversation, " };
        let fallback = if self.class.tier == Tier::Fallback { "fallback, " } else { "" };
        let near = match (&self.overruled, &self.limited_model) {
            (Some(Exclusion { rule: Rule::Budget, .. }), _) => "over budget, ".to_owned(),
            (_, Some(model)) => format!("at its {} limit, ", family_name(model)),
            _ if self.class.near_limit => "near a limit, ".to_owned(),
            _ => String::new(),
        };
        let used = match (strategy, self.utilization) {
            (Strategy::LeastUsed, Some(part)) => format!("{:.0}% used, ", part * 100.0),
            (Strategy::LeastUsed, None) => format!("{} tokens in the last 5 hours, ", self.recent_tokens),
            _ => String::new(),
        };
        let Self { running, subscription, .. } = self;
        format!("{kept}{fallback}{near}{used}{running} running, priority {}", subscription.priority)
    }
}

/// The order of the eligible subscriptions. They are sorted by class. Within a class, those that are more
/// than one run behind their share come first, and those that are one run or more ahead of it come last. The
/// next keys are the fewest running agents relative to the weight, and then the turn. Ties keep name order.
///
/// Without the comparison with the share, a subscription whose runs end sooner would receive more and more
/// runs. Running agents are counted in whole rounds: how many agents the lightest subscription of the class
/// would run if all ran their share, rounded down. So equal weights get equal numbers of agents, and unequal
/// weights keep their proportion even when few agents run.
pub(super) struct Order(BTreeMap<Class, Round>);

impl Order {
    /// Sets the strategy key of each eligible subscription and collects the classes.
    pub(super) fn of(strategy: Strategy, eligible: &mut [Eligible<'_>]) -> Self {
        let all_measured = eligible.iter().all(|one| one.utilization.is_some());
        let mut classes: BTreeMap<Class, Round> = BTreeMap::new();
        for one in eligible {
            let rank = u8::MAX - one.subscription.priority;
            one.class.strategy_key = match (strategy, one.utilization) {
                (Strategy::RoundRobin, _) => (0, 0),
                (Strategy::Priority, _) => (0, rank),
                (Strategy::LeastUsed, Some(utilization)) if all_measured => (thousandths(utilization), rank),
                (Strategy::LeastUsed, _) => (one.recent_tokens, rank),
            };
            let round = classes.entry(one.class).or_insert(Round { lightest: one.weight(), whole: 0 });
            round.lightest = round.lightest.min(one.weight());
            round.whole += one.weight();
        }
        Self(classes)
    }

    /// Returns the sort key of a subscription, lowest first.
    pub(super) fn key(&self, one: &Eligible<'_>) -> impl Ord + use<> {
        let round = &self.0[&one.class];
        // Each run beyond the share costs a whole round of credit. `ahead` is negative for more than one run
        // behind the share, positive for one run or more ahead of it, and 0 in between.
        let ahead = round.whole.saturating_sub(one.credit).div_euclid(2 * round.whole);
        let rounds = i64::from(one.running) * round.lightest / one.weight();
        (one.class, ahead, rounds, one.credit.saturating_add(one.weight()).saturating_neg())
    }
}

/// The lowest weight and the sum of the weights of a class.
struct Round {
    lightest: i64,
    whole: i64,
}

// A utilization is 0.0-1.0 or slightly above.
#[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
fn thousandths(utilization: f64) -> u64 {
    (utilization.max(0.0) * 1000.0).round() as u64
}

/// The chosen subscription among all eligible ones.
pub(super) struct Turn<'a> {
    /// The index of the chosen subscription in `eligible`.
    pub(super) chosen: usize,
    pub(super) eligible: Vec<Eligible<'a>>,
}

impl Turn<'_> {
    /// Applies smooth weighted round-robin within the class of the chosen subscription: each subscription is
    /// credited its weight, and the chosen one pays the sum. Credit is limited to a few runs, so that a
    /// subscription that was excluded for a long time does not receive a burst of runs.
    pub(super) fn charge(&self, state: &mut State) {
        let chosen = &self.eligible[self.chosen];
        let peers = || self.eligible.iter().filter(|one| one.class == chosen.class);
        let round: i64 = peers().map(Eligible::weight).sum();
        for one in peers() {
            let name = &one.subscription.name;
            let paid = if *name == chosen.subscription.name { round } else { 0 };
            let pay = |known: &mut SubscriptionState| {
                // A damaged state may hold any number.
                let owed = known.credit.saturating_add(one.weight() - paid);
                known.credit = owed.clamp(-MAX_LAG * round, MAX_LAG * round);
            };
            match state.subscriptions.get_mut(name) {
                Some(known) => pay(known),
                None => pay(state.subscriptions.entry(name.clone()).or_default()),
            }
        }
    }
}
