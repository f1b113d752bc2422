//! The context of a verb: the paths, the config, the store, the ledger, the clock and the voice.

use std::collections::BTreeSet;

use anyhow::Result;
use jiff::tz::TimeZone;
use jiff::{Timestamp, Zoned};

use super::voice::Voice;
use crate::agent::{Agent, Case, Evidence, Exit};
use crate::clock;
use crate::config::Config;
use crate::error::Notice;
use crate::files;
use crate::ledger::Ledger;
use crate::paths::{Paths, config_is_named};
use crate::pool::{Costs, Moment, Outcome, Slice, State, TokenCount, Usage};
use crate::store::{FileStore, Store};

/// The context of a verb. It stores no current time, because time passes while kage works.
pub(crate) struct Context {
    pub paths: Paths,
    pub config: Config,
    pub voice: Voice,
    pub(super) store: Box<dyn Store>,
    zone: TimeZone,
    clock: fn() -> Timestamp,
}

impl Context {
    /// Opens the context. Prints a notice if `KAGE_CONFIG` names a file that does not exist: a mistyped path
    /// would otherwise look like an empty pool.
    pub(crate) fn open(voice: Voice) -> Result<Self> {
        Self::open_named(voice, Config::load)
    }

    /// Like `open`, for a run: also caches the parsed config so that the next start is fast.
    pub(crate) fn open_to_run(voice: Voice) -> Result<Self> {
        Self::open_named(voice, Config::load_and_cache)
    }

    /// Like `open`, but without the notice, for the verbs that create the config.
    pub(crate) fn open_or_begin(voice: Voice) -> Result<Self> {
        Self::open_with(voice, Config::load)
    }

    fn open_named(voice: Voice, load: impl FnOnce(&Paths) -> Result<Config>) -> Result<Self> {
        let context = Self::open_with(voice, load)?;
        let file = &context.paths.config;
        if config_is_named() && !file.exists() {
            let message = format!("KAGE_CONFIG names {}, which does not exist", file.display());
            context.voice.say(Notice::new(message), &context.now());
        }
        Ok(context)
    }

    fn open_with(voice: Voice, load: impl FnOnce(&Paths) -> Result<Config>) -> Result<Self> {
        let paths = Paths::from_environment()?;
        let config = load(&paths)?;
        let store = Box::new(FileStore::new(&paths.state));
        let zone = clock::zone();
        let context = Self { paths, config, voice, store, zone, clock: Timestamp::now };
        let state = &context.paths.state;
        let exposed = files::exposure_notice(state).or_else(|| files::exposure_notice(&state.join("usage")));
        if let Some(notice) = exposed {
            context.voice.say(notice, &context.now());
        }
        Ok(context)
    }

    /// Builds a context from its parts, for a test.
    #[cfg(test)]
    pub(super) fn from_parts(
        paths: Paths,
        config: Config,
        store: Box<dyn Store>,
        clock: fn() -> Timestamp,
    ) -> Self {
        Self { paths, config, voice: Voice::recorded(), store, zone: TimeZone::UTC, clock }
    }

    /// Returns the current time.
    pub(crate) fn now(&self) -> Zoned {
        (self.clock)().to_zoned(self.zone.clone())
    }

    pub(super) fn moment(&self) -> Moment {
        Moment::from(&self.now())
    }

    pub(crate) fn zone(&self) -> &TimeZone {
        &self.zone
    }

    pub(super) fn ledger(&self) -> Ledger {
        Ledger::new(&self.paths.state)
    }

    /// Returns the current state without the leases of dead processes. Does not count the usage of those.
    pub(crate) fn view(&self) -> Result<State> {
        let state = self.store.view();
        self.say_notices();
        state
    }

    /// Like `view`, but a damaged file is an error: for callers that read the state again soon.
    pub(crate) fn strict_view(&self) -> Result<State> {
        self.store.strict_view()
    }

    /// Prints the notices of the store.
    pub(super) fn say_notices(&self) {
        for notice in self.store.take_notices() {
            self.voice.say(notice, &self.now());
        }
    }

    /// Returns the outcome that an agent's evidence shows, by the agent's own markers and those of the
    /// config. `model` is the family that the request names.
    pub(super) fn judge(
        &self,
        agent: &dyn Agent,
        exit: Exit,
        evidence: &Evidence,
        model: Option<&str>,
        now: &Zoned,
    ) -> Outcome {
        let more = self.config.agents.markers(agent);
        agent.judge(&Case { exit, evidence, more, model, now })
    }

    /// Returns what the tokens cost at the prices of their day. Tokens without a known price are left out.
    /// Without usage no price is looked up.
    pub(super) fn costs(&self, usage: &Usage) -> Costs {
        let cost = |(slice, count): (&Slice, &TokenCount)| {
            let day = slice.hour.to_zoned(self.zone.clone()).date();
            let cost = self.config.prices.of(&slice.model).cost(day, slice.prompt, count)?;
            Some((slice.clone(), cost))
        };
        usage.slices.iter().filter_map(cost).collect()
    }

    /// Returns the models whose tokens have no price, not even an estimate.
    pub(super) fn unpriced(&self, usage: &Usage) -> Vec<String> {
        let costs = self.costs(usage);
        let used = usage.slices.iter().filter(|(slice, count)| count.all() > 0 && !costs.contains_key(slice));
        let models: BTreeSet<_> = used.map(|(slice, _)| slice.model.clone()).collect();
        models.into_iter().collect()
    }
}

/// Returns the state for a caller without a context. A damaged file is an error.
pub(crate) fn strict_state(paths: &Paths) -> Result<State> {
    FileStore::new(&paths.state).strict_view()
}
