//! Lines that may be an agent's rendering of a refusal, against kage's markers and a user's.

use std::collections::BTreeMap;

use jiff::{SignedDuration, Zoned};

use crate::input::{is_plain, now, parts};
use kage::agent::{Agent, Agents, Case, Evidence, Exit, Marker, RawMarker};
use kage::pool::{Outcome, Verdict};

const LONGEST_LINE: usize = 400;
/// A year, and an hour for what the clock does meanwhile.
const FARTHEST: SignedDuration = SignedDuration::from_hours(367 * 24);

/// A marker of the user's in TOML, which may be missing, and lines.
pub(crate) fn check(data: &[u8]) {
    let (marker, said) = match parts(data) {
        (said, []) => (None, said),
        (marker, said) => (own(marker), said),
    };
    let said: Vec<String> = String::from_utf8_lossy(said).lines().map(str::to_owned).collect();
    let now = now();
    for agent in Agents::default().all() {
        every_line(agent, &said, &now);
        if let Some(marker) = &marker {
            the_users_comes_first(agent, marker, &said, &now);
        }
    }
}

/// A marker that compiles; none of them fits an empty line, and so every line.
fn own(text: &[u8]) -> Option<Marker> {
    let raw: RawMarker = toml::from_str(str::from_utf8(text).ok()?).ok()?;
    raw.compile("own", &BTreeMap::new()).ok()
}

fn judged(agent: &dyn Agent, said: &[String], more: &[Marker], exit: Exit, now: &Zoned) -> Outcome {
    let evidence = Evidence { said: said.to_vec(), ..Evidence::default() };
    agent.judge(&Case { exit, evidence: &evidence, more, now })
}

fn every_line(agent: &dyn Agent, said: &[String], now: &Zoned) {
    let succeeded = judged(agent, said, &[], Exit::Code(0), now);
    assert_eq!(succeeded.verdict, Verdict::Succeeded, "words of a run that succeeded");
    let all = judged(agent, said, &[], Exit::Code(1), now);
    let nothing = judged(agent, &[], &[], Exit::Code(1), now);
    sane(&all, now);
    let first = said.iter().map(|line| judged(agent, std::slice::from_ref(line), &[], Exit::Code(1), now));
    let first = first.into_iter().find(|outcome| outcome.rule != "exit").unwrap_or(nothing.clone());
    assert_eq!(all, first, "the first line that is known counts");
    for line in said {
        let alone = judged(agent, std::slice::from_ref(line), &[], Exit::Code(1), now);
        if line.len() > LONGEST_LINE {
            assert_eq!(alone.rule, "exit", "a long line is no error");
        } else if is_plain(line) && line.len() + 20 < LONGEST_LINE {
            let painted = [format!("\u{1b}[31m{line}\u{1b}[0m"), format!("  {line} ")];
            for painted in painted {
                assert_eq!(judged(agent, &[painted], &[], Exit::Code(1), now), alone, "{line}");
            }
        }
    }
}

fn the_users_comes_first(agent: &dyn Agent, marker: &Marker, said: &[String], now: &Zoned) {
    let more = std::slice::from_ref(marker);
    let outcome = judged(agent, said, more, Exit::Code(1), now);
    sane(&outcome, now);
    let empty = judged(agent, &[String::new()], more, Exit::Code(1), now);
    assert_eq!(empty.rule, "exit", "a marker fits an empty line");
    assert_eq!(judged(agent, said, more, Exit::Code(0), now).verdict, Verdict::Succeeded);
}

/// A deadline lies within a year, and what is kept of the line shows as it is.
pub(crate) fn sane(outcome: &Outcome, now: &Zoned) {
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
