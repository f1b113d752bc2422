//! `kage metrics`: counters from the ledger and gauges from the state, as `OpenMetrics` text.
//!
//! Only counters and gauges: the collector of `node_exporter` reads the older Prometheus text format, in
//! which these two types are the same and newer types are invalid. Source: the `OpenMetrics` specification
//! 1.0, "ABNF"; Prometheus' expfmt.

use std::collections::BTreeMap;

use jiff::Timestamp;

use super::usage::Worth;
use crate::ledger::{Answer, Key, Keys};
use crate::pool::{Pool, State, Status, SubscriptionState, Window, family_name};
use crate::text::is_harmless;

/// The input of the metrics.
pub struct Metrics<'a> {
    /// All attempts of the ledger, by subscription, agent and verdict.
    pub attempts: &'a Answer,
    /// All tokens of the ledger, by subscription and model.
    pub models: &'a Answer,
    pub pool: &'a Pool,
    pub state: &'a State,
    pub now: Timestamp,
}

/// A metric and its samples.
struct Family {
    name: &'static str,
    kind: &'static str,
    /// The suffix of the name, as `OpenMetrics` requires.
    unit: Option<&'static str>,
    help: &'static str,
    samples: Vec<String>,
}

impl Family {
    fn counter(name: &'static str, unit: Option<&'static str>, help: &'static str) -> Self {
        Self { name, kind: "counter", unit, help, samples: Vec::new() }
    }

    fn gauge(name: &'static str, unit: Option<&'static str>, help: &'static str) -> Self {
        Self { name, kind: "gauge", unit, help, samples: Vec::new() }
    }

    fn add(&mut self, labels: &[(&str, &str)], value: impl std::fmt::Display) {
        let labels = labels.iter().map(|(name, value)| format!("{name}=\"{}\"", escaped(value)));
        let labels = labels.collect::<Vec<_>>().join(",");
        let suffix = if self.kind == "counter" { "_total" } else { "" };
        self.samples.push(format!("{}{suffix}{{{labels}}} {value}\n", self.name));
    }

    fn text(&self) -> String {
        let Self { name, kind, help, .. } = self;
        let unit = self.unit.map(|unit| format!("# UNIT {name} {unit}\n")).unwrap_or_default();
        format!("# TYPE {name} {kind}\n{unit}# HELP {name} {help}\n{}", self.samples.concat())
    }
}

/// Escapes a label value. Characters that could control a terminal are written as their code points, so that
/// different values stay different.
fn escaped(value: &str) -> String {
    let escape = |character: char| match character {
        '\n' => "\n".to_owned(),
        _ if is_harmless(character) => character.to_string(),
        _ => character.escape_unicode().to_string(),
    };
    let value: String = value.chars().map(escape).collect();
    value.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n")
}

/// All metrics as text.
pub fn metrics(metrics: &Metrics<'_>) -> String {
    let families =
        attempts(metrics.attempts).into_iter().chain(tokens(metrics.models)).chain(gauges(metrics));
    families.map(|family| family.text()).chain(["# EOF\n".to_owned()]).collect()
}

/// The keys of a row; a key that is not text is empty.
fn texts(keys: &Keys) -> Vec<&str> {
    keys.iter().map(|key| if let Key::Text(text) = key { text.as_str() } else { "" }).collect()
}

fn attempts(answer: &Answer) -> [Family; 2] {
    let mut runs = Family::counter("kage_runs", None, "Runs of kage exec that started on the subscription.");
    let mut attempts = Family::counter("kage_attempts", None, "Starts of an agent, by verdict.");
    let mut runs_of = BTreeMap::<&str, u64>::new();
    for (keys, tally) in &answer.rows {
        if let [subscription, agent, verdict] = texts(keys)[..] {
            *runs_of.entry(subscription).or_default() += tally.runs;
            let labels = [("subscription", subscription), ("agent", agent), ("verdict", verdict)];
            attempts.add(&labels, tally.attempts);
        }
    }
    for (subscription, count) in runs_of {
        runs.add(&[("subscription", subscription)], count);
    }
    [runs, attempts]
}

