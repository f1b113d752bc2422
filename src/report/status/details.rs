//! `kage subscription show`: one subscription in full.

use jiff::Zoned;

use super::{CostToday, Row, TableForm, row, windows};
use crate::pool::{Cost, State, Subscription};
use crate::report::time::{counted, grouped};
use crate::text::one_line;

/// The width of a label in columns.
const LABEL: usize = 16;

/// The answer of `subscription show`. `stored` is the credential location, `columns` the terminal's width.
pub fn details(
    subscription: &Subscription,
    state: &State,
    stored: &str,
    columns: Option<usize>,
    now: &Zoned,
) -> String {
    let row = row(subscription, state, now);
    let number = |value: Option<String>| value.unwrap_or_else(none);
    let mut lines = vec![
        ("Name", subscription.name.to_string()),
        ("Agent", subscription.agent.clone()),
        ("Status", row.status_cell(TableForm::Full, now)),
        ("Reason", number(row.known.reason(row.moment.now).map(one_line))),
        ("Priority", subscription.priority.to_string()),
        ("Tags", if subscription.tags.is_empty() { none() } else { subscription.tags.join(", ") }),
        ("Credential", stored.to_owned()),
        ("Max parallel", number(subscription.max_parallel.map(|most| most.to_string()))),
        ("Requests/window", number(subscription.requests_per_window.map(grouped))),
        ("Tokens/day", number(subscription.budgets.tokens_per_day.map(grouped))),
        ("Cost/day", number(subscription.budgets.cost_per_day.map(|cost| cost.to_string()))),
        ("Cost/month", number(subscription.budgets.cost_per_month.map(|cost| cost.to_string()))),
        ("Running", row.running.to_string()),
        ("Today", today(&row)),
        ("Cost today", cost_today(&row)),
        ("Cost this month", dollars(row.known.month(&row.moment).cost)),
    ];
    if let Some(description) = &subscription.description {
        lines.insert(1, ("Description", description.clone()));
    }
    if let Some(minted) = row.known.minted {
        let day = minted.to_zoned(now.time_zone().clone()).date();
        let at = lines.iter().position(|(label, _)| *label == "Credential").map_or(lines.len(), |at| at + 1);
        lines.insert(at, ("Minted", day.to_string()));
    }
    let room = columns.map(|columns| columns.saturating_sub(LABEL));
    let windows = windows::lines(&windows::of("", &row.known), None, room, now);
    lines.extend(windows.into_iter().map(|line| ("Window", line)));
    lines.extend(subscription.env.keys().map(|name| ("Environment", name.clone())));
    lines.extend(row.known.changes.iter().rev().map(|change| {
        let at = change.at.to_zoned(now.time_zone().clone()).strftime("%Y-%m-%d %H:%M:%S").to_string();
        let seen = change.evidence.as_ref().map(|text| format!(": {text}")).unwrap_or_default();
        ("Change", format!("{at} {} ({}{seen})", change.to, change.rule))
    }));
    let line = |(label, value): (&str, String)| format!("{label:<LABEL$}{}\n", one_line(&value));
    lines.into_iter().map(line).collect()
}

fn none() -> String {
    "none".to_owned()
}

fn today(row: &Row<'_>) -> String {
    let today = row.known.today(&row.moment);
    format!(
        "{}, {} tokens in, {} out, {} read from cache",
        counted(today.runs, "run"),
        grouped(today.tokens.input_tokens),
        grouped(today.tokens.output_tokens),
        grouped(today.tokens.cache_read_tokens),
    )
}

fn cost_today(row: &Row<'_>) -> String {
    let CostToday { cost, estimated, unpriced } = row.cost_today();
    let about = if estimated.is_none() { "" } else { "about " };
    match (row.cost_today().dollars(), unpriced) {
        (None, _) => format!("unpriced ({} tokens, including cache)", grouped(unpriced)),
        (Some(_), 0) => format!("{about}{}", dollars(cost)),
        (Some(_), _) => format!("{about}{}, plus {} unpriced tokens", dollars(cost), grouped(unpriced)),
    }
}

fn dollars(cost: Cost) -> String {
    format!("{:.2} USD API-equivalent", cost.dollars())
}
