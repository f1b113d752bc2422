//! The pool at a glance, one subscription in full, and both as JSON.

use jiff::Zoned;
use serde_json::{Map, Value, json};

use super::SCHEMA;
use super::table::painted_table;
use super::time::{counted, grouped, until};
use crate::pool::{Cost, Moment, Pool, State, Status, Subscription, SubscriptionState};
use crate::prices::Prices;

const TITLE: &str = "Subscription Pool Status";

/// One subscription with what is known of it now.
struct Row<'a> {
    subscription: &'a Subscription,
    known: SubscriptionState,
    status: Status,
    running: u32,
    moment: Moment,
}

fn rows<'a>(pool: &'a Pool, state: &State, now: &Zoned) -> Vec<Row<'a>> {
    pool.subscriptions.values().map(|subscription| row(subscription, state, now)).collect()
}

fn row<'a>(subscription: &'a Subscription, state: &State, now: &Zoned) -> Row<'a> {
    let moment = Moment::from(now);
    let known = state.of(&subscription.name);
    let status = known.status(subscription, moment.now);
    Row { subscription, known, status, running: state.running(&subscription.name), moment }
}

/// What `kage status` shows.
pub(crate) fn overview(pool: &Pool, state: &State, now: &Zoned) -> String {
    let rows = rows(pool, state, now);
    let count = |word: &str| rows.iter().filter(|row| row.status.word() == word).count();
    let mut text = format!("{TITLE}\n{}\n\n", "=".repeat(TITLE.len()));
    text += &format!("{:<14}{}/{}\n", "Active:", count("active"), rows.len());
    let others = [
        ("Rate Limited:", "rate_limited"),
        ("Exhausted:", "exhausted"),
        ("Unhealthy:", "unhealthy"),
        ("Disabled:", "disabled"),
    ];
    for (label, word) in others.into_iter().filter(|(_, word)| count(word) > 0) {
        text += &format!("{label:<14}{}\n", count(word));
    }
    let of_row = |row: &Row<'_>| row.known.today(&row.moment).tokens.tokens();
    let tokens = rows.iter().map(of_row).fold(0, u64::saturating_add);
    text += &format!("{:<14}{} tokens today\n", "Total Usage:", grouped(tokens));
    if rows.is_empty() {
        return text + "\nThe pool has no subscription yet. Add one: kage subscription add work\n";
    }
    let with_running = rows.iter().any(|row| row.running > 0);
    let mut head = vec!["Name", "Status", "Priority", "Today Usage"];
    if with_running {
        head.insert(3, "Running");
    }
    let cells = rows.iter().map(|row| {
        let mut cells = vec![
            row.subscription.name.to_string(),
            row.status_cell(now),
            row.subscription.priority.to_string(),
            format!("{} tokens", grouped(row.known.today(&row.moment).tokens.tokens())),
        ];
        if with_running {
            cells.insert(3, row.running.to_string());
        }
        cells
    });
    text + "\n" + &painted_table(&head, cells.collect(), &words(&rows))
}

/// What `kage subscription list` shows; `only` is a status.
pub(crate) fn list(pool: &Pool, state: &State, only: Option<&str>, now: &Zoned) -> String {
    let mut rows = rows(pool, state, now);
    rows.retain(|row| only.is_none_or(|word| row.status.word() == word));
    let cells = rows.iter().map(|row| {
        let subscription = row.subscription;
        vec![
            subscription.name.to_string(),
            subscription.agent.clone(),
            row.status_cell(now),
            subscription.priority.to_string(),
            subscription.tags.join(", "),
            subscription.credential.source.word().to_owned(),
            crate::error::one_line(subscription.description.as_deref().unwrap_or_default()),
        ]
    });
    let head = ["Name", "Agent", "Status", "Priority", "Tags", "Credential", "Description"];
    painted_table(&head, cells.collect(), &words(&rows))
}

fn words(rows: &[Row<'_>]) -> Vec<&'static str> {
    rows.iter().map(|row| row.status.word()).collect()
}

impl Row<'_> {
    fn status_cell(&self, now: &Zoned) -> String {
        let partial = self.known.active_limits(self.moment.now).find(|_| self.status == Status::Active);
        match (self.status.until(), partial) {
            (Some(at), _) => format!("{} until {}", self.status.word(), until(at, now)),
            (None, Some(limit)) => {
                format!("active, {} until {}", limit.scope, until(limit.until, now))
            }
            (None, None) => self.status.word().to_owned(),
        }
    }

    fn json(&self) -> Value {
        let today = self.known.today(&self.moment);
        let utilization: Map<_, _> = self
            .known
            .utilization
            .iter()
            .map(|(window, reading)| (window.clone(), json!(reading.value)))
            .collect();
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
            "runs_today": today.runs,
            "tokens_today": today.tokens.tokens(),
            "limits": self.known.active_limits(self.moment.now).map(|limit| json!({
                "scope": limit.scope, "window": limit.window, "until": limit.until,
            })).collect::<Vec<_>>(),
        })
    }
}

