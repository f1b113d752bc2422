//! The gauges of the budgets that a run uses, computed from a state.

use super::{Gauge, Lease, Moment, Name, Owner, Pool, State};

impl Pool {
    /// Returns the gauges of a namespace's budgets.
    pub(super) fn namespace_gauges(&self, state: &State, name: Option<&Name>, moment: &Moment) -> Vec<Gauge> {
        let Some((name, budgets)) = name.and_then(|name| self.namespaces.get_key_value(name)) else {
            return Vec::new();
        };
        let known = state.namespaces.get(name).cloned().unwrap_or_default();
        let owner = Owner::Namespace(name.clone());
        budgets.gauges(&owner, &known.today(moment), &known.month(moment), moment)
    }

    /// Calls `book`. Also returns the gauges of the lease's budgets that reach 80 or 100 % because of it; a
    /// budget that had already reached that share is not returned.
    pub fn budgets_crossed_by<T>(
        &self,
        state: &mut State,
        lease: &Lease,
        moment: &Moment,
        book: impl FnOnce(&mut State) -> T,
    ) -> (T, Vec<Gauge>) {
        let before = self.gauges(state, lease, moment);
        let answer = book(state);
        let after = self.gauges(state, lease, moment);
        let both = before.into_iter().zip(after);
        let crossed = both.filter(|(before, after)| {
            (after.is_reached() && !before.is_reached()) || (after.is_near() && !before.is_near())
        });
        (answer, crossed.map(|(_, gauge)| gauge).collect())
    }

    /// Returns the owner of a cost budget for a run: the subscription, or else the namespace.
    pub fn cost_budget(&self, subscription: &Name, namespace: Option<&Name>) -> Option<Owner> {
        let own = self.subscriptions.get(subscription).filter(|known| known.budgets.limits_cost());
        let of_namespace =
            || self.namespaces.get_key_value(namespace?).filter(|(_, known)| known.limits_cost());
        own.map(|_| Owner::Subscription(subscription.clone()))
            .or_else(|| of_namespace().map(|(name, _)| Owner::Namespace(name.clone())))
    }

    /// Returns the gauges of the budgets of the lease's subscription and namespace.
    fn gauges(&self, state: &State, lease: &Lease, moment: &Moment) -> Vec<Gauge> {
        let budgets = self.subscriptions.get(&lease.subscription).map(|known| known.budgets);
        let known = state.of(&lease.subscription);
        let owner = Owner::Subscription(lease.subscription.clone());
        let mut gauges =
            budgets.unwrap_or_default().gauges(&owner, &known.today(moment), &known.month(moment), moment);
        gauges.extend(self.namespace_gauges(state, lease.namespace.as_ref(), moment));
        gauges
    }
}
