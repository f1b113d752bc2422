//! The verbs, one a file. This is where the parts meet.

mod asked;
mod demo;
mod detect;
mod doctor;
mod editor;
mod events;
mod exec;
mod generate;
mod hook;
mod init;
mod metrics;
mod misuse;
mod others;
mod places;
mod prompt;
mod ps;
mod question;
mod recover;
mod run_as;
mod setup;
mod shim;
mod status;
mod statusline;
mod subscription;
mod usage;
mod welcome;
mod why;

use std::env;
use std::ffi::OsString;

use anyhow::Result;
use jiff::{Timestamp, Zoned};

use self::events::Events;
use crate::agent::{Agent, Agents, Case, Evidence, Exit};
use crate::cli::{Ask, Cli, Verb};
use crate::clock;
use crate::config::project::Standing;
use crate::config::{Config, closest};
use crate::credentials::fetch_from_keychain;
use crate::error::{self, Failure, Status};
use crate::files::Durability;
use crate::paths::{Paths, config_is_named};
use crate::pool::{
    Change, Costs, Lease, Limits, Moment, Name, Outcome, Request, Slice, State, TokenCount, Usage,
};
use crate::secret::PASSPHRASE;
use crate::store::Store;

pub use misuse::refuse;

/// The variables of this process that the programs which help kage are not given: kage's own secret, and what
/// carries a credential of an agent, which they find here where kage is called by a running agent.
fn withheld(agents: &Agents) -> Vec<OsString> {
    let competes =
        |name: &OsString| name.to_str().is_some_and(|name| agents.all().any(|agent| agent.competes(name)));
    let names = env::vars_os().map(|(name, _)| name);
    names.filter(|name| name == PASSPHRASE || competes(name)).collect()
}

/// Why a subscription is unhealthy whose credential never reached the agent.
const NOT_HAD: &str = "its credential cannot be had";

/// What was typed. Called by an agent's name, kage is to run it.
pub fn read(words: Vec<OsString>) -> Result<Cli, clap::Error> {
    run_as::called_as_agent(words.iter().cloned()).map_or_else(|| Cli::read(&words), Ok)
}

/// Does what was typed; the answer is the exit status. The one place that prints an error that ends kage.
pub fn run(cli: Cli) -> u8 {
    let before_start = matches!(cli.verb, Verb::Exec(_) | Verb::RunAs(_));
    let status = dispatch(cli).unwrap_or_else(|failed| {
        error::show(&failed);
        let status = failed.downcast_ref::<Failure>().map_or(Status::Failed, |failure| failure.status);
        // Whatever goes wrong in `exec` outside the agent went wrong before the agent started.
        let status = if before_start && status == Status::Failed { Status::BeforeStart } else { status };
        status as i32
    });
    // Only the low byte of a status reaches the parent, as with any process.
    u8::try_from(status & 0xff).unwrap_or(u8::MAX)
}

fn dispatch(cli: Cli) -> Result<i32> {
    match cli.verb {
        Verb::Exec(exec) => exec::run(exec),
        Verb::Why(why) => why::run(&why).map(|()| 0),
        Verb::Detect(detect) => detect::run(&detect),
        Verb::Doctor(doctor) => doctor::run(&doctor),
        Verb::Ps(form) => ps::run(&form).map(|()| 0),
        Verb::Status(args) => status::run(&args),
        Verb::Usage(args) => usage::run(&args).map(|()| 0),
        Verb::Metrics => metrics::run().map(|()| 0),
        Verb::Statusline(args) => {
            statusline::run(&args);
            Ok(0)
        }
        Verb::Subscription(verb) => subscription::run(verb),
        Verb::FetchFromKeychain { name, patience } => {
            Ok(fetch_from_keychain(&name, patience, &Paths::from_environment()?.state))
        }
        Verb::Generate { dir } => generate::run(&dir).map(|()| 0),
        Verb::Hook => Ok(hook::run()),
        Verb::Setup(args) => setup::run(args).map(|()| 0),
        Verb::Init(args) => init::run(&args).map(|()| 0),
        Verb::Shim(verb) => shim::run(&verb).map(|()| 0),
        Verb::RunAs(args) => run_as::run(args),
        Verb::Prompt(_) => prompt::run().map(|()| 0),
        Verb::Demo => demo::run(),
        Verb::StandInAgent { args } => demo::stand_in_agent(&args),
    }
}

/// What nearly every verb begins with.
struct Desk {
    paths: Paths,
    config: Config,
    store: Store,
    now: Zoned,
}

impl Desk {
    /// A mistyped path in `KAGE_CONFIG` would look like an empty pool, so this says it.
    fn open() -> Result<Self> {
        Self::open_with(Config::load)
    }

    /// The same for a run, which must cost nothing.
    fn open_to_run() -> Result<Self> {
        Self::open_with(Config::load_and_keep)
    }

