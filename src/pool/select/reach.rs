//! Which subscriptions the routes of a request allow, as primary or as fallback.

use crate::pool::{Name, Pool, Request, Route, Selector, Subscription};

/// How a route allows a subscription: as primary or as fallback.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Tier {
    Primary,
    Fallback,
}

impl Route {
    fn tier(&self, subscription: &Subscription) -> Option<Tier> {
        let in_set = |set: &[Selector]| set.iter().any(|selector| selector.matches(subscription));
        if in_set(&self.primary) {
            Some(Tier::Primary)
        } else if in_set(&self.fallback) {
            Some(Tier::Fallback)
        } else {
            None
        }
    }
}

/// Returns the routes that apply to a request with their keys: the route of its namespace, then of its level.
pub(super) fn applying<'a>(pool: &'a Pool, request: &'a Request) -> Vec<(&'a str, &'a Route)> {
    let keys = request.namespace.as_ref().map(Name::as_str).into_iter().chain([request.level.as_str()]);
    keys.filter_map(|key| pool.routes.get(key).map(|route| (key, route))).collect()
}

/// Returns the key of the first route that does not allow the subscription.
pub(super) fn refusing<'a>(routes: &[(&'a str, &Route)], subscription: &Subscription) -> Option<&'a str> {
    let refuses = |route: &Route| route.tier(subscription).is_none();
    routes.iter().find(|(_, route)| refuses(route)).map(|(key, _)| *key)
}

/// Returns the tier in which all routes together allow the subscription; `None` if one of them does not allow
/// it.
pub(super) fn tier(routes: &[(&str, &Route)], subscription: &Subscription) -> Option<Tier> {
    routes.iter().try_fold(Tier::Primary, |reach, (_, route)| Some(reach.max(route.tier(subscription)?)))
}

impl Selector {
    fn matches(&self, subscription: &Subscription) -> bool {
        match self {
            Self::Name(name) => *name == subscription.name,
            Self::Tag(tag) => subscription.tags.contains(tag),
        }
    }
}
