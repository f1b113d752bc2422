//! Turns evidence into a verdict, in the same way for all agents. The exit status alone never means a limit,
//! and exit 0 does not rule one out: a terminal session that hit its limit ends with 0.

use std::collections::BTreeMap;

use jiff::{SignedDuration, Zoned};

use super::markers::{self, Marker};
use super::redact::redacted;
use super::reset::FARTHEST;
use super::{Evidence, Exit, Kind, ProviderError};
use crate::pool::{Outcome, Scope, Usage, Verdict, Window};

/// The input of a verdict.
pub struct Case<'a> {
    pub exit: Exit,
    pub evidence: &'a Evidence,
    /// The user's own markers.
    pub more: &'a [Marker],
    /// The model family of the request, if known.
    pub model: Option<&'a str>,
    pub now: &'a Zoned,
}

/// Turns evidence into an outcome. Records are tried before plain text, which counts only if the attempt
/// failed. `built_in` is a function because most attempts need no markers, and compiling them takes longer
/// than the rest of kage's work.
pub(super) fn judge(case: &Case<'_>, built_in: impl Fn() -> &'static [Marker]) -> Outcome {
    let (evidence, now) = (case.evidence, case.now.timestamp());
    let failed = matches!(case.exit, Exit::Code(code) if code != 0);
    let judged = |error: &ProviderError| {
        let known = Some(error.clone()).filter(|error| error.kind != Kind::None);
        let error = known.or_else(|| failed.then(|| by_user_markers(error, case))?)?;
        verdict_of(&error, case).map(|verdict| (error, verdict))
    };
    let latest = || evidence.errors.iter().rev().find_map(judged);
    // A limit that has not been reset counts even if another error follows, such as a broken connection.
    let is_ahead = |error: &ProviderError| error.resets_at.is_none_or(|at| at > now);
    let is_final =
        |error: &&ProviderError| error.kind == Kind::UsageLimit && !error.answered_since && is_ahead(error);
    let recorded = evidence.errors.iter().rev().find(is_final).and_then(judged).or_else(latest);
    let structured = || evidence.if_failed.as_ref().filter(|_| failed).and_then(judged);
    let rendered = || {
        if !failed || evidence.said.is_empty() {
            return None;
        }
        let error = markers::find(evidence.said.iter(), &[case.more, built_in()], case.now)?;
        verdict_of(&error, case).map(|verdict| (error, verdict))
    };
    let outcome = match recorded.or_else(structured).or_else(rendered) {
        Some((error, verdict)) => Outcome {
            act: error.act.filter(|_| verdict.is_refused_account()),
            verdict,
            rule: error.rule,
            evidence: Some(redacted(&error.text)).filter(|text| !text.is_empty()),
            ..by_exit_alone(case.exit)
        },
        None => Outcome {
            evidence: failed.then(|| unknown_request_error(evidence)).flatten(),
            ..by_exit_alone(case.exit)
        },
    };
    let also = evidence.met_by_subagents.iter().filter(|error| is_ahead(error));
    let also = also.map(|error| usage_limit(error, case)).collect();
    Outcome { usage: evidence.usage.clone(), readings: evidence.readings.clone(), also, ..outcome }
}

/// Returns the text of an error with the HTTP status 400 that nothing recognizes. It does not make the
/// subscription unhealthy, but several in a row are reported.
fn unknown_request_error(evidence: &Evidence) -> Option<String> {
    let last = evidence.errors.last().filter(|error| error.kind == Kind::None && !error.answered_since)?;
    last.text.contains(" 400 ").then(|| redacted(&last.text))
}

/// Classifies an error of unknown kind by the user's own markers.
fn by_user_markers(error: &ProviderError, case: &Case<'_>) -> Option<ProviderError> {
    let lines: Vec<String> = error.text.lines().map(str::to_owned).collect();
    let known = markers::find(lines.iter(), &[case.more], case.now)?;
    Some(ProviderError {
        answered_since: error.answered_since,
        at: error.at,
        superseded: error.superseded,
        ..known
    })
}

/// Returns the outcome if only the exit status is known.
pub(super) fn by_exit_alone(exit: Exit) -> Outcome {
    Outcome {
        verdict: by_exit(exit),
        usage: Usage::default(),
        readings: BTreeMap::new(),
        rule: "exit".into(),
        evidence: None,
        act: None,
        also: Vec::new(),
    }
}

/// Returns the verdict for an error at the end of the attempt, or `None` if the error is over. An error is
/// over if the provider answered afterwards, except a limit of one model family: the answer came from another
/// family.
fn verdict_of(error: &ProviderError, case: &Case<'_>) -> Option<Verdict> {
    let limits_one_model = error.kind == Kind::UsageLimit && matches!(error.scope, Scope::Model(_));
    if error.answered_since && !limits_one_model {
        return None;
    }
    Some(match error.kind {
        Kind::UsageLimit => usage_limit(error, case),
        Kind::Throttled => {
            Verdict::Throttled { retry_after: error.retry_after.filter(|pause| *pause <= FARTHEST) }
        }
        Kind::Overloaded => Verdict::Overloaded,
        Kind::Network => Verdict::Unreachable,
        Kind::Timeout => Verdict::TimedOut,
        Kind::Auth => Verdict::AuthRejected,
        Kind::Organization => Verdict::OrganizationRefused,
        Kind::Billing => Verdict::BillingRejected,
        Kind::Startup => Verdict::NotStarted,
        Kind::None => return None,
    })
}

/// The longest time that paid usage can be capped: caps are reset each month.
const LONGEST_CAP: SignedDuration = SignedDuration::from_hours(31 * 24);

fn usage_limit(error: &ProviderError, case: &Case<'_>) -> Verdict {
    let now = case.now.timestamp();
    let unnamed = || Window { name: "usage".into(), long: false };
    let mut window = error.window.clone().unwrap_or_else(unnamed);
    let mut scope = error.scope.clone();
    if let Some(model) = case.model.filter(|_| error.limits_requested_model && scope == Scope::All) {
        window.name = format!("{}_{model}", window.name);
        scope = Scope::Model(model.to_owned());
    }
    let resets_at = error.resets_at.filter(|at| at.duration_since(now) <= FARTHEST);
    let is_cap = window.is_rarely_reset() || window.name.starts_with("extra_usage");
    let latest = now.checked_add(LONGEST_CAP).ok().filter(|_| is_cap);
    let resets_at = resets_at.map(|at| latest.map_or(at, |latest| at.min(latest)));
    Verdict::UsageLimit { scope, window, resets_at }
}

fn by_exit(exit: Exit) -> Verdict {
    match exit {
        Exit::Code(0) => Verdict::Succeeded,
        // 128 + HUP, INT, TERM: the agent caught the signal and exited on its own.
        Exit::Signal(_) | Exit::Code(129 | 130 | 143) => Verdict::Interrupted,
        Exit::Code(_) => Verdict::AgentFailed,
    }
}

#[cfg(test)]
mod tests;
