//! Settings beat the environment in Claude Code: an `env` key or an `apiKeyHelper` in a settings file wins
//! over the credential that kage passes. Here such keys are found and switched off for one run.
//!
//! Measured on 2.1.330: `--settings` beats the other files; an empty value there means unset; of two
//! `--settings` the first is ignored, so the user's own is merged; and with
//! `CLAUDE_CODE_PROVIDER_MANAGED_BY_HOST` set, the agent ignores its settings' credential variables.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use serde_json::{Map, Value, json};

use super::arguments::Conversation;
use super::environment;
use crate::agent::{Grant, Job, LaunchPlan};

/// Makes the agent ignore credential variables of its settings. Used only where a settings file sets the
/// very variable that kage needs: emptying that one would empty kage's too.
const MANAGED_BY_HOST: &str = "CLAUDE_CODE_PROVIDER_MANAGED_BY_HOST";
const HELPER: &str = "apiKeyHelper";
const BYTE_ORDER_MARK: &[u8] = "\u{feff}".as_bytes();
/// Settings of the machine's administrator, which nothing can overrule.
const MANAGED: [&str; 2] = [
    "/etc/claude-code/managed-settings.json",
    "/Library/Application Support/ClaudeCode/managed-settings.json",
];

/// What settings do against the chosen credential.
#[derive(Default)]
struct Competing {
    variables: BTreeSet<String>,
    /// The file whose helper would supply another key.
    helper: Option<PathBuf>,
}

impl Competing {
    fn is_empty(&self) -> bool {
        self.variables.is_empty() && self.helper.is_none()
    }

    fn note(&mut self, settings: &Map<String, Value>, file: &Path, job: &Job<'_>) {
        let variables = settings.get("env").and_then(Value::as_object).into_iter().flatten();
        let set = variables.filter(|(name, value)| {
            environment::competes(name) && !job.keeps(name) && value.as_str() != Some("")
        });
        self.variables.extend(set.map(|(name, _)| name.clone()));
        if settings.get(HELPER).is_some_and(|helper| !matches!(helper.as_str(), None | Some(""))) {
            self.helper.get_or_insert_with(|| file.to_owned());
        }
    }

    /// What the settings files of the user and the project do, from the current directory upward: the agent
    /// looks at some of these directories only, and emptying a key that it does not read costs nothing.
    fn find(job: &Job<'_>, config: &Path) -> Self {
        let mut competing = Self::default();
        let users_own = matches!(job.grant, Grant::Secret(..)).then(|| config.join("settings.json"));
        let projects = job.cwd.ancestors().map(|dir| dir.join(".claude"));
        let projects = projects.filter(|dir| dir != config);
        let files = projects.flat_map(|dir| [dir.join("settings.json"), dir.join("settings.local.json")]);
        for file in users_own.into_iter().chain(files) {
            if let Some(settings) = read(&file) {
                competing.note(&settings, &file, job);
            }
        }
        competing
    }
}

/// Switches competing settings off through one `--settings`, merged with the user's own.
pub(super) fn neutralise(conversation: &Conversation, job: &Job<'_>, config: &Path, plan: &mut LaunchPlan) {
    warn_of_managed(job, plan);
    let mut competing = Competing::find(job, config);
    let (at, given) = conversation.settings.clone().unzip();
    let mut merged = Map::new();
    let mut from_file = false;
    if let Some(given) = given {
        let text = given.to_string_lossy();
        let inline = text.trim_start().starts_with('{');
        let path = job.cwd.join(&given);
        from_file = !inline;
        let known = if inline { serde_json::from_str(&text).ok() } else { read(&path) };
        // What cannot be read is left alone: the agent's own error names it.
        let Some(known) = known else { return };
        competing.note(&known, &path, job);
        merged = known;
    }
    if competing.is_empty() {
        return;
    }
    switch_off(&competing, job, &mut merged, plan);
    let text = Value::Object(merged).to_string();
    let value = if from_file {
        // The user keeps these settings in a file, perhaps for a reason: they do not go into argv.
        plan.settings = Some((job.settings_file.to_owned(), text));
        job.settings_file.into()
    } else {
        text.into()
    };
    let at = at.unwrap_or(0..0);
    plan.args.splice(at, ["--settings".into(), value]);
}

fn switch_off(competing: &Competing, job: &Job<'_>, merged: &mut Map<String, Value>, plan: &mut LaunchPlan) {
    if competing.helper.is_some() {
        merged.insert(HELPER.into(), json!(""));
    }
    let needed = |name: &str| is_ours(name, job);
    let variables = merged.entry("env").or_insert_with(|| json!({}));
    if let Some(variables) = variables.as_object_mut() {
        for name in &competing.variables {
            if needed(name) {
                variables.remove(name);
            } else {
                variables.insert(name.clone(), json!(""));
            }
        }
        if variables.is_empty() {
            merged.remove("env");
        }
    }
    if competing.variables.iter().any(|name| needed(name)) {
        plan.set.push((MANAGED_BY_HOST.into(), "1".into()));
    }
}

/// Whether kage itself sets the variable for this run.
fn is_ours(name: &str, job: &Job<'_>) -> bool {
    let carries = matches!(job.grant, Grant::Secret(kind, deliver) if kind.carrier(deliver) == name);
    carries || job.own_env.contains_key(name)
}

/// A program that may start the agent gets no arguments, so only the environment can be arranged.
pub(super) fn guard_other_program(job: &Job<'_>, config: &Path, plan: &mut LaunchPlan) {
    let competing = Competing::find(job, config);
    if let Some(file) = competing.helper {
        plan.warnings.push(format!(
            "`{HELPER}` in {} beats this subscription where the program starts claude; \
             run claude itself through kage exec, which switches it off",
            file.display()
        ));
    } else if !competing.variables.is_empty() {
        plan.set.push((MANAGED_BY_HOST.into(), "1".into()));
    }
}

fn warn_of_managed(job: &Job<'_>, plan: &mut LaunchPlan) {
    for file in MANAGED.map(Path::new) {
        let mut competing = Competing::default();
        if let Some(settings) = read(file) {
            competing.note(&settings, file, job);
        }
        if !competing.is_empty() {
            plan.warnings.push(format!(
                "{} sets a credential for all users of this machine; the agent will use that one",
                file.display()
            ));
        }
    }
}

/// A settings file as an object; one that is missing or broken is none, as it is to the agent. A byte
/// order mark, which editors of other systems leave, does not break it.
fn read(file: &Path) -> Option<Map<String, Value>> {
    let bytes = fs::read(file).ok()?;
    let text = bytes.strip_prefix(BYTE_ORDER_MARK).unwrap_or(&bytes);
    match serde_json::from_slice(text).ok()? {
        Value::Object(settings) => Some(settings),
        _ => None,
    }
}

#[cfg(test)]
mod tests;