/// `status --json` and `subscription list --json`.
pub(crate) fn pool_json(pool: &Pool, state: &State, only: Option<&str>, now: &Zoned) -> Value {
    let rows = rows(pool, state, now);
    let shown = rows.iter().filter(|row| only.is_none_or(|word| row.status.word() == word));
    json!({
        "schema": SCHEMA,
        "now": now.timestamp(),
        "subscriptions": shown.map(Row::json).collect::<Vec<_>>(),
    })
}

/// `subscription show`. `stored` says whether the backend has the secret.
pub(crate) fn details(subscription: &Subscription, state: &State, stored: &str, now: &Zoned) -> String {
    let row = row(subscription, state, now);
    let today = row.known.today(&row.moment).tokens;
    let none = || "none".to_owned();
    let number = |value: Option<String>| value.unwrap_or_else(none);
    let mut lines = vec![
        ("Name", subscription.name.to_string()),
        ("Agent", subscription.agent.clone()),
        ("Status", row.status_cell(now)),
        ("Priority", subscription.priority.to_string()),
        ("Tags", if subscription.tags.is_empty() { none() } else { subscription.tags.join(", ") }),
        ("Credential", stored.to_owned()),
        ("Max parallel", number(subscription.max_parallel.map(|most| most.to_string()))),
        ("Requests/window", number(subscription.requests_per_window.map(grouped))),
        ("Tokens/day", number(subscription.budgets.tokens_per_day.map(grouped))),
        ("Cost/day", number(subscription.budgets.cost_per_day.map(|cost| cost.to_string()))),
        ("Cost/month", number(subscription.budgets.cost_per_month.map(|cost| cost.to_string()))),
        ("Running", row.running.to_string()),
        (
            "Today",
            format!(
                "{}, {} tokens in, {} out, {} read from cache",
                counted(row.known.today(&row.moment).runs, "run"),
                grouped(today.input_tokens),
                grouped(today.output_tokens),
                grouped(today.cache_read_tokens),
            ),
        ),
    ];
    let unpriced = match row.known.today(&row.moment).unpriced {
        0 => String::new(),
        unpriced => format!(", without {} unpriced tokens", grouped(unpriced)),
    };
    let cost = |cost: Cost| format!("{:.2} USD API-equivalent", cost.dollars());
    lines.push(("Cost today", cost(row.known.today(&row.moment).cost) + &unpriced));
    lines.push(("Cost this month", cost(row.known.month(&row.moment).cost)));
    if let Some(description) = &subscription.description {
        lines.insert(1, ("Description", description.clone()));
    }
    lines.extend(subscription.env.keys().map(|name| ("Sets", name.clone())));
    lines.extend(row.known.changes.iter().rev().map(|change| {
        let at = change.at.to_zoned(now.time_zone().clone()).strftime("%Y-%m-%d %H:%M:%S").to_string();
        let seen = change.evidence.as_ref().map(|text| format!(": {text}")).unwrap_or_default();
        ("Change", format!("{at} {} ({}{seen})", change.to, change.rule))
    }));
    let line = |(label, value): (&str, String)| format!("{label:<16}{}\n", crate::error::one_line(&value));
    lines.into_iter().map(line).collect()
}

/// `subscription show --json`.
pub(crate) fn details_json(
    subscription: &Subscription,
    state: &State,
    prices: &Prices,
    now: &Zoned,
) -> Value {
    let row = row(subscription, state, now);
    let mut value = row.json();
    value["schema"] = json!(SCHEMA);
    value["description"] = json!(subscription.description);
    value["credential"] = json!(subscription.credential.source.word());
    value["enabled"] = json!(subscription.enabled);
    value["max_parallel"] = json!(subscription.max_parallel);
    value["requests_per_window"] = json!(subscription.requests_per_window);
    value["tokens_per_day"] = json!(subscription.budgets.tokens_per_day);
    value["cost_per_day"] = json!(subscription.budgets.cost_per_day.map(Cost::dollars));
    value["cost_per_month"] = json!(subscription.budgets.cost_per_month.map(Cost::dollars));
    let today = row.known.today(&row.moment);
    value["cost_today_usd"] = json!(today.cost.dollars());
    value["unpriced_tokens_today"] = json!(today.unpriced);
    value["cost_this_month_usd"] = json!(row.known.month(&row.moment).cost.dollars());
    value["prices"] = json!(prices.version());
    value["changes"] = json!(row.known.changes);
    value
}
