//! What a pool is: its subscriptions, its routes, and what a run asks of it.

use std::collections::BTreeMap;
use std::path::PathBuf;

use jiff::SignedDuration;
use serde::{Deserialize, Serialize};

use super::{Budgets, Level, Name, Route, TEST_AGENT};

/// The priority of a subscription that declares none.
pub const DEFAULT_PRIORITY: u8 = 100;

/// The subscriptions, the routes and how to choose among them.
#[derive(Debug, Clone)]
pub struct Pool {
    pub subscriptions: BTreeMap<Name, Subscription>,
    /// A namespace, or one of the levels, to the set that its runs may use.
    pub routes: BTreeMap<Name, Route>,
    /// What runs of a namespace may use.
    pub namespaces: BTreeMap<Name, Budgets>,
    pub strategy: Strategy,
    /// Over which a declared `requests_per_window` counts.
    pub rate_limit_window: SignedDuration,
    /// How long a limit lasts that came without a reset time.
    pub rate_limit_cooldown: SignedDuration,
    /// From this utilisation (0.0-1.0) on a subscription is chosen last.
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
    /// Most agents that may run on it at once.
    pub max_parallel: Option<u32>,
    /// Variables that its agent gets, for gateways.
    pub env: BTreeMap<String, String>,
    pub requests_per_window: Option<u64>,
    pub budgets: Budgets,
    pub enabled: bool,
}

/// Where a subscription's secret is, and how it reaches the agent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Credential {
    pub source: Source,
    pub deliver: Delivery,
}

/// The place that holds the secret.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Source {
    /// The keychain of the operating system.
    Keychain,
    /// kage's own encrypted file.
    File,
    /// A shell command that prints it.
    Command(String),
    /// The agent's own login directory; kage stores nothing.
    Home(PathBuf),
}

impl Source {
    /// The field's word for it, as in `--credential`.
    pub fn word(&self) -> &'static str {
        match self {
            Self::Keychain => "keychain",
            Self::File => "file",
            Self::Command(_) => "command",
            Self::Home(_) => "home",
        }
    }
}

/// How the secret is handed to the agent.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Delivery {
    /// In an environment variable.
    #[default]
    Env,
    /// On a pipe whose number is in a variable, which keeps it out of `/proc/<pid>/environ`.
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
    /// The lowest utilisation first.
    LeastUsed,
}

/// What a run asks of the pool.
#[derive(Debug, Clone, Default)]
pub struct Request {
    pub agent: String,
    pub namespace: Option<Name>,
    pub level: Level,
    /// Each must be among a subscription's tags.
    pub tags: Vec<String>,
    /// The model family, where the command names one (`opus`); limits of other families do not matter.
    pub model: Option<String>,
    /// `-s NAME`: this one or none; routes, tags, limits and health only warn.
    pub only: Option<Name>,
    /// The one that ran this conversation last; it is taken first when it is eligible.
    pub prefer: Option<Name>,
    /// What this run has tried already.
    pub tried: Vec<Name>,
    /// `--over-budget`: a budget that is used up only warns.
    pub over_budget: bool,
    /// `--wait`: what passes by itself is waited for, also where one subscription is insisted on.
    pub waits: bool,
}

impl Pool {
    /// Subscriptions of these names, and otherwise what a config without settings means. For tests and benches.
    pub fn of(names: &[&str]) -> Self {
        let subscription = |text: &&str| {
            let name: Name = text.parse().expect("a test names it well");
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
