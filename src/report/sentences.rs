//! The sentences about subscriptions that kage prints on stderr, and the output of `--dry-run`.

use std::ffi::{OsStr, OsString};

use jiff::Zoned;

use super::time::{clock, until};
use crate::agent::{DEFAULT_AGENT, LaunchPlan};
use crate::error::{Failure, Status};
use crate::pool::{
    Candidate, Change, Exclusion, Name, NotReady, Outcome, Ranking, Request, Rule, Verdict, Window,
    family_name,
};
use crate::text::{one_line, pasted, quoted};

/// The maximum number of reasons in one line.
const MOST_REASONS: usize = 4;

/// Why a subscription is excluded: `` `work-a` is rate_limited until 13:00 (1h 12m) ``.
pub(super) fn exclusion_text(name: &Name, exclusion: &Exclusion, now: &Zoned) -> String {
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

/// The error of a run for which no subscription is ready: the reasons, and until when.
pub fn not_ready(why: &NotReady, request: &Request, now: &Zoned) -> Failure {
    let failure = |message: String| Failure::new(Status::NotReady, message);
    match why {
        NotReady::EmptyPool => failure("the pool has no subscriptions".into())
            .hint("kage subscription add work (to try kage first: kage demo)"),
        NotReady::EmptyRoute(keys) => {
            let keys = keys.iter().map(|key| format!("`{key}`")).collect::<Vec<_>>().join(" and ");
            failure(format!("no subscription is allowed by every applicable route ({keys})"))
                .hint("kage subscription route --list")
        }
        NotReady::Excluded(candidates) => {
            failure(excluded(candidates, request, now)).hint(why_command(request))
        }
    }
}

fn excluded(candidates: &[Candidate], request: &Request, now: &Zoned) -> String {
    let exclusions = candidates.iter().filter_map(|candidate| match &candidate.ranking {
        Ranking::Excluded(exclusion) => Some((&candidate.name, exclusion)),
        Ranking::Ranked { .. } => None,
    });
    // A subscription that can never serve this request is listed only if there is no other.
    let never_fits = |rule: Rule| matches!(rule, Rule::Agent | Rule::Route | Rule::Tag);
    let (fitting, others): (Vec<_>, Vec<_>) =
        exclusions.partition(|(_, exclusion)| !never_fits(exclusion.rule));
    let reasons = if fitting.is_empty() { others } else { fitting };
    let earliest = reasons.iter().filter_map(|(_, exclusion)| exclusion.until).min();
    let mut clauses: Vec<_> =
        reasons.iter().map(|(name, exclusion)| exclusion_text(name, exclusion, now)).collect();
    clauses.dedup(); // a reason of the namespace is the same for each subscription
    let more = clauses.len().saturating_sub(MOST_REASONS);
    clauses.truncate(MOST_REASONS);
    let mut text = clauses.join("; ");
    if more > 0 {
        text = format!("{text}; and {more} more");
    }
    let none = none_ready(request);
    match earliest {
        Some(at) => format!("{none} until {}: {text}", until(at, now)),
        None => format!("{none}: {text}"),
    }
}

/// The command that explains for each subscription why it was not chosen.
fn why_command(request: &Request) -> String {
    let agent = Some(&request.agent).filter(|agent| *agent != DEFAULT_AGENT);
    let agent = agent.map_or_else(String::new, |agent| format!(" --agent {agent}"));
    format!("kage why{agent}{}", flags(request))
}

/// The flags of a request, for the command in a hint.
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

/// The change of status that an attempt caused: `a hit its 5-hour limit; rate_limited until 13:00 (1h 12m)`.
pub fn changed(name: &Name, change: &Change, outcome: &Outcome, now: &Zoned) -> String {
    let of_subagent = || outcome.also.iter().find_map(|limit| what_happened(name, limit));
    let what =
        what_happened(name, &outcome.verdict).or_else(|| Some(format!("{} in a subagent", of_subagent()?)));
    let Some(what) = what else { return format!("{name} is {} again", change.to) };
    match change.until {
        Some(at) => format!("{what}; {} until {}", change.to, until(at, now)),
        None => format!("{what}; {}", change.to),
    }
}

/// Why an attempt was refused: `work-premium hit its 5-hour limit (resets 13:00)`.
pub fn refused(name: &Name, outcome: &Outcome, now: &Zoned) -> String {
    let what = what_happened(name, &outcome.verdict).unwrap_or_else(|| format!("{name} did not answer"));
    match &outcome.verdict {
        Verdict::UsageLimit { resets_at: Some(at), .. } => format!("{what} (resets {})", clock(*at, now)),
        _ => what,
    }
}

fn what_happened(name: &Name, verdict: &Verdict) -> Option<String> {
    Some(match verdict {
        Verdict::UsageLimit { window, .. } => format!("{name} hit its {} limit", window_word(&window.name)),
        Verdict::Throttled { .. } => format!("{name} was throttled"),
        Verdict::AuthRejected => format!("the credential of {name} was rejected"),
        Verdict::OrganizationRefused => format!("the organization of {name} does not allow this use"),
        Verdict::BillingRejected => format!("{name} has a billing problem"),
        Verdict::Overloaded => "the provider is overloaded".to_owned(),
        Verdict::Unreachable => "the provider could not be reached".to_owned(),
        Verdict::TimedOut => "the provider did not answer in time".to_owned(),
        Verdict::Succeeded | Verdict::AgentFailed | Verdict::NotStarted | Verdict::Interrupted => {
            return None;
        }
    })
}

/// Why a run has no subscription to continue on: `no subscription is ready until 13:00 (1h 12m)`.
pub fn no_other(why: &NotReady, request: &Request, now: &Zoned) -> String {
    match (why.earliest(), &request.only) {
        (Some(at), _) => format!("{} until {}", none_ready(request), until(at, now)),
        (None, Some(only)) => format!("`{only}` is not ready"),
        (None, None) => none_ready(request).replace("no subscription", "no other subscription"),
    }
}

fn none_ready(request: &Request) -> String {
    match (&request.only, &request.namespace) {
        (Some(only), _) => format!("`{only}` is not ready"),
        (None, Some(namespace)) => format!("no subscription is ready for `{namespace}`"),
        (None, None) => "no subscription is ready".to_owned(),
    }
}

/// The usual name of a provider's window: `5-hour`, `weekly`, `opus`.
pub(super) fn window_word(window: &str) -> String {
    match window {
        "five_hour" => "5-hour".to_owned(),
        "seven_day" => "weekly".to_owned(),
        other => match Window::model_of(other) {
            Some(model) => family_name(model),
            None => other.replace('_', " "),
        },
    }
}

/// What a run would do. The secret is not read.
pub fn dry_run(name: &Name, program: &std::path::Path, plan: &LaunchPlan, credential: &str) -> String {
    let args = plan.args.iter().map(|arg| quoted(&arg.to_string_lossy())).collect::<Vec<_>>().join(" ");
    let mut lines = vec![
        format!("subscription  {name}"),
        format!("program       {}", program.display()),
        format!("arguments     {args}"),
        format!("credential    {credential}"),
    ];
    // Only the names: a value may be a secret, such as the token of a gateway.
    lines.extend(plan.set.iter().map(|(variable, _)| format!("set           {variable}")));
    lines.extend(plan.remove.iter().map(|variable| format!("unset         {variable}")));
    lines.extend(plan.warnings.iter().map(|warning| format!("warning       {warning}")));
    lines.iter().map(|line| one_line(line) + "\n").collect()
}

/// The command that continues a conversation on a subscription.
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
