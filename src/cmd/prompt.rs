//! `kage prompt`: the namespace and its readiness, for a shell prompt. It never fails and takes no lock.

use std::collections::BTreeSet;

use anyhow::Result;

use crate::clock;
use crate::config::Config;
use crate::config::project::Location;
use crate::engine::strict_state;
use crate::paths::Paths;
use crate::pool::{self, Candidate, Moment, NotReady, Pool, Request, State, explain};
use crate::report::{self, Readiness};

pub(super) fn run() -> Result<()> {
    text().map_or(Ok(()), |text| report::print(&format!("{text}\n")))
}

/// Returns `None` outside a namespace, and if the namespace cannot be determined.
fn text() -> Option<String> {
    let paths = Paths::from_environment().ok()?;
    let loaded = Config::load(&paths).ok();
    let is_loaded = loaded.is_some();
    // Without a config, the namespace can still come from the environment or the project.
    let config = loaded.or_else(|| Config::parse("", &paths.config, &paths.home).ok())?;
    let location = Location::find(&config, None, None).ok()?;
    let namespace = location.namespace?;
    let now = clock::now();
    let request = Request { namespace: Some(namespace), level: location.level, ..Request::default() };
    let readiness = match strict_state(&paths) {
        Ok(state) if is_loaded => readiness(&config.pool, &state, &request, &Moment::from(&now)),
        _ => Readiness::Ready,
    };
    request.namespace.map(|namespace| report::prompt(&namespace, location.level, readiness, &now))
}

/// Whether a run of any agent could start. A pool without subscriptions counts as ready: the first run
/// reports it.
fn readiness(pool: &Pool, state: &State, request: &Request, moment: &Moment) -> Readiness {
    let agents: BTreeSet<_> = pool.subscriptions.values().map(|one| one.agent.as_str()).collect();
    let mut first = None;
    let mut is_known = true;
    for agent in &agents {
        let candidates =
            explain(pool, state, &Request { agent: (*agent).to_owned(), ..request.clone() }, moment);
        if candidates.iter().any(is_ranked) {
            return Readiness::Ready;
        }
        let none = NotReady::Excluded(candidates);
        if none.waiting_can_help() {
            let earliest = none.earliest();
            is_known &= earliest.is_some();
            first = first.into_iter().chain(earliest).min();
        }
    }
    match first.filter(|_| is_known) {
        Some(at) => Readiness::From(at),
        None if agents.is_empty() => Readiness::Ready,
        None => Readiness::NoneReady,
    }
}

fn is_ranked(candidate: &Candidate) -> bool {
    matches!(candidate.ranking, pool::Ranking::Ranked { .. })
}
