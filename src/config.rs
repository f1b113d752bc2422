//! The user's definitions: subscriptions, routes, strategy, namespaces. The config is read and checked as a
//! whole: one error rejects all of it.
//!
//! Called by the engine, the verbs and `complete`. An error in the text names the file, the line and, if
//! known, the key.

mod agents;
mod cache;
pub mod edit;
mod fields;
mod locate;
mod mistake;
mod prices;
pub mod project;
mod text;
mod wording;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use anyhow::Result;
use jiff::SignedDuration;
use serde::Deserialize;

use self::cache::Cache;
use self::fields::Table;
use self::text::read;
use crate::agent::{Agent, Agents, DEFAULT_AGENT};
use crate::error::Failure;
use crate::paths::{Paths, expand_home};
use crate::pool::{
    Budgets, Cost, Credential, DEFAULT_PRIORITY, Delivery, Name, Pool, Route, Selector, Source, Strategy,
    Subscription, maps,
};
use crate::prices::Prices;

pub(crate) use self::text::bytes;
use mistake::Mistake;
pub use wording::closest;

/// The parsed config.
#[derive(Debug, Clone)]
pub struct Config {
    pub pool: Pool,
    /// The directories of each namespace: runs below them have that namespace.
    pub namespaces: BTreeMap<Name, Vec<PathBuf>>,
    pub agents: Agents,
    /// kage's price table, overridden by the user's prices.
    pub prices: Prices,
    pub failover: Failover,
    /// The shell command that receives the events of the pool.
    pub event_command: Option<String>,
}

/// How a run continues after a refused attempt.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failover {
    /// The maximum number of attempts after the first.
    pub attempts: u32,
    /// The prompt with which the next attempt continues the conversation.
    pub prompt: String,
    /// How long to wait for a throttled or overloaded provider before the next attempt.
    pub throttle_wait: SignedDuration,
    /// How a session at the terminal continues.
    pub interactive: Interactive,
}

/// How a session at the terminal continues after a usage limit.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Interactive {
    /// Automatically on the next subscription, after a short delay in which the user can cancel.
    #[default]
    Auto,
    /// If the user agrees, after leaving the session.
    Ask,
    /// Only when the user runs the command that kage prints.
    Off,
}

impl Default for Failover {
    fn default() -> Self {
        Self {
            attempts: 3,
            prompt: "Continue where you left off.".into(),
            throttle_wait: SignedDuration::from_secs(20),
            interactive: Interactive::default(),
        }
    }
}

#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields, default)]
struct RawConfig {
    subscriptions: Table<RawSubscriptions>,
    namespaces: BTreeMap<Name, Table<RawNamespace>>,
    agents: BTreeMap<Name, Table<agents::RawAgent>>,
    prices: BTreeMap<String, prices::RawPeriods>,
    failover: Table<RawFailover>,
    events: Table<RawEvents>,
}

#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields, default)]
struct RawFailover {
    attempts: Option<u32>,
    #[serde(deserialize_with = "fields::non_empty")]
    prompt: Option<String>,
    #[serde(deserialize_with = "fields::duration")]
    throttle_wait: Option<SignedDuration>,
    interactive: Option<Interactive>,
}

#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields, default)]
struct RawEvents {
    #[serde(deserialize_with = "fields::non_empty")]
    command: Option<String>,
}

#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields, default)]
struct RawSubscriptions {
    strategy: Option<Strategy>,
    /// The older name of `strategy`.
    default_priority: Option<Strategy>,
    #[serde(deserialize_with = "fields::duration")]
    rate_limit_window: Option<SignedDuration>,
    #[serde(deserialize_with = "fields::duration")]
    rate_limit_cooldown: Option<SignedDuration>,
    #[serde(deserialize_with = "fields::fraction")]
    near_limit: Option<f64>,
    routing: BTreeMap<Name, fields::RawRoute>,
    #[serde(deserialize_with = "maps::deserialize_sorted")]
    pool: BTreeMap<Name, Table<RawSubscription>>,
}

#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields, default)]
struct RawSubscription {
    agent: Option<String>,
    #[serde(deserialize_with = "fields::priority")]
    priority: Option<u8>,
    #[serde(deserialize_with = "fields::tags")]
    tags: Vec<String>,
    description: Option<String>,
    credential: Option<fields::RawCredential>,
    #[serde(deserialize_with = "fields::positive")]
    max_parallel: Option<u32>,
    #[serde(deserialize_with = "fields::variables")]
    env: BTreeMap<String, String>,
    #[serde(deserialize_with = "fields::positive")]
    requests_per_window: Option<u64>,
    #[serde(deserialize_with = "fields::positive")]
    tokens_per_day: Option<u64>,
    #[serde(deserialize_with = "fields::dollars")]
    cost_per_day: Option<Cost>,
    #[serde(deserialize_with = "fields::dollars")]
    cost_per_month: Option<Cost>,
    enabled: Option<bool>,
}

