//! What the engine says, as sentences.

use jiff::{SignedDuration, Timestamp, Zoned};

use super::sentences::{because, changed, command, no_other, not_ready, refused};
use super::time::{short, until};
use crate::engine::{NoSuccessor, Refusal, Said};
use crate::pool::{Exclusion, Name, Request};

/// The lines for something that is said. The first gets `kage: ` in front; one that begins with `hint: ` is a command.
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
        Said::NotRetried { refusal, why } => format!("{}; not continued, for {why}", refused(refusal)),
        Said::Retrying { refusal, pause } => {
            let again = &refusal.subscription;
            format!("{}; trying {again} again in {}", refused(refusal), short(*pause))
        }
        Said::Switched { refusal, to } => format!("{}; continuing on {to}", refused(refusal)),
        Said::SwitchedTo(to) => format!("continuing on {to}"),
        Said::NoSuccessor { refusal, why, request, waits } => {
            let refused = refusal.iter().map(refused);
            let waiting = waits.then(|| "waiting".to_owned());
            let clauses = refused.chain([no_successor(why, request, now)]).chain(waiting);
            clauses.collect::<Vec<_>>().join("; ")
        }
        Said::LacksConversation(name) => lacks(name),
        Said::CredentialFailed { subscription, why } => {
            format!("warning: {subscription} cannot be used: {why}")
        }
        Said::Refused(refusal) => refused(refusal),
        Said::Continue { refusal, to, request, keep_env, command: words } => {
            let command = command(to, request, keep_env, &words[0], &words[1..]);
            format!("{}; to continue on {to}: {command}", refused(refusal))
        }
        Said::Countdown { refusal, to, seconds } => {
            format!("{}; continuing on {to} in {seconds} s, a prompt keeps you here", refused(refusal))
        }
        Said::Staying(name) => format!("staying on {name}"),
        Said::LeaveIt { agent } => format!("{agent} was asked to end and has not; leave it to go on"),
        Said::NotContinued(why) => format!("could not go on: {why}"),
        Said::CouldNotContinue(why) => format!("warning: could not go on: {why}"),
        Said::NotInLedger(why) => format!("warning: this run is not in the ledger: {why}"),
        Said::NotInState(why) => format!("warning: what this run showed is not in the state: {why}"),
        Said::NotCounted(why) => format!("warning: a run whose kage was killed is not counted yet: {why}"),
        Said::OutputLost(why) => format!("warning: could not write what the agent printed: {why}"),
    };
    vec![line]
}

fn overruled(name: &Name, exclusion: &Exclusion, flag: &str, now: &Zoned) -> String {
    let what = if exclusion.of_namespace { "running" } else { "using it" };
    format!("warning: {}; {what} all the same ({flag})", because(name, exclusion, now))
}

/// One line on what the user's environment and settings held against the subscription.
fn removed(variables: &[String], settings: &[String]) -> String {
    let mut parts = Vec::new();
    if !variables.is_empty() {
        parts.push(format!("not passed on: {} (--keep-env NAME keeps one)", variables.join(", ")));
    }
    if !settings.is_empty() {
        parts.push(format!("switched off in the agent's settings for this run: {}", settings.join(", ")));
    }
    parts.join("; ")
}

fn no_successor(why: &NoSuccessor, request: &Request, now: &Zoned) -> String {
    match why {
        NoSuccessor::NotReady(why) => no_other(why, request, now),
        NoSuccessor::LacksConversation(name) => lacks(name),
    }
}

fn lacks(name: &Name) -> String {
    format!("{name} does not have the conversation in its login directory")
}

fn waiting(at: Option<Timestamp>, began: Timestamp, now: &Zoned) -> String {
    let line = match at {
        None => "waiting for a free place".to_owned(),
        Some(at) => {
            let (whole, gone) = (at.duration_since(began), now.timestamp().duration_since(began));
            format!("waiting {} until {}", progress(gone, whole), until(at, now))
        }
    };
    format!("{line}; ^C ends it")
}

/// The cells of a progress bar.
const CELLS: i64 = 20;

/// `[#####...............]`
fn progress(gone: SignedDuration, whole: SignedDuration) -> String {
    let full = (gone.as_secs().max(0) * CELLS / whole.as_secs().max(1)).min(CELLS);
    let cells = |number: i64, cell: &str| cell.repeat(usize::try_from(number).unwrap_or(0));
    format!("[{}{}]", cells(full, "#"), cells(CELLS - full, "."))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_bar_fills_and_never_overflows() {
        let seconds = SignedDuration::from_secs;
        assert_eq!(progress(seconds(0), seconds(100)), "[....................]");
        assert_eq!(progress(seconds(50), seconds(100)), "[##########..........]");
        assert_eq!(progress(seconds(500), seconds(100)), "[####################]");
        assert_eq!(progress(seconds(5), seconds(-1)), "[####################]");
        assert_eq!(progress(seconds(-5), seconds(0)), "[....................]");
    }
}
