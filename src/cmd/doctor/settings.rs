//! The agents' settings files: settings that override the credential, or that disable the hooks of kage.

use std::fs;
use std::path::Path;

use super::{Finding, Scene, edit};
use crate::agent::{Effect, Setting};

pub(super) fn examine(scene: &Scene) -> Vec<Finding> {
    let Some(config) = &scene.config else { return Vec::new() };
    let mut settings: Vec<Setting> = Vec::new();
    for subscription in scene.subscriptions() {
        let Ok(agent) = config.agent(&subscription.agent) else { continue };
        for setting in scene.with_job(subscription, agent, |job| agent.settings(job)) {
            if !settings.contains(&setting) {
                settings.push(setting);
            }
        }
    }
    let found: Vec<_> = settings.iter().map(|setting| finding(setting, scene)).collect();
    if found.is_empty() {
        return vec![Finding::ok("settings", "no agent setting overrides a subscription")];
    }
    found
}

fn finding(setting: &Setting, scene: &Scene) -> Finding {
    let Setting { file, key, effect } = setting;
    let shown = scene.shown(file);
    match effect {
        Effect::SwitchedOff => {
            Finding::ok("setting-switched-off", format!("`{key}` in {shown}: kage disables it for its runs"))
        }
        Effect::Overrides => {
            let message =
                format!("`{key}` in {shown} overrides the subscription, and kage cannot disable it");
            Finding::warning("setting-wins", message, edit(file, line_of(file, key)))
        }
        Effect::DisablesHooks => {
            let message =
                format!("`{key}` in {shown} disables hooks: kage cannot see limits or /clear in a session");
            Finding::warning("hooks-off", message, edit(file, line_of(file, key)))
        }
    }
}

/// The line of a key in a JSON file.
fn line_of(file: &Path, key: &str) -> usize {
    let text = fs::read_to_string(file).unwrap_or_default();
    text.lines().position(|line| line.contains(&format!("\"{key}\""))).map_or(1, |at| at + 1)
}
