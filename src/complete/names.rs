//! The names that can be completed: subscriptions, namespaces, tags and so on, each with a description.
//!
//! Called by `complete`. With a missing or broken config the lists are empty.

use std::collections::{BTreeMap, BTreeSet};
use std::env;

use clap_complete::engine::CompletionCandidate;

use crate::config::Config;
use crate::paths::Paths;
use crate::pool::{Level, Name, Route, Selector, Subscription};

fn config() -> Option<Config> {
    Config::read(&Paths::from_environment().ok()?).ok()
}

/// A list from the config, empty if the config cannot be read.
fn from_config(list: impl Fn(&Config) -> Vec<CompletionCandidate>) -> Vec<CompletionCandidate> {
    config().as_ref().map(list).unwrap_or_default()
}

pub(super) fn subscriptions() -> Vec<CompletionCandidate> {
    from_config(subscriptions_of)
}

fn subscriptions_of(config: &Config) -> Vec<CompletionCandidate> {
    let about = |subscription: &Subscription| {
        let words = || [&subscription.agent].into_iter().chain(&subscription.tags);
        let agent_and_tags = || words().map(String::as_str).collect::<Vec<_>>().join(" ");
        subscription.description.clone().unwrap_or_else(agent_and_tags)
    };
    let all = config.pool.subscriptions.values();
    all.map(|subscription| candidate(subscription.name.as_str(), about(subscription))).collect()
}

pub(super) fn namespaces() -> Vec<CompletionCandidate> {
    from_config(|config| {
        let routed = config.pool.routes.keys().filter(|key| !key.is_level());
        let names: BTreeSet<&Name> = routed.chain(config.namespaces.keys()).collect();
        names.into_iter().map(|name| candidate(name.as_str(), route_of(config, name.as_str()))).collect()
    })
}

pub(super) fn levels() -> Vec<CompletionCandidate> {
    let route = |level: Level| known_route(level.as_str());
    Level::ALL.map(|level| candidate(level.as_str(), route(level))).into()
}

fn known_route(key: &str) -> String {
    config().map(|config| route_of(&config, key)).unwrap_or_default()
}

/// The keys of the defined routes.
pub(super) fn routes() -> Vec<CompletionCandidate> {
    from_config(|config| {
        let keys = config.pool.routes.keys();
        keys.map(|key| candidate(key.as_str(), route_of(config, key.as_str()))).collect()
    })
}

fn route_of(config: &Config, key: &str) -> String {
    let words = |route: &Route| route.primary.iter().map(Selector::to_string).collect::<Vec<_>>().join(", ");
    config.pool.routes.get(key).map(words).unwrap_or_default()
}

pub(super) fn agents() -> Vec<CompletionCandidate> {
    // The built-in agents are known without a config.
    let agents = config().map(|config| config.agents).unwrap_or_default();
    agents.all().map(|agent| CompletionCandidate::new(agent.name())).collect()
}

pub(super) fn tags() -> Vec<CompletionCandidate> {
    from_config(|config| tags_of(config, ""))
}

fn tags_of(config: &Config, prefix: &str) -> Vec<CompletionCandidate> {
    let mut tags: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for subscription in config.pool.subscriptions.values() {
        for tag in &subscription.tags {
            tags.entry(tag).or_default().push(subscription.name.as_str());
        }
    }
    tags.iter().map(|(tag, names)| candidate(&format!("{prefix}{tag}"), names.join(", "))).collect()
}

/// The selectors of a route: subscriptions, and tags as `tag:NAME`.
pub(super) fn selectors() -> Vec<CompletionCandidate> {
    from_config(|config| {
        let mut selectors = subscriptions_of(config);
        selectors.extend(tags_of(config, "tag:"));
        selectors
    })
}

/// The names of the set variables, without values, which may be secrets.
pub(super) fn variables() -> Vec<CompletionCandidate> {
    let names: BTreeSet<_> = env::vars_os().map(|(name, _)| name).collect();
    names.into_iter().map(CompletionCandidate::new).collect()
}

pub(super) fn candidate(word: &str, help: impl Into<String>) -> CompletionCandidate {
    CompletionCandidate::new(word).help(Some(help.into().into()))
}
