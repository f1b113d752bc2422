//! Budgets of costs that cannot bind, because no price is known for a model that was used this month.

use jiff::Zoned;
use jiff::tz::TimeZone;

use super::{Finding, Scene, edit};
use crate::config::{self, Config};
use crate::ledger::{By, Key, Ledger, Query};
use crate::pool::Owner;
use crate::text::one_line;

pub(super) fn examine(scene: &Scene) -> Vec<Finding> {
    let Some(config) = &scene.config else { return Vec::new() };
    let pool = &config.pool;
    let own = pool.subscriptions.keys().filter_map(|name| pool.cost_budget(name, None));
    let namespaces = pool.namespaces.iter().filter(|(_, budgets)| budgets.limits_cost());
    let owners: Vec<_> = own.chain(namespaces.map(|(name, _)| Owner::Namespace(name.clone()))).collect();
    owners.iter().filter_map(|owner| finding(owner, config, scene)).collect()
}

fn finding(owner: &Owner, config: &Config, scene: &Scene) -> Option<Finding> {
    let mut query = Query::all(TimeZone::system()).by(&[By::Model]);
    query.since = Some(Zoned::now().date().first_of_month());
    let whose = match owner {
        Owner::Subscription(name) => {
            query.subscription = Some(name.clone());
            format!("`{name}`")
        }
        Owner::Namespace(name) => {
            query.namespace = Some(name.clone());
            format!("namespace `{name}`")
        }
    };
    let answer = Ledger::new(&scene.paths.state).usage(&query, &config.prices).ok()?;
    let unpriced = answer.rows.iter().filter(|(_, tally)| tally.unpriced > 0);
    let models: Vec<_> = unpriced
        .filter_map(|(keys, _)| match keys.as_slice() {
            [Key::Text(model)] => Some(one_line(model)),
            _ => None,
        })
        .collect();
    if models.is_empty() {
        return None;
    }
    let message =
        format!("the cost budget of {whose} cannot bind: no price is known for {}", models.join(", "));
    let line = config::line_of(&scene.paths, &["prices"]);
    Some(Finding::warning("budget-unpriced", message, edit(&scene.paths.config, line)))
}
