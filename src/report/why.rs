//! `kage why`: each subscription with the rule that excluded it or its rank.

use jiff::Zoned;
use serde_json::{Value, json};
use unicode_width::UnicodeWidthStr as _;

use super::SCHEMA;
use super::time::until;
use crate::pool::{Candidate, Pool, Ranking, Request, Strategy};
use crate::text::one_line;

/// The answer as text: the request, the rank of each subscription, and the next subscription.
pub fn why(pool: &Pool, candidates: &[Candidate], request: &Request, now: &Zoned) -> String {
    let strategy = match pool.strategy {
        Strategy::RoundRobin => "round-robin",
        Strategy::Priority => "priority",
        Strategy::LeastUsed => "least-used",
    };
    let namespace = request.namespace.as_ref().map_or("none", |name| name.as_str());
    let level = request.level.as_str();
    let mut text =
        format!("agent {}, namespace {namespace}, level {level}, strategy {strategy}\n\n", request.agent);
    // Columns, not characters: some characters are two columns wide.
    let columns = |candidate: &Candidate| candidate.name.as_str().width();
    let widest = candidates.iter().map(columns).max().unwrap_or(0);
    for candidate in candidates {
        let gap = " ".repeat(widest - columns(candidate));
        text += &format!("{}{gap}  {}\n", candidate.name, ranking(&candidate.ranking, now));
    }
    match chosen(candidates) {
        Some(name) => text + &format!("\nnext: {name}\n"),
        None => text + "\nnext: none\n",
    }
}

fn ranking(ranking: &Ranking, now: &Zoned) -> String {
    match ranking {
        Ranking::Ranked { rank, detail, .. } => format!("{rank}  {}", one_line(detail)),
        Ranking::Excluded(exclusion) => {
            let (rule, detail) = (exclusion.rule.word(), one_line(&exclusion.detail));
            match exclusion.until {
                Some(at) => format!("-  {rule}: {detail} until {}", until(at, now)),
                None => format!("-  {rule}: {detail}"),
            }
        }
    }
}

fn chosen(candidates: &[Candidate]) -> Option<&str> {
    let first = |ranking: &Ranking| matches!(ranking, Ranking::Ranked { rank: 1, .. });
    candidates.iter().find(|candidate| first(&candidate.ranking)).map(|candidate| candidate.name.as_str())
}

/// The answer as JSON.
pub fn why_json(candidates: &[Candidate]) -> Value {
    let rows = candidates.iter().map(|candidate| match &candidate.ranking {
        Ranking::Ranked { rank, near_limit, fallback, detail } => json!({
            "name": candidate.name, "rank": rank, "excluded": null,
            "near_limit": near_limit, "fallback": fallback, "detail": detail,
        }),
        Ranking::Excluded(exclusion) => json!({
            "name": candidate.name, "rank": null,
            "excluded": { "rule": exclusion.rule.word(), "until": exclusion.until, "detail": exclusion.detail },
        }),
    });
    json!({ "schema": SCHEMA, "chosen": chosen(candidates), "candidates": rows.collect::<Vec<_>>() })
}
