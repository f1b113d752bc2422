//! From Claude Code's records and exit status to a verdict. The exit status alone never means a limit, and
//! exit 0 hides one: a terminal session that hit its limit ends with 0.

use jiff::SignedDuration;

use crate::agent::{Evidence, Exit, ProviderError};
use crate::pool::{Outcome, Scope, Verdict, Window};

const FAMILIES: [&str; 4] = ["opus", "sonnet", "haiku", "fable"];
/// A limit that lasts longer than this is one of days.
const LONGEST_HOURS: SignedDuration = SignedDuration::from_hours(24);

/// The family in a model's name or alias.
pub(super) fn family(model: &str) -> Option<String> {
    let model = model.to_ascii_lowercase();
    FAMILIES.into_iter().find(|family| model.contains(family)).map(str::to_owned)
}

/// What the evidence means.
pub(super) fn judge(exit: Exit, evidence: &Evidence) -> Outcome {
    let standing = evidence.errors.iter().rev().find_map(|error| Some((error, verdict_of(error)?)));
    let usage = evidence.usage.clone();
    match standing {
        Some((error, verdict)) => {
            Outcome { verdict, usage, rule: "transcript", evidence: Some(error.text.clone()) }
        }
        None => Outcome { verdict: by_exit(exit), usage, rule: "exit", evidence: None },
    }
}

/// What an error still means at the end: one that the provider answered after is over, unless it was a
/// limit of one model family and the answer came from another.
fn verdict_of(error: &ProviderError) -> Option<Verdict> {
    if error.is_usage_limit {
        let limit = usage_limit(error);
        let of_one_model = matches!(limit, Verdict::UsageLimit { scope: Scope::Model(_), .. });
        return (of_one_model || !error.answered_since).then_some(limit);
    }
    if error.answered_since {
        return None;
    }
    match error.class.as_str() {
        "rate_limit" => Some(Verdict::Throttled { retry_after: None }),
        "overloaded" | "server_error" => Some(Verdict::Overloaded),
        "authentication_failed" | "oauth_org_not_allowed" | "account_on_hold" | "verification_required" => {
            Some(Verdict::AuthRejected)
        }
        "billing_error" => Some(Verdict::BillingRejected),
        _ => None,
    }
}

fn usage_limit(error: &ProviderError) -> Verdict {
    let name = error.window.clone().unwrap_or_else(|| "usage".to_owned());
    let scope = name.split_once("_day_").and_then(|(_, rest)| family(rest)).map_or(Scope::All, Scope::Model);
    let far = error.resets_at.is_some_and(|at| at.duration_since(error.at) > LONGEST_HOURS);
    let long = name.starts_with("seven_day") || (far && !name.starts_with("five_hour"));
    Verdict::UsageLimit { scope, window: Window { name, long }, resets_at: error.resets_at }
}

fn by_exit(exit: Exit) -> Verdict {
    match exit {
        Exit::Code(0) => Verdict::Succeeded,
        // 128 + HUP, INT, TERM: an agent that caught the signal and ended by itself.
        Exit::Signal(_) | Exit::Code(129 | 130 | 143) => Verdict::Interrupted,
        Exit::Code(_) => Verdict::AgentFailed,
    }
}

#[cfg(test)]
mod tests;
