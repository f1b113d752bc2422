//! Order: what comes first among the eligible, and whose turn it is.

use std::collections::BTreeMap;

use super::reach::Tier;
use crate::pool::{State, Strategy, Subscription, SubscriptionState};

use super::{Exclusion, Rule};

/// How many runs a subscription can be behind or ahead of its share; more is forgotten.
const MOST_OWED: i64 = 3;

/// What of a candidate decides before turns do; equal classes take turns.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Class {
    pub(super) tier: Tier,
    pub(super) near_limit: bool,
    pub(super) not_preferred: bool,
    /// The strategy's own key, lower first.
    pub(super) merit: (u64, u8),
}

/// An eligible subscription with all that orders it.
pub(super) struct Eligible<'a> {
    pub(super) subscription: &'a Subscription,
    pub(super) class: Class,
    pub(super) overruled: Option<Exclusion>,
    pub(super) running: u32,
    pub(super) credit: i64,
    pub(super) utilization: Option<f64>,
    pub(super) recent_tokens: u64,
}

impl Eligible<'_> {
    fn weight(&self) -> i64 {
        i64::from(self.subscription.priority.max(1))
    }

    /// What the order goes by: `0 running, priority 150`.
    pub(super) fn merits(&self, strategy: Strategy) -> String {
        let kept = if self.class.not_preferred { "" } else { "it ran this conversation last, " };
        let fallback = if self.class.tier == Tier::Fallback { "fallback, " } else { "" };
        let near = match &self.overruled {
            Some(Exclusion { rule: Rule::Budget, .. }) => "over budget, ",
            _ if self.class.near_limit => "near a limit, ",
            _ => "",
        };
        let used = match (strategy, self.utilization) {
            (Strategy::LeastUsed, Some(part)) => format!("{:.0} % used, ", part * 100.0),
            (Strategy::LeastUsed, None) => format!("{} tokens in 5 hours, ", self.recent_tokens),
            _ => String::new(),
        };
        let Self { running, subscription, .. } = self;
        format!("{kept}{fallback}{near}{used}{running} running, priority {}", subscription.priority)
    }
}

/// The order of the eligible: by class; of a class those that lag a whole run behind their share before the
/// others and those that are a whole run ahead of it behind them; then whoever runs fewest for its weight; then
/// by turn. Equals stay in the order of their names, in which they come.
///
/// Without the lag a subscription whose runs happen to end sooner would be given more and more of them. Agents
/// are counted in whole rounds (what the lightest of the class runs while all run their share), so that equal
/// weights spread strictly and unequal ones keep their proportion also when few run at once.
pub(super) struct Order(BTreeMap<Class, Round>);

impl Order {
    /// Gives each of the eligible its merit, by which there are classes.
    pub(super) fn of(strategy: Strategy, eligible: &mut [Eligible<'_>]) -> Self {
        let all_measured = eligible.iter().all(|one| one.utilization.is_some());
        let mut classes: BTreeMap<Class, Round> = BTreeMap::new();
        for one in eligible {
            let rank = u8::MAX - one.subscription.priority;
            one.class.merit = match (strategy, one.utilization) {
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

    /// What comes first has the lowest.
    pub(super) fn key(&self, one: &Eligible<'_>) -> impl Ord + use<> {
        let round = &self.0[&one.class];
        // A run more than its share costs a whole round of credit: -1 for a lag of more than one run, 1 for
        // a lead of one or more, 0 between.
        let ahead = round.whole.saturating_sub(one.credit).div_euclid(2 * round.whole);
        let rounds = i64::from(one.running) * round.lightest / one.weight();
        (one.class, ahead, rounds, one.credit.saturating_add(one.weight()).saturating_neg())
    }
}

/// The weights of a class.
struct Round {
    lightest: i64,
    whole: i64,
}

// A utilisation is 0.0-1.0 or a little above.
#[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
fn thousandths(utilization: f64) -> u64 {
    (utilization.max(0.0) * 1000.0).round() as u64
}

/// Whose turn it is among the eligible.
pub(super) struct Turn<'a> {
    /// Which of the eligible it is.
    pub(super) chosen: usize,
    pub(super) eligible: Vec<Eligible<'a>>,
}

impl Turn<'_> {
    /// Smooth weighted round-robin among the class of the chosen: each is owed its weight, and the chosen pays
    /// for all. What is owed stays within a few runs, so that nobody who was away for long gets a burst of them.
    pub(super) fn take(&self, state: &mut State) {
        let chosen = &self.eligible[self.chosen];
        let peers = || self.eligible.iter().filter(|one| one.class == chosen.class);
        let round: i64 = peers().map(Eligible::weight).sum();
        for one in peers() {
            let name = &one.subscription.name;
            let paid = if *name == chosen.subscription.name { round } else { 0 };
            let pay = |known: &mut SubscriptionState| {
                // A damaged state may say anything.
                let owed = known.credit.saturating_add(one.weight() - paid);
                known.credit = owed.clamp(-MOST_OWED * round, MOST_OWED * round);
            };
            match state.subscriptions.get_mut(name) {
                Some(known) => pay(known),
                None => pay(state.subscriptions.entry(name.clone()).or_default()),
            }
        }
    }
}