fn tokens(answer: &Answer) -> [Family; 2] {
    let mut tokens =
        Family::counter("kage_tokens", Some("tokens"), "Tokens, by kind; each kind has its own price.");
    let help = "API-equivalent cost of tokens with a known price; not what you paid.";
    let mut cost = Family::counter("kage_cost_usd", Some("usd"), help);
    for (keys, tally) in &answer.rows {
        let [subscription, model] = texts(keys)[..] else { continue };
        let labels = [("subscription", subscription), ("model", model)];
        for (kind, count) in tally.tokens.by_kind() {
            if let Some(kind) = kind.price {
                tokens.add(&[labels[0], labels[1], ("kind", kind)], count);
            }
        }
        if let Some(known) = Worth::of(tally).known() {
            cost.add(&labels, known.dollars());
        }
    }
    [tokens, cost]
}

/// Every status a subscription can have.
const STATUSES: [Status; 5] = [
    Status::Active,
    Status::RateLimited { until: Timestamp::UNIX_EPOCH },
    Status::Exhausted { until: Timestamp::UNIX_EPOCH },
    Status::Unhealthy { until: Timestamp::UNIX_EPOCH },
    Status::Disabled,
];

fn gauges(metrics: &Metrics<'_>) -> [Family; 5] {
    let now = metrics.now;
    let mut status =
        Family::gauge("kage_subscription_status", None, "1 for the current status, 0 for the others.");
    let mut running = Family::gauge("kage_running_agents", None, "Agents that are running.");
    let mut windows = [
        Family::gauge("kage_utilization_ratio", Some("ratio"), "Utilization of a window, as last read."),
        Family::gauge("kage_reset_seconds", Some("seconds"), "Time until the window resets."),
    ];
    let mut limit = Family::gauge("kage_limit_seconds", Some("seconds"), "Time until the limit ends.");
    for (name, subscription) in &metrics.pool.subscriptions {
        let known = metrics.state.of(name);
        let name = name.as_str();
        let current = known.status(subscription, now).word();
        for word in STATUSES.map(Status::word) {
            status.add(&[("subscription", name), ("status", word)], u8::from(word == current));
        }
        running.add(&[("subscription", name)], metrics.state.running(&subscription.name));
        add_windows(&mut windows, name, &known, now);
        for active in known.active_limits(now) {
            let scope = active.scope.to_string();
            let model = active.scope.model().map(family_name);
            let labels =
                [("subscription", name), ("scope", scope.as_str()), ("window", active.window.as_str())];
            let seconds = active.until.duration_since(now).as_secs();
            limit.add(&with_model(&labels, model.as_deref()), seconds);
        }
    }
    let [utilization, reset] = windows;
    [status, running, utilization, reset, limit]
}

/// Adds the label of a window or a limit that covers one family of models.
fn with_model<'a>(labels: &[(&'a str, &'a str)], model: Option<&'a str>) -> Vec<(&'a str, &'a str)> {
    labels.iter().copied().chain(model.map(|model| ("model", model))).collect()
}

/// The utilization of a window is unknown after its reset.
fn add_windows([ratio, reset]: &mut [Family; 2], name: &str, known: &SubscriptionState, now: Timestamp) {
    for (window, reading) in &known.utilization {
        let model = Window::model_of(window).map(family_name);
        let labels = [("subscription", name), ("window", window.as_str())];
        let labels = with_model(&labels, model.as_deref());
        if reading.resets_at.is_none_or(|at| at > now) {
            ratio.add(&labels, reading.value);
        }
        if let Some(at) = reading.resets_at.filter(|&at| at > now) {
            reset.add(&labels, at.duration_since(now).as_secs());
        }
    }
}

#[cfg(test)]
mod tests;
