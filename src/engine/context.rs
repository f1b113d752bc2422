//! What everything begins with: the paths, the config, the store, the ledger, the clock and the voice.

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

/// The surroundings of a verb. It holds no "now": time passes while kage works.
pub(crate) struct Context {
    pub paths: Paths,
    pub config: Config,
    pub voice: Voice,
    pub(super) store: Box<dyn Store>,
    zone: TimeZone,
    clock: fn() -> Timestamp,
}

impl Context {
    /// A mistyped path in `KAGE_CONFIG` would look like an empty pool, so this says it.
    pub(crate) fn open(voice: Voice) -> Result<Self> {
        Self::open_named(voice, Config::load)
    }

    /// The same for a run, which must cost nothing.
    pub(crate) fn open_to_run(voice: Voice) -> Result<Self> {
        Self::open_named(voice, Config::load_and_keep)
    }

    /// For the verbs that write what they need into a new config.
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
        let exposed =
            files::notice_of_others(state).or_else(|| files::notice_of_others(&state.join("usage")));
        if let Some(notice) = exposed {
            context.voice.say(notice, &context.now());
        }
        Ok(context)
    }

    /// Parts that a test made.
    #[cfg(test)]
    pub(super) fn of_parts(
        paths: Paths,
        config: Config,
        store: Box<dyn Store>,
        clock: fn() -> Timestamp,
    ) -> Self {
        Self { paths, config, voice: Voice::recorded(), store, zone: TimeZone::UTC, clock }
    }

    /// Asks the clock.
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

    /// The state as it is now; leases of dead processes are left out, and what they used is not counted.
    pub(crate) fn view(&self) -> Result<State> {
        let state = self.store.view();
        self.tell_notices();
        state
    }

    /// The same for a caller that looks again in a moment: damage is an error.
    pub(crate) fn undamaged_view(&self) -> Result<State> {
        self.store.undamaged_view()
    }

    /// Says what the store has to report.
    pub(super) fn tell_notices(&self) {
        for notice in self.store.take_notices() {
            self.voice.say(notice, &self.now());
        }
    }

    /// What an agent's evidence means, by its own markers and those of the config.
    pub(super) fn judge(&self, agent: &dyn Agent, exit: Exit, evidence: &Evidence, now: &Zoned) -> Outcome {
        agent.judge(&Case { exit, evidence, more: self.config.agents.markers(agent), now })
    }

    /// What tokens would have cost on their day, as far as their prices are known. Where nothing was used no
    /// price is looked up.
    pub(super) fn costs(&self, usage: &Usage) -> Costs {
        let cost = |(slice, count): (&Slice, &TokenCount)| {
            let day = slice.hour.to_zoned(self.zone.clone()).date();
            let cost = self.config.prices.of(&slice.model).cost(day, slice.prompt, count)?;
            Some((slice.clone(), cost))
        };
        usage.slices.iter().filter_map(cost).collect()
    }
}

/// The state for a caller without a context; damage is an error.
pub(crate) fn undamaged_state(paths: &Paths) -> Result<State> {
    FileStore::new(&paths.state).undamaged_view()
}
