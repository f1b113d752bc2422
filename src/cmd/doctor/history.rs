//! What past runs show: cost budgets that cannot limit a model that was used this month, because no price is
//! known, and a subscription whose requests are refused for an unknown reason.

use jiff::Zoned;
use jiff::tz::TimeZone;

use super::{Finding, Scene, edit};
use crate::config::{self, Config};
use crate::engine::{Query, unpriced_models};
use crate::pool::Owner;
use crate::text::one_line;

pub(super) fn examine(scene: &Scene) -> Vec<Finding> {
    let Some(config) = &scene.config else { return Vec::new() };
    let pool = &config.pool;
    let own = pool.subscriptions.keys().filter_map(|name| pool.cost_budget(name, None));
    let namespaces = pool.namespaces.iter().filter(|(_, budgets)| budgets.limits_cost());
    let owners: Vec<_> = own.chain(namespaces.map(|(name, _)| Owner::Namespace(name.clone()))).collect();
    let unpriced = owners.iter().filter_map(|owner| unlimited_model(owner, config, scene));
    unpriced.chain(refused_repeatedly(scene)).collect()
}

fn refused_repeatedly(scene: &Scene) -> Option<Finding> {
    let (name, times) = scene.state.as_ref()?.refused_repeatedly()?;
    let message = format!("the last {times} attempts on `{name}` ended with an unknown HTTP 400");
    Some(Finding::warning("requests-refused", message, format!("kage subscription disable {name}")))
}

/// The finding if a model was used this month that a cost budget cannot limit.
fn unlimited_model(owner: &Owner, config: &Config, scene: &Scene) -> Option<Finding> {
    let mut query = Query::all(TimeZone::system());
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
    let models = unpriced_models(&scene.paths, config, &query).ok()?;
    let models: Vec<_> = models.iter().map(|model| one_line(model)).collect();
    if models.is_empty() {
        return None;
    }
    let message = format!("the cost budget of {whose} cannot limit {}: no price is known", models.join(", "));
    let line = config::line_of(&scene.paths, &["prices"]);
    Some(Finding::warning("budget-unpriced", message, edit(&scene.paths.config, line)))
}
