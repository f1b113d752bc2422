//! From evidence to a verdict, the same for all agents. The exit status alone never means a limit, and
//! exit 0 hides one: a terminal session that hit its limit ends with 0.

use std::collections::BTreeMap;

use jiff::{Timestamp, Zoned};

use super::markers::{self, Marker};
use super::redact::redacted;
use super::reset::FARTHEST;
use super::{Evidence, Exit, Kind, ProviderError};
use crate::pool::{Outcome, Scope, Usage, Verdict, Window};

/// What a verdict goes by.
pub struct Case<'a> {
    pub exit: Exit,
    pub evidence: &'a Evidence,
    /// The user's own markers.
    pub more: &'a [Marker],
    pub now: &'a Zoned,
}

/// What the evidence means. Records come before words, and words count only of a failed attempt. Most
/// attempts need no markers, and to read them takes longer than all else that kage does.
pub(super) fn judge(case: &Case<'_>, own: impl Fn() -> &'static [Marker]) -> Outcome {
    let (evidence, now) = (case.evidence, case.now.timestamp());
    let failed = matches!(case.exit, Exit::Code(code) if code != 0);
    let meant = |error: &ProviderError| {
        let known = Some(error.clone()).filter(|error| error.kind != Kind::None);
        let error = known.or_else(|| failed.then(|| of_the_user(error, case))?)?;
        verdict_of(&error, now).map(|verdict| (error, verdict))
    };
    let latest = || evidence.errors.iter().rev().find_map(meant);
    // A connection that breaks later does not end a limit.
    let ahead = |error: &ProviderError| error.resets_at.is_none_or(|at| at > now);
    let is_final =
        |error: &&ProviderError| error.kind == Kind::UsageLimit && !error.answered_since && ahead(error);
    let recorded = evidence.errors.iter().rev().find(is_final).and_then(meant).or_else(latest);
    let told = || evidence.of_failure.as_ref().filter(|_| failed).and_then(meant);
    let rendered = || {
        if !failed || evidence.said.is_empty() {
            return None;
        }
        let error = markers::find(evidence.said.iter(), &[case.more, own()], case.now)?;
        verdict_of(&error, now).map(|verdict| (error, verdict))
    };
    let outcome = match recorded.or_else(told).or_else(rendered) {
        Some((error, verdict)) => Outcome {
            verdict,
            rule: error.rule,
            evidence: Some(redacted(&error.text)).filter(|text| !text.is_empty()),
            ..by_exit_alone(case.exit)
        },
        None => by_exit_alone(case.exit),
    };
    Outcome { usage: evidence.usage.clone(), readings: evidence.readings.clone(), ..outcome }
}

/// What the user's own markers make of an error that means nothing by itself.
fn of_the_user(error: &ProviderError, case: &Case<'_>) -> Option<ProviderError> {
    let lines: Vec<String> = error.text.lines().map(str::to_owned).collect();
    let known = markers::find(lines.iter(), &[case.more], case.now)?;
    Some(ProviderError {
        answered_since: error.answered_since,
        at: error.at,
        overtaken: error.overtaken,
        ..known
    })
}

/// What is known where nothing but the exit status is.
pub(super) fn by_exit_alone(exit: Exit) -> Outcome {
    Outcome {
        verdict: by_exit(exit),
        usage: Usage::default(),
        readings: BTreeMap::new(),
        rule: "exit".into(),
        evidence: None,
    }
}

/// What an error still means at the end: one that the provider answered after is over, unless it was a
/// limit of one model family and the answer came from another.
fn verdict_of(error: &ProviderError, now: Timestamp) -> Option<Verdict> {
    let of_one_model = error.kind == Kind::UsageLimit && matches!(error.scope, Scope::Model(_));
    if error.answered_since && !of_one_model {
        return None;
    }
    Some(match error.kind {
        Kind::UsageLimit => Verdict::UsageLimit {
            scope: error.scope.clone(),
            window: error.window.clone().unwrap_or_else(|| Window { name: "usage".into(), long: false }),
            resets_at: error.resets_at.filter(|at| at.duration_since(now) <= FARTHEST),
        },
        Kind::Throttled => {
            Verdict::Throttled { retry_after: error.retry_after.filter(|pause| *pause <= FARTHEST) }
        }
        Kind::Overloaded => Verdict::Overloaded,
        Kind::Network => Verdict::Unreachable,
        Kind::Timeout => Verdict::TimedOut,
        Kind::Auth => Verdict::AuthRejected,
        Kind::Organisation => Verdict::OrganisationRefused,
        Kind::Billing => Verdict::BillingRejected,
        Kind::Startup => Verdict::NotStarted,
        Kind::None => return None,
    })
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
