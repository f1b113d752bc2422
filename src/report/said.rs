//! Turns what the engine reports (`Said`) into sentences.

use jiff::{SignedDuration, Timestamp, Zoned};

use super::sentences::{changed, command, exclusion_text, no_other, not_ready, refused};
use super::time::{short, until};
use crate::engine::{NoSuccessor, Refusal, Said};
use crate::pool::{Exclusion, Name, Owner, Request};
use crate::text::one_line;

/// Returns the lines for one `Said`. The caller puts `kage: ` before the first. A line that begins with
/// `hint: ` is a command to type.
pub(crate) fn sentence(said: &Said, now: &Zoned) -> Vec<String> {
    let refused = |refusal: &Refusal| refused(&refusal.subscription, &refusal.outcome, now);
    let line = match said {
        Said::Notice(notice) => {
            let line = if notice.is_warning {
                format!("warning: {}", notice.message)
            } else {
                notice.message.clone()
            };
            let hint = notice.hint.iter().map(|hint| format!("hint: {hint}"));
            return [line].into_iter().chain(hint).collect();
        }
        Said::LikelyTypo(text) | Said::PlanWarning(text) => format!("warning: {text}"),
        Said::Overruled { subscription, exclusion, flag } => overruled(subscription, exclusion, flag, now),
        Said::Removed { variables, settings } => removed(variables, settings),
        Said::Waiting { why, request } => format!("{}; waiting", not_ready(why, request, now)),
        Said::WaitingSince { until: at, began } => waiting(*at, *began, now),
        Said::Changed { refusal, change } => changed(&refusal.subscription, change, &refusal.outcome, now),
        Said::NotRetried { refusal, why } => format!("{}; not retried: {why}", refused(refusal)),
        Said::Retrying { refusal, pause } => {
            let name = &refusal.subscription;
            format!("{}; retrying on {name} in {}", refused(refusal), short(*pause))
        }
        Said::Switched { refusal, to } => format!("{}; continuing on {to}", refused(refusal)),
        Said::SwitchedTo(to) => format!("continuing on {to}"),
        Said::NoSuccessor { refusal, why, request, waits } => {
            let refused = refusal.iter().map(refused);
            let waiting = waits.then(|| "waiting".to_owned());
            let clauses = refused.chain([no_successor(why, request, now)]).chain(waiting);
            clauses.collect::<Vec<_>>().join("; ")
        }
        Said::LacksConversation(name) => lacks_conversation(name),
        Said::CredentialFailed { subscription, why } => {
            format!("warning: the credential of `{subscription}` could not be read: {why}")
        }
        Said::Refused(refusal) => refused(refusal),
        Said::Continue { refusal, to, request, keep_env, command: words } => {
            let command = command(to, request, keep_env, &words[0], &words[1..]);
            format!("{}; to continue on {to}: {command}", refused(refusal))
        }
        Said::Countdown { refusal, to, seconds } => {
            format!("{}; continuing on {to} in {seconds}s (enter a prompt to stay)", refused(refusal))
        }
        Said::Staying(name) => format!("staying on {name}"),
        Said::DidNotEnd { agent } => format!("{agent} did not exit when asked; exit it to continue"),
        Said::RefusedRepeatedly { subscription, times, evidence } => {
            return refused_repeatedly(subscription, *times, evidence);
        }
        Said::Unpriced { owner, models } => return unpriced(owner, models),
        Said::NotContinued(why) => format!("could not continue: {why}"),
        Said::CouldNotContinue(why) => format!("warning: could not continue: {why}"),
        Said::NotInLedger(why) => format!("warning: could not record this run in the ledger: {why}"),
        Said::NotInState(why) => format!("warning: could not record this run in the state: {why}"),
        Said::NotCounted(why) => format!("warning: could not record a run whose kage was killed: {why}"),
        Said::OutputLost(why) => format!("warning: could not write the agent's output: {why}"),
    };
    vec![line]
}

fn refused_repeatedly(name: &Name, times: u32, evidence: &str) -> Vec<String> {
    let evidence = one_line(evidence);
    let line =
        format!("warning: the last {times} attempts on {name} ended with an unknown error: {evidence}");
    vec![line, format!("hint: kage subscription disable {name}")]
}

/// That a cost budget cannot limit some models, and a budget that can.
fn unpriced(owner: &Owner, models: &[String]) -> Vec<String> {
    let (of, hint) = match owner {
        Owner::Subscription(name) => {
            (format!("`{name}`"), format!("kage subscription set {name} --tokens-per-day N"))
        }
        Owner::Namespace(name) => (format!("namespace `{name}`"), "kage doctor".to_owned()),
    };
    let models = models.iter().map(|model| one_line(model)).collect::<Vec<_>>().join(", ");
    let line = format!(
        "warning: the cost budget of {of} cannot limit {models}: no price is known; add prices to `[prices]` of \
         the config, or set a token budget"
    );
    vec![line, format!("hint: {hint}")]
}

fn overruled(name: &Name, exclusion: &Exclusion, flag: &str, now: &Zoned) -> String {
    let what = if exclusion.of_namespace { "running" } else { "using it" };
    format!("warning: {}; {what} anyway ({flag})", exclusion_text(name, exclusion, now))
}

/// The user's variables and settings that the agent does not get: they would override the subscription.
fn removed(variables: &[String], settings: &[String]) -> String {
    let mut parts = Vec::new();
    if !variables.is_empty() {
        let variables = variables.join(", ");
        parts.push(format!("not passed to the agent: {variables} (keep one with --keep-env NAME)"));
    }
    if !settings.is_empty() {
        parts.push(format!("disabled in the agent's settings for this run: {}", settings.join(", ")));
    }
    parts.join("; ")
}

fn no_successor(why: &NoSuccessor, request: &Request, now: &Zoned) -> String {
    match why {
        NoSuccessor::NotReady(why) => no_other(why, request, now),
        NoSuccessor::LacksConversation(name) => lacks_conversation(name),
    }
}

fn lacks_conversation(name: &Name) -> String {
    format!("{name} does not have the conversation in its login directory")
}

fn waiting(at: Option<Timestamp>, began: Timestamp, now: &Zoned) -> String {
    let line = match at {
        None => "waiting for a running agent to end".to_owned(),
        Some(at) => {
            let (total, elapsed) = (at.duration_since(began), now.timestamp().duration_since(began));
            format!("waiting {} until {}", progress(elapsed, total), until(at, now))
        }
    };
    format!("{line} (^C to stop)")
}

/// The width of a progress bar in cells.
const CELLS: i64 = 20;

/// `[#####...............]`
fn progress(elapsed: SignedDuration, total: SignedDuration) -> String {
    let filled = (elapsed.as_secs().max(0) * CELLS / total.as_secs().max(1)).min(CELLS);
    let cells = |number: i64, cell: &str| cell.repeat(usize::try_from(number).unwrap_or(0));
    format!("[{}{}]", cells(filled, "#"), cells(CELLS - filled, "."))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_progress_bar_fills_and_never_overflows() {
        let seconds = SignedDuration::from_secs;
        assert_eq!(progress(seconds(0), seconds(100)), "[....................]");
        assert_eq!(progress(seconds(50), seconds(100)), "[##########..........]");
        assert_eq!(progress(seconds(500), seconds(100)), "[####################]");
        assert_eq!(progress(seconds(5), seconds(-1)), "[####################]");
        assert_eq!(progress(seconds(-5), seconds(0)), "[....................]");
    }
}