#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields, default)]
struct RawNamespace {
    repos: Vec<String>,
    #[serde(deserialize_with = "fields::positive")]
    tokens_per_day: Option<u64>,
    #[serde(deserialize_with = "fields::dollars")]
    cost_per_day: Option<Cost>,
    #[serde(deserialize_with = "fields::dollars")]
    cost_per_month: Option<Cost>,
}

impl RawNamespace {
    fn budgets(&self) -> Budgets {
        let Self { tokens_per_day, cost_per_day, cost_per_month, .. } = *self;
        Budgets { tokens_per_day, cost_per_day, cost_per_month }
    }
}

impl Config {
    /// Returns the subscription with this name, or an error that suggests a similar name.
    pub fn subscription(&self, name: &Name) -> Result<&Subscription, Failure> {
        let subscriptions = &self.pool.subscriptions;
        subscriptions.get(name).ok_or_else(|| {
            let near = closest(name.as_str(), subscriptions.keys().map(Name::as_str));
            let hint = near.map_or_else(
                || "kage subscription list".to_owned(),
                |near| format!("did you mean `{near}`?"),
            );
            Failure::usage(format!("no subscription named `{name}`")).hint(hint)
        })
    }

    /// Reads only the config file, without the cache.
    pub fn read(paths: &Paths) -> Result<Self> {
        Self::parse(&read(&paths.config)?, &paths.config, &paths.home)
    }

    /// Reads the config, from the cache if the cache is valid. A missing file is an empty config.
    pub fn load(paths: &Paths) -> Result<Self> {
        Self::load_with(paths, |_, _| ())
    }

    /// Like `load`, and writes the cache.
    pub fn load_and_cache(paths: &Paths) -> Result<Self> {
        Self::load_with(paths, Cache::write)
    }

    fn load_with(paths: &Paths, write: impl FnOnce(&Cache, &str)) -> Result<Self> {
        let cache = Cache::of(&paths.config, &paths.state);
        let cached = cache.as_ref().and_then(Cache::document);
        let raw = cached.and_then(|document| serde_json::from_slice::<RawConfig>(&document).ok());
        if let Some(Ok(config)) = raw.map(|raw| Self::from_raw(raw, &paths.home)) {
            return Ok(config);
        }
        let text = read(&paths.config)?;
        let config = Self::parse(&text, &paths.config, &paths.home)?;
        if let Some(cache) = cache {
            write(&cache, &text);
        }
        Ok(config)
    }

    /// Parses the text of a config. `file` is used only in error messages.
    pub fn parse(text: &str, file: &Path, home: &Path) -> Result<Self> {
        let raw: RawConfig =
            toml::from_str(text).map_err(|why| locate::failure(file, text, &why, EDIT_HINT))?;
        Self::from_raw(raw, home).map_err(|mistake| {
            let line = locate::line_of(text, &mistake.key);
            let key = mistake.key.join(".");
            let message = format!("{}:{line}: `{key}`: {}", file.display(), mistake.message);
            Failure::usage(message).hint(mistake.hint).into()
        })
    }

    fn from_raw(raw: RawConfig, home: &Path) -> Result<Self, Mistake> {
        let Table(settings) = raw.subscriptions;
        if settings.strategy.is_some() && settings.default_priority.is_some() {
            let message = "`strategy` and its older name `default_priority` are both set";
            let key = ["subscriptions", "default_priority"];
            return Err(Mistake::new(&key, message, "remove the line with `default_priority`"));
        }
        let agents = agents::agents(raw.agents)?;
        let resolved = settings.pool.into_iter().map(|(name, Table(raw))| {
            let key = name.clone();
            subscription(name, raw, &agents, home).map(|subscription| (key, subscription))
        });
        let subscriptions = resolved.collect::<Result<BTreeMap<_, _>, _>>()?;
        let routes = routes(settings.routing, &subscriptions)?;
        let (mut namespaces, mut budgets) = (BTreeMap::new(), BTreeMap::new());
        for (name, Table(raw)) in raw.namespaces {
            if name.is_level() {
                let message = format!("`{name}` is a level and cannot be a namespace");
                let key = ["namespaces", name.as_str()];
                return Err(Mistake::new(&key, message, format!("rename it, for example `{name}-work`")));
            }
            budgets.insert(name.clone(), raw.budgets());
            namespaces.insert(name, raw.repos.iter().map(|repo| expand_home(repo, home)).collect());
        }
        let pool = Pool {
            subscriptions,
            routes,
            namespaces: budgets,
            strategy: settings.strategy.or(settings.default_priority).unwrap_or_default(),
            rate_limit_window: settings.rate_limit_window.unwrap_or(SignedDuration::from_mins(1)),
            rate_limit_cooldown: settings.rate_limit_cooldown.unwrap_or(SignedDuration::from_mins(5)),
            near_limit: settings.near_limit.unwrap_or(0.9),
        };
        let default = Failover::default();
        let (Table(failover), Table(events)) = (raw.failover, raw.events);
        let failover = Failover {
            attempts: failover.attempts.unwrap_or(default.attempts),
            prompt: failover.prompt.unwrap_or(default.prompt),
            throttle_wait: failover.throttle_wait.unwrap_or(default.throttle_wait),
            interactive: failover.interactive.unwrap_or_default(),
        };
        let prices = prices::prices(raw.prices)?;
        Ok(Self { pool, namespaces, agents, prices, failover, event_command: events.command })
    }

