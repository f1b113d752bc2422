//! The single lines that kage says on stderr, and what `--dry-run` prints.

use std::ffi::{OsStr, OsString};

use jiff::Zoned;

use super::time::{clock, until};
use crate::agent::{DEFAULT_AGENT, LaunchPlan};
use crate::error::{Failure, Status};
use crate::pool::{Candidate, Change, Exclusion, Name, NotReady, Outcome, Ranking, Request, Rule, Verdict};
use crate::text::{one_line, pasted, quoted};

/// How many reasons fit into one line.
const MOST_REASONS: usize = 4;

/// `work-a is rate_limited until 13:00 (1h 12m)`.
pub fn because(name: &Name, exclusion: &Exclusion, now: &Zoned) -> String {
    let clause = &exclusion.detail;
    let detail = match clause.strip_prefix("it is ") {
        _ if exclusion.of_namespace => clause.clone(),
        Some(rest) => format!("`{name}` is {rest}"),
        None => format!("`{name}`: {clause}"),
    };
    match exclusion.until {
        Some(at) => format!("{detail} until {}", until(at, now)),
        None => detail,
    }
}

/// Why nothing can run, and when something can.
pub fn not_ready(why: &NotReady, request: &Request, now: &Zoned) -> Failure {
    let failure = |message: String| Failure::new(Status::NotReady, message);
    match why {
        NotReady::EmptyPool => failure("the pool has no subscription".into())
            .hint("kage subscription add work (kage demo shows what it is good for)"),
        NotReady::EmptyRoute(keys) => {
            let keys = keys.iter().map(|key| format!("`{key}`")).collect::<Vec<_>>().join(" and ");
            failure(format!("the routes that apply ({keys}) have no subscription in common"))
                .hint("kage subscription route --list")
        }
        NotReady::Excluded(candidates) => failure(excluded(candidates, request, now)).hint(ask_why(request)),
    }
}

fn excluded(candidates: &[Candidate], request: &Request, now: &Zoned) -> String {
    let exclusions = candidates.iter().filter_map(|candidate| match &candidate.ranking {
        Ranking::Excluded(exclusion) => Some((&candidate.name, exclusion)),
        Ranking::Ranked { .. } => None,
    });
    // What was never meant for this run is no reason, unless there is no other.
    let foreign = |rule: Rule| matches!(rule, Rule::Agent | Rule::Route | Rule::Tag);
    let (meant, rest): (Vec<_>, Vec<_>) = exclusions.partition(|(_, exclusion)| !foreign(exclusion.rule));
    let reasons = if meant.is_empty() { rest } else { meant };
    let earliest = reasons.iter().filter_map(|(_, exclusion)| exclusion.until).min();
    let mut clauses: Vec<_> = reasons.iter().map(|(name, exclusion)| because(name, exclusion, now)).collect();
    clauses.dedup(); // the namespace's own, once and not for each subscription
    let more = clauses.len().saturating_sub(MOST_REASONS);
    clauses.truncate(MOST_REASONS);
    let mut text = clauses.join("; ");
    if more > 0 {
        text = format!("{text}; and {more} more");
    }
    let who = nobody(request);
    match earliest {
        Some(at) => format!("{who} before {}: {text}", until(at, now)),
        None => format!("{who}: {text}"),
    }
}

/// The command that tells of each subscription why it was not chosen.
fn ask_why(request: &Request) -> String {
    let agent = Some(&request.agent).filter(|agent| *agent != DEFAULT_AGENT);
    let agent = agent.map_or_else(String::new, |agent| format!(" --agent {agent}"));
    format!("kage why{agent}{}", flags(request))
}

/// The request's own flags, for the command in a hint.
fn flags(request: &Request) -> String {
    let mut flags = String::new();
    if let Some(namespace) = &request.namespace {
        flags = format!("{flags} -n {namespace}");
    }
    if request.level != crate::pool::Level::default() {
        flags = format!("{flags} -p {}", request.level.as_str());
    }
    for tag in &request.tags {
        flags = format!("{flags} -t {tag}");
    }
    if request.over_budget {
        flags += " --over-budget";
    }
    flags
}

/// A change of status, at the end of the attempt that brought it.
pub fn changed(name: &Name, change: &Change, outcome: &Outcome, now: &Zoned) -> String {
    let Some(what) = what_happened(name, &outcome.verdict) else {
        return format!("{name} is {} again", change.to);
    };
    match change.until {
        Some(at) => format!("{what}; {} until {}", change.to, until(at, now)),
        None => format!("{what}; {}", change.to),
    }
}

