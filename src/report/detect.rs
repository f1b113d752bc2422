//! `kage detect`: the verdict on a saved output, and what it was read from.

use jiff::Zoned;
use serde_json::{Value, json};

use super::SCHEMA;
use super::time::dated;
use crate::agent::{Agent, Detected};
use crate::pool::Verdict;
use crate::text::one_line;

/// The answer for a person.
pub fn detected(detected: &Detected, at: &Zoned) -> String {
    let outcome = &detected.outcome;
    let nothing = match outcome.verdict {
        Verdict::Succeeded => Some("the run succeeded, and no record says otherwise"),
        Verdict::AgentFailed => Some("nothing in it is an agent's own error message"),
        Verdict::Interrupted => {
            Some("the run was interrupted, and nothing in it is an agent's own error message")
        }
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
        Verdict::AuthRejected => "authentication refused",
        Verdict::OrganisationRefused => "refused by the organisation",
        Verdict::BillingRejected => "billing refused",
        Verdict::Unreachable => "no limit: the provider was not reached",
        Verdict::TimedOut => "no limit: the provider did not answer in time",
        Verdict::NotStarted => "no limit: the agent refused its arguments or settings",
        Verdict::Interrupted | Verdict::Succeeded | Verdict::AgentFailed => "no limit",
    }
}

/// The answer for a program.
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

/// What a script has to tell apart.
fn word(verdict: &Verdict) -> &'static str {
    match verdict {
        Verdict::UsageLimit { .. } => "usage_limit",
        Verdict::Throttled { .. } => "throttled",
        Verdict::Overloaded => "overloaded",
        Verdict::AuthRejected | Verdict::OrganisationRefused => "auth",
        Verdict::BillingRejected => "billing",
        _ => "none",
    }
}
