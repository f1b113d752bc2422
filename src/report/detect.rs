//! `kage detect`: the verdict on saved output, and the evidence for it.

use jiff::Zoned;
use serde_json::{Value, json};

use super::SCHEMA;
use super::time::dated;
use crate::agent::{Agent, Detected};
use crate::pool::Verdict;
use crate::text::one_line;

/// The answer as text.
pub fn detected(detected: &Detected, at: &Zoned) -> String {
    let outcome = &detected.outcome;
    let nothing = match outcome.verdict {
        Verdict::Succeeded => Some("the run succeeded, and no record reports an error"),
        Verdict::AgentFailed => Some("no agent error message was found"),
        Verdict::Interrupted => Some("the run was interrupted, and no agent error message was found"),
        _ => None,
    };
    if let Some(why) = nothing {
        return format!("no limit: {why}\n");
    }
    let mut rows = vec![("verdict", words(&outcome.verdict).to_owned())];
    rows.extend(detected.agent.map(|agent| ("agent", agent.name().to_owned())));
    match &outcome.verdict {
        Verdict::UsageLimit { scope, window, resets_at } => {
            rows.push(("window", window.name.clone()));
            rows.push(("scope", scope.to_string()));
            rows.push(("resets at", resets_at.map_or_else(|| "unknown".into(), |reset| dated(reset, at))));
        }
        Verdict::Throttled { retry_after: Some(pause) } => rows.push(("retry in", format!("{pause:#}"))),
        _ => {}
    }
    rows.push(("rule", outcome.rule.to_string()));
    rows.extend(outcome.evidence.clone().map(|line| ("line", line)));
    let line = |(key, value): &(&str, String)| format!("{key:<9} {}", one_line(value));
    rows.iter().map(line).collect::<Vec<_>>().join("\n") + "\n"
}

fn words(verdict: &Verdict) -> &'static str {
    match verdict {
        Verdict::UsageLimit { .. } => "usage limit",
        Verdict::Throttled { .. } => "throttled",
        Verdict::Overloaded => "overloaded",
        Verdict::AuthRejected => "credential rejected",
        Verdict::OrganizationRefused => "organization does not allow this use",
        Verdict::BillingRejected => "billing problem",
        Verdict::Unreachable => "no limit: the provider could not be reached",
        Verdict::TimedOut => "no limit: the provider did not answer in time",
        Verdict::NotStarted => "no limit: the agent rejected its arguments or settings",
        Verdict::Interrupted | Verdict::Succeeded | Verdict::AgentFailed => "no limit",
    }
}

/// The answer as JSON.
pub fn detected_json(detected: &Detected) -> Value {
    let outcome = &detected.outcome;
    let mut answer = json!({
        "schema": SCHEMA, "verdict": word(&outcome.verdict), "class": outcome.verdict.word(),
        "agent": detected.agent.map(Agent::name), "scope": null, "window": null, "resets_at": null,
        "retry_after_seconds": null, "rule": outcome.rule, "evidence": outcome.evidence,
    });
    match &outcome.verdict {
        Verdict::UsageLimit { scope, window, resets_at } => {
            answer["scope"] = json!(scope);
            answer["window"] = json!(window.name);
            answer["resets_at"] = json!(resets_at);
        }
        Verdict::Throttled { retry_after: Some(pause) } => {
            answer["retry_after_seconds"] = json!(pause.as_secs());
        }
        _ => {}
    }
    answer
}

/// The verdict as one word that scripts can compare.
fn word(verdict: &Verdict) -> &'static str {
    match verdict {
        Verdict::UsageLimit { .. } => "usage_limit",
        Verdict::Throttled { .. } => "throttled",
        Verdict::Overloaded => "overloaded",
        Verdict::AuthRejected | Verdict::OrganizationRefused => "auth",
        Verdict::BillingRejected => "billing",
        _ => "none",
    }
}