    /// Returns the agent with this name, or an error that suggests the known agents.
    pub fn agent(&self, name: &str) -> Result<&'static dyn Agent, Failure> {
        known_agent(&self.agents, name)
    }
}

/// Returns the line of a key in the config, counted from 1. If the key is missing, returns the line of its
/// nearest existing parent.
pub fn line_of(paths: &Paths, key: &[&str]) -> usize {
    let key: Vec<_> = key.iter().map(|&part| part.to_owned()).collect();
    read(&paths.config).map_or(1, |text| locate::line_of(&text, &key))
}

/// The hint for most mistakes in the file.
const EDIT_HINT: &str = "fix that line; docs/config.md lists every key";

fn subscription(
    name: Name,
    raw: RawSubscription,
    agents: &Agents,
    home: &Path,
) -> Result<Subscription, Mistake> {
    let agent = raw.agent.unwrap_or_else(|| DEFAULT_AGENT.to_owned());
    let known = known_agent(agents, &agent).map_err(|unknown| {
        let key = ["subscriptions", "pool", name.as_str(), "agent"];
        Mistake::new(&key, unknown.message, unknown.hint.unwrap_or_default())
    })?;
    let credential = raw.credential.map_or_else(
        || Credential { source: Source::Keychain, deliver: Delivery::Env },
        |credential| credential.resolve(home),
    );
    if let Source::Home(dir) = &credential.source
        && !known.has_login_dirs()
    {
        let key = ["subscriptions", "pool", name.as_str(), "credential"];
        let message = format!("`{agent}` does not support a login directory such as {}", dir.display());
        let hint = "use an API key: from = \"keychain\", from = \"file\", or a command";
        return Err(Mistake::new(&key, message, hint));
    }
    if credential.deliver == Delivery::Fd && known.default_kind().descriptor.is_none() {
        let key = ["subscriptions", "pool", name.as_str(), "credential"];
        let message = format!("`{agent}` cannot read its key from a pipe");
        return Err(Mistake::new(&key, message, "remove `deliver`"));
    }
    Ok(Subscription {
        agent,
        priority: raw.priority.unwrap_or(DEFAULT_PRIORITY),
        tags: raw.tags,
        description: raw.description,
        credential,
        max_parallel: raw.max_parallel,
        env: raw.env,
        requests_per_window: raw.requests_per_window,
        budgets: Budgets {
            tokens_per_day: raw.tokens_per_day,
            cost_per_day: raw.cost_per_day,
            cost_per_month: raw.cost_per_month,
        },
        enabled: raw.enabled.unwrap_or(true),
        name,
    })
}

fn routes(
    raw: BTreeMap<Name, fields::RawRoute>,
    subscriptions: &BTreeMap<Name, Subscription>,
) -> Result<BTreeMap<Name, Route>, Mistake> {
    let mut routes = BTreeMap::new();
    for (key, raw) in raw {
        let route = raw.0;
        for selector in route.primary.iter().chain(&route.fallback) {
            let path = ["subscriptions", "routing", key.as_str()];
            match selector {
                Selector::Name(name) if !subscriptions.contains_key(name) => {
                    let message = format!("no subscription named `{name}`");
                    let near = closest(name.as_str(), subscriptions.keys().map(Name::as_str));
                    let hint = near.map_or_else(
                        || format!("kage subscription add {name}"),
                        |near| format!("did you mean `{near}`?"),
                    );
                    return Err(Mistake::new(&path, message, hint));
                }
                _ => {}
            }
        }
        routes.insert(key, route);
    }
    Ok(routes)
}

fn known_agent(agents: &Agents, name: &str) -> Result<&'static dyn Agent, Failure> {
    agents.find(name).ok_or_else(|| {
        let message = format!("unknown agent `{name}`");
        let hint = closest(name, agents.all().map(Agent::name)).map_or_else(
            || format!("known agents: {}", agents.names()),
            |near| format!("did you mean `{near}`?"),
        );
        Failure::usage(message).hint(hint)
    })
}

#[cfg(test)]
mod tests;
