//! Lines that may be an agent's refusal, matched against kage's markers and a user's marker.

use std::collections::BTreeMap;

use jiff::{SignedDuration, Zoned};

use crate::input::{is_plain, now, parts};
use kage::agent::{Agent, Agents, Case, Evidence, Exit, Marker, RawMarker};
use kage::pool::{Outcome, Verdict};

const LONGEST_LINE: usize = 400;
/// The latest deadline: a year, and a day of tolerance for changes of the clocks.
const FARTHEST: SignedDuration = SignedDuration::from_hours(367 * 24);

/// The input: optionally a user's marker in TOML, and lines of an agent.
pub(crate) fn check(data: &[u8]) {
    let (marker, said) = match parts(data) {
        (said, []) => (None, said),
        (marker, said) => (own(marker), said),
    };
    let said: Vec<String> = String::from_utf8_lossy(said).lines().map(str::to_owned).collect();
    let now = now();
    for agent in Agents::default().all() {
        check_lines(agent, &said, &now);
        if let Some(marker) = &marker {
            check_users_marker(agent, marker, &said, &now);
        }
    }
}

/// The user's marker, if it compiles. A marker that matches an empty line, and so every line, is refused.
fn own(text: &[u8]) -> Option<Marker> {
    let raw: RawMarker = toml::from_str(str::from_utf8(text).ok()?).ok()?;
    raw.compile("own", &BTreeMap::new()).ok()
}

fn judged(agent: &dyn Agent, said: &[String], more: &[Marker], exit: Exit, now: &Zoned) -> Outcome {
    let evidence = Evidence { said: said.to_vec(), ..Evidence::default() };
    agent.judge(&Case { exit, evidence: &evidence, more, model: None, now })
}

fn check_lines(agent: &dyn Agent, said: &[String], now: &Zoned) {
    let succeeded = judged(agent, said, &[], Exit::Code(0), now);
    assert_eq!(succeeded.verdict, Verdict::Succeeded, "a run that succeeded is not judged by its text");
    let all = judged(agent, said, &[], Exit::Code(1), now);
    let nothing = judged(agent, &[], &[], Exit::Code(1), now);
    check_outcome(&all, now);
    let first = said.iter().map(|line| judged(agent, std::slice::from_ref(line), &[], Exit::Code(1), now));
    let first = first.into_iter().find(|outcome| outcome.rule != "exit").unwrap_or(nothing.clone());
    assert_eq!(all, first, "the first line that matches a marker counts");
    for line in said {
        let alone = judged(agent, std::slice::from_ref(line), &[], Exit::Code(1), now);
        if line.len() > LONGEST_LINE {
            assert_eq!(alone.rule, "exit", "a long line matches no marker");
        } else if is_plain(line) && line.len() + 20 < LONGEST_LINE {
            let decorated = [format!("\u{1b}[31m{line}\u{1b}[0m"), format!("  {line} ")];
            for decorated in decorated {
                assert_eq!(judged(agent, &[decorated], &[], Exit::Code(1), now), alone, "{line}");
            }
        }
    }
}

fn check_users_marker(agent: &dyn Agent, marker: &Marker, said: &[String], now: &Zoned) {
    let more = std::slice::from_ref(marker);
    let outcome = judged(agent, said, more, Exit::Code(1), now);
    check_outcome(&outcome, now);
    let empty = judged(agent, &[String::new()], more, Exit::Code(1), now);
    assert_eq!(empty.rule, "exit", "a marker matches an empty line");
    assert_eq!(judged(agent, said, more, Exit::Code(0), now).verdict, Verdict::Succeeded);
}

/// A deadline is within a year, and the stored line contains no secrets.
pub(crate) fn check_outcome(outcome: &Outcome, now: &Zoned) {
    let most = now.timestamp() + FARTHEST;
    match &outcome.verdict {
        Verdict::UsageLimit { resets_at: Some(at), .. } => assert!(*at <= most, "until {at}"),
        Verdict::Throttled { retry_after: Some(pause) } => assert!(*pause <= FARTHEST, "for {pause:#}"),
        _ => {}
    }
    if let Some(text) = &outcome.evidence {
        assert_eq!(kage::agent::redact::redacted(text), *text, "a secret is left");
    }
}