    fn open_with(load: impl FnOnce(&Paths) -> Result<Config>) -> Result<Self> {
        let desk = Self::begin_with(load)?;
        let file = &desk.paths.config;
        if config_is_named() && !file.exists() {
            error::warn(format_args!("KAGE_CONFIG names {}, which does not exist", file.display()));
        }
        Ok(desk)
    }

    /// For the verbs that write what they need into a new config.
    fn open_or_begin() -> Result<Self> {
        Self::begin_with(Config::load)
    }

    fn begin_with(load: impl FnOnce(&Paths) -> Result<Config>) -> Result<Self> {
        let paths = Paths::from_environment()?;
        let config = load(&paths)?;
        let store = Store::new(&paths.state);
        Ok(Self { paths, config, store, now: clock::now() })
    }

    /// Now, later than the desk was opened.
    fn later(&self) -> Zoned {
        Timestamp::now().to_zoned(self.now.time_zone().clone())
    }

    fn moment(&self) -> Moment {
        Moment::from(&self.now)
    }

    /// What an agent's evidence means, by its own markers and those of the config.
    fn judge(&self, agent: &dyn Agent, exit: Exit, evidence: &Evidence, now: &Zoned) -> Outcome {
        agent.judge(&Case { exit, evidence, more: self.config.agents.markers(agent), now })
    }

    /// What tokens would have cost on their day, as far as their prices are known. Where nothing was used no
    /// price is looked up.
    fn costs(&self, usage: &Usage) -> Costs {
        let zone = self.now.time_zone();
        let cost = |(slice, count): (&Slice, &TokenCount)| {
            let day = slice.hour.to_zoned(zone.clone()).date();
            let cost = self.config.prices.of(&slice.model).cost(day, slice.prompt, count)?;
            Some((slice.clone(), cost))
        };
        usage.slices.iter().filter_map(cost).collect()
    }

    /// Writes the outcome of an attempt into the state, gives its lease back, and tells what that changes about
    /// the subscription and the budgets.
    fn book(
        &self,
        lease: &Lease,
        outcome: &Outcome,
        now: &Zoned,
        events: &Events<'_>,
    ) -> Result<Option<Change>> {
        let (pool, moment) = (&self.config.pool, Moment::from(now));
        let costs = self.costs(&outcome.usage);
        let settle = |state: &mut State| state.settle(lease, outcome, &costs, Limits::from(pool), &moment);
        let book = |state: &mut State| pool.crossings(state, lease, &moment, settle);
        // The ledger is on the disk. What a power cut could take from the state is there too, but for limits.
        let of_the_account = outcome.verdict.is_of_the_account();
        let durability = if of_the_account { Durability::Machine } else { Durability::Process };
        let (change, crossed) = self.store.update(durability, book)?;
        if let Some(change) = &change {
            events.changed(&lease.subscription, change);
        }
        for gauge in &crossed {
            events.budget(gauge);
        }
        Ok(change)
    }

    /// Books a refusal while its agent runs, unless that has been done.
    fn refuse(&self, lease: &Lease, outcome: &Outcome, now: &Zoned, events: &Events<'_>) -> Result<()> {
        let limits = Limits::from(&self.config.pool);
        let book = |state: &mut State| state.refuse(lease, outcome, limits, &now.into());
        if let Some(change) = self.store.update(Durability::Process, book)? {
            events.changed(&lease.subscription, &change);
        }
        Ok(())
    }
}

/// What a run asks of the pool, from what was typed and where it stands.
fn request(ask: &Ask, agent: &str, config: &Config) -> Result<(Request, Standing)> {
    let standing = Standing::find(config, ask.namespace.clone(), ask.priority)?;
    config.agent(agent)?;
    let request = Request {
        agent: agent.to_owned(),
        namespace: standing.namespace.clone(),
        level: standing.level,
        tags: ask.tags.clone(),
        over_budget: ask.over_budget,
        ..Request::default()
    };
    Ok((request, standing))
}

/// What was probably mistyped, in the words of a warning.
fn strangers(standing: &Standing, tags: &[String], config: &Config) -> Vec<String> {
    let tags = tags.iter().filter_map(|tag| strange_tag(tag, config));
    strange_namespace(standing, config).into_iter().chain(tags).collect()
}

/// A tag that no subscription has keeps the run from all of them.
fn strange_tag(tag: &str, config: &Config) -> Option<String> {
    let known = || config.pool.subscriptions.values().flat_map(|subscription| &subscription.tags);
    if known().any(|known| known == tag) {
        return None;
    }
    let near = closest(tag, known().map(String::as_str))?;
    Some(format!("no subscription has the tag `{tag}`; did you mean `{near}`?"))
}

/// A namespace that nothing knows has no route and so reaches the whole pool: a mistyped one must be seen.
fn strange_namespace(standing: &Standing, config: &Config) -> Option<String> {
    let name = standing.namespace.as_ref()?;
    let known = || config.pool.routes.keys().chain(config.namespaces.keys());
    if known().any(|key| key == name) {
        return None;
    }
    let near = closest(name.as_str(), known().map(Name::as_str))?;
    Some(format!("the namespace `{name}` has no route; did you mean `{near}`?"))
}
