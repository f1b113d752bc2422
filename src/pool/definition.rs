//! The definition of a pool: its subscriptions, its routes, and the request of a run.

use std::collections::BTreeMap;
use std::path::PathBuf;

use jiff::SignedDuration;
use serde::{Deserialize, Serialize};

use super::{Budgets, Level, Name, Route, TEST_AGENT};

/// The priority of a subscription that declares none.
pub const DEFAULT_PRIORITY: u8 = 100;

/// The subscriptions, the routes, and how to choose among them.
#[derive(Debug, Clone)]
pub struct Pool {
    pub subscriptions: BTreeMap<Name, Subscription>,
    /// The route of a namespace or level, by its name.
    pub routes: BTreeMap<Name, Route>,
    /// The budgets of namespaces.
    pub namespaces: BTreeMap<Name, Budgets>,
    pub strategy: Strategy,
    /// The window in which `requests_per_window` counts.
    pub rate_limit_window: SignedDuration,
    /// How long a short limit (one of hours) without a reset time lasts.
    pub rate_limit_cooldown: SignedDuration,
    /// A subscription ranks last if its utilization (0.0-1.0) is at least this.
    pub near_limit: f64,
}

/// One account at a provider.
#[derive(Debug, Clone)]
pub struct Subscription {
    pub name: Name,
    pub agent: String,
    /// 0-255; a share of the work under `round-robin`, a rank under `priority`.
    pub priority: u8,
    pub tags: Vec<String>,
    pub description: Option<String>,
    pub credential: Credential,
    /// The maximum number of agents that may run on it at the same time.
    pub max_parallel: Option<u32>,
    /// Environment variables for its agent, such as the address of a gateway.
    pub env: BTreeMap<String, String>,
    pub requests_per_window: Option<u64>,
    pub budgets: Budgets,
    pub enabled: bool,
}

/// Where the secret of a subscription is kept, and how it reaches the agent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Credential {
    pub source: Source,
    pub deliver: Delivery,
}

/// The credential location: where the secret is kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Source {
    /// The keychain of the operating system.
    Keychain,
    /// The encrypted file of kage.
    File,
    /// A shell command that prints the secret.
    Command(String),
    /// The agent's own login directory; kage stores nothing.
    Home(PathBuf),
}

impl Source {
    /// The word used in the config and in `--credential`.
    pub fn word(&self) -> &'static str {
        match self {
            Self::Keychain => "keychain",
            Self::File => "file",
            Self::Command(_) => "command",
            Self::Home(_) => "home",
        }
    }
}

/// How the secret is passed to the agent.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Delivery {
    /// In an environment variable.
    #[default]
    Env,
    /// Through a pipe whose file descriptor is named in a variable, which keeps the secret out of
    /// `/proc/<pid>/environ`.
    Fd,
}

/// How to choose among eligible subscriptions.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Strategy {
    /// Work is shared in proportion to priority.
    #[default]
    RoundRobin,
    /// The highest priority first.
    Priority,
    /// The lowest utilization first.
    LeastUsed,
}

/// What a run asks of the pool.
#[derive(Debug, Clone, Default)]
pub struct Request {
    pub agent: String,
    pub namespace: Option<Name>,
    pub level: Level,
    /// The tags that a subscription must have.
    pub tags: Vec<String>,
    /// The model family (`opus`), if the command names one. Limits of other families do not exclude a
    /// subscription.
    pub model: Option<String>,
    /// `-s NAME`: only this subscription. Routes, tags, limits, health and budgets only warn.
    pub only: Option<Name>,
    /// The subscription that ran this conversation last. It is preferred if it is eligible.
    pub prefer: Option<Name>,
    /// The subscriptions that this run has already tried.
    pub tried: Vec<Name>,
    /// `--over-budget`: a used-up budget only warns.
    pub over_budget: bool,
    /// `--wait`: the run waits for temporary exclusions to end, even with `-s NAME`.
    pub waits: bool,
}

impl Pool {
    /// Returns a pool of these subscriptions with the defaults of an empty config. For tests and benches.
    pub fn of(names: &[&str]) -> Self {
        let subscription = |text: &&str| {
            let name: Name = text.parse().expect("tests pass valid names");
            let subscription = Subscription {
                name: name.clone(),
                agent: TEST_AGENT.into(),
                priority: DEFAULT_PRIORITY,
                tags: Vec::new(),
                description: None,
                credential: Credential { source: Source::Keychain, deliver: Delivery::Env },
                max_parallel: None,
                env: BTreeMap::new(),
                requests_per_window: None,
                budgets: Budgets::default(),
                enabled: true,
            };
            (name, subscription)
        };
        Self {
            subscriptions: names.iter().map(subscription).collect(),
            namespaces: BTreeMap::new(),
            routes: BTreeMap::new(),
            strategy: Strategy::default(),
            rate_limit_window: SignedDuration::from_mins(1),
            rate_limit_cooldown: SignedDuration::from_mins(5),
            near_limit: 0.9,
        }
    }
}
