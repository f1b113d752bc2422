//! The pool and one subscription as JSON.

use jiff::Zoned;
use serde_json::{Map, Value, json};

use super::{Row, row, rows, total};
use crate::pool::{Cost, Pool, State, Subscription};
use crate::prices::Prices;
use crate::report::SCHEMA;

/// `status --json` and `subscription list --json`. The totals cover the listed subscriptions only.
pub fn pool_json(pool: &Pool, state: &State, only: Option<&str>, now: &Zoned) -> Value {
    let mut rows = rows(pool, state, now);
    rows.retain(|row| only.is_none_or(|word| row.status.word() == word));
    let total = total(&rows);
    json!({
        "schema": SCHEMA,
        "now": now.timestamp(),
        "running": rows.iter().map(|row| row.running).sum::<u32>(),
        "tokens_today": total.tokens,
        "cost_today_usd": total.cost.dollars(),
        "subscriptions": rows.iter().map(Row::json).collect::<Vec<_>>(),
    })
}

/// `subscription show --json`.
pub fn details_json(subscription: &Subscription, state: &State, prices: &Prices, now: &Zoned) -> Value {
    let row = row(subscription, state, now);
    let mut value = row.json();
    value["schema"] = json!(SCHEMA);
    value["description"] = json!(subscription.description);
    value["credential"] = json!(subscription.credential.source.word());
    value["minted"] = json!(row.known.minted);
    value["enabled"] = json!(subscription.enabled);
    value["max_parallel"] = json!(subscription.max_parallel);
    value["requests_per_window"] = json!(subscription.requests_per_window);
    value["tokens_per_day"] = json!(subscription.budgets.tokens_per_day);
    value["cost_per_day"] = json!(subscription.budgets.cost_per_day.map(Cost::dollars));
    value["cost_per_month"] = json!(subscription.budgets.cost_per_month.map(Cost::dollars));
    value["estimated_cost_today_usd"] = json!(row.known.today(&row.moment).estimated.dollars());
    value["unpriced_tokens_today"] = json!(row.known.today(&row.moment).unpriced);
    value["cost_this_month_usd"] = json!(row.known.month(&row.moment).cost.dollars());
    value["prices"] = json!(prices.version());
    value["changes"] = json!(row.known.changes);
    value
}

impl Row<'_> {
    fn json(&self) -> Value {
        let today = self.known.today(&self.moment);
        let windows = &self.known.utilization;
        let utilization: Map<_, _> =
            windows.iter().map(|(window, reading)| (window.clone(), json!(reading.value))).collect();
        let windows = windows.iter().map(|(window, reading)| {
            json!({
                "window": window,
                "utilization": reading.value,
                "resets_at": reading.resets_at,
                "read_at": reading.read_at,
            })
        });
        json!({
            "name": self.subscription.name,
            "agent": self.subscription.agent,
            "status": self.status.word(),
            "until": self.status.until(),
            "reason": self.known.reason(self.moment.now),
            "priority": self.subscription.priority,
            "tags": self.subscription.tags,
            "running": self.running,
            "utilization": utilization,
            "windows": windows.collect::<Vec<_>>(),
            "runs_today": today.runs,
            "tokens_today": today.tokens.tokens(),
            "cost_today_usd": self.cost_today().dollars(),
            "limits": self.known.active_limits(self.moment.now).map(|limit| json!({
                "scope": limit.scope, "window": limit.window, "until": limit.until,
            })).collect::<Vec<_>>(),
        })
    }
}