/// Why an attempt does not stand: `work-premium hit its 5-hour limit (until 13:00)`.
pub fn refused(name: &Name, outcome: &Outcome, now: &Zoned) -> String {
    let what = what_happened(name, &outcome.verdict).unwrap_or_else(|| format!("{name} did not answer"));
    match &outcome.verdict {
        Verdict::UsageLimit { resets_at: Some(at), .. } => format!("{what} (until {})", clock(*at, now)),
        _ => what,
    }
}

fn what_happened(name: &Name, verdict: &Verdict) -> Option<String> {
    Some(match verdict {
        Verdict::UsageLimit { window, .. } => format!("{name} hit its {} limit", window_word(&window.name)),
        Verdict::Throttled { .. } => format!("{name} was throttled"),
        Verdict::AuthRejected => format!("the credential of {name} was rejected"),
        Verdict::OrganisationRefused => format!("the organisation of {name} does not allow this use"),
        Verdict::BillingRejected => format!("billing of {name} was rejected"),
        Verdict::Overloaded => "the provider is overloaded".to_owned(),
        Verdict::Unreachable => "the provider was not reached".to_owned(),
        Verdict::TimedOut => "the provider did not answer in time".to_owned(),
        Verdict::Succeeded | Verdict::AgentFailed | Verdict::NotStarted | Verdict::Interrupted => {
            return None;
        }
    })
}

/// That there is nothing to go on with: `no subscription is ready before 13:00 (1h 12m)`.
pub fn no_other(why: &NotReady, request: &Request, now: &Zoned) -> String {
    match (why.earliest(), &request.only) {
        (Some(at), _) => format!("{} before {}", nobody(request), until(at, now)),
        (None, Some(only)) => format!("`{only}` is not ready"),
        (None, None) => nobody(request).replace("no subscription", "no other subscription"),
    }
}

fn nobody(request: &Request) -> String {
    match (&request.only, &request.namespace) {
        (Some(only), _) => format!("`{only}` is not ready"),
        (None, Some(namespace)) => format!("no subscription is ready for `{namespace}`"),
        (None, None) => "no subscription is ready".to_owned(),
    }
}

/// The provider's word for a window, as people say it.
pub(super) fn window_word(window: &str) -> String {
    match window {
        "five_hour" => "5-hour".to_owned(),
        "seven_day" => "weekly".to_owned(),
        other => other.strip_prefix("seven_day_").unwrap_or(other).replace('_', " "),
    }
}

/// What a run would do. The secret itself is not fetched.
pub fn dry_run(name: &Name, program: &std::path::Path, plan: &LaunchPlan, credential: &str) -> String {
    let args = plan.args.iter().map(|arg| quoted(&arg.to_string_lossy())).collect::<Vec<_>>().join(" ");
    let mut lines = vec![
        format!("subscription  {name}"),
        format!("program       {}", program.display()),
        format!("arguments     {args}"),
        format!("credential    {credential}"),
    ];
    // By name only: a gateway's token may stand among them.
    lines.extend(plan.set.iter().map(|(variable, _)| format!("set           {variable}")));
    lines.extend(plan.remove.iter().map(|variable| format!("not passed on {variable}")));
    lines.extend(plan.warnings.iter().map(|warning| format!("warning       {warning}")));
    lines.iter().map(|line| one_line(line) + "\n").collect()
}

/// The command that goes on with a conversation on a subscription.
pub fn command(to: &Name, request: &Request, keep: &[String], program: &OsStr, args: &[OsString]) -> String {
    let words = std::iter::once(program).chain(args.iter().map(OsString::as_os_str));
    let words = words.map(pasted).collect::<Vec<_>>().join(" ");
    let kept: String = keep.iter().flat_map(|name| [" --keep-env ", name]).collect();
    format!("kage exec -s {to}{}{kept} -- {words}", flags(request))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_dry_run_shows_no_value_and_no_escape() {
        let plan = LaunchPlan {
            args: vec!["-p".into(), "a\u{1b}[2Jb".into()],
            set: vec![("TOKEN".into(), "hidden".into())],
            warnings: vec!["odd\u{1b}]0;title\u{7}\nend".into()],
            ..LaunchPlan::default()
        };
        let text = dry_run(&"work".parse().unwrap(), "/bin/\u{1b}c".as_ref(), &plan, "from file");
        let expected = "subscription  work\nprogram       /bin/ c\narguments     -p 'a [2Jb'\n\
                        credential    from file\nset           TOKEN\nwarning       odd ]0;title  end\n";
        assert_eq!(text, expected);
    }
}
