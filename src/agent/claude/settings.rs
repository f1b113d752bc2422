//! In Claude Code, settings override the environment: an `env` key or an `apiKeyHelper` in a settings file
//! replaces the credential that kage passes. This module finds such keys and switches them off for one run.
//!
//! Measured on 2.1.332: `--settings` overrides the other files; an empty value in it means unset; the agent
//! ignores all but the last `--settings`, so kage merges the user's into its own; and with
//! `CLAUDE_CODE_PROVIDER_MANAGED_BY_HOST` set, the agent ignores the credential variables in its settings.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use serde_json::{Map, Value, json};

use super::arguments::Conversation;
use super::{environment, hook};
use crate::agent::{Effect, Grant, Job, LaunchPlan, Setting};

/// Makes the agent ignore the credential variables in its settings. Set in two cases: a settings file sets a
/// variable that kage sets too (an empty value in `--settings` would also clear kage's value), or the program
/// is not the agent (kage adds no `--settings` to it). Never set with a login directory: the agent would
/// ignore its own login too.
const MANAGED_BY_HOST: &str = "CLAUDE_CODE_PROVIDER_MANAGED_BY_HOST";
const HELPER: &str = "apiKeyHelper";
const HOOKS_OFF: &str = "disableAllHooks";
const BYTE_ORDER_MARK: &[u8] = "\u{feff}".as_bytes();
/// Settings of the machine's administrator, which nothing overrides.
const MANAGED: [&str; 2] = [
    "/etc/claude-code/managed-settings.json",
    "/Library/Application Support/ClaudeCode/managed-settings.json",
];

/// Settings that compete with the chosen credential.
#[derive(Default)]
struct Competing {
    variables: BTreeSet<String>,
    /// The settings file whose `apiKeyHelper` would supply another key.
    helper: Option<PathBuf>,
}

impl Competing {
    fn is_empty(&self) -> bool {
        self.variables.is_empty() && self.helper.is_none()
    }

    fn add(&mut self, settings: &Map<String, Value>, file: &Path, job: &Job<'_>) {
        let variables = settings.get("env").and_then(Value::as_object).into_iter().flatten();
        let set = variables.filter(|(name, value)| {
            environment::competes(name) && !job.keeps(name) && value.as_str() != Some("")
        });
        self.variables.extend(set.map(|(name, _)| name.clone()));
        if settings.get(HELPER).is_some_and(|helper| !matches!(helper.as_str(), None | Some(""))) {
            self.helper.get_or_insert_with(|| file.to_owned());
        }
    }

    /// Reads the settings files of the user and of the project, from the current directory upward. The agent
    /// reads only some of these directories, but clearing a key that it does not read does no harm.
    fn find(job: &Job<'_>, config: &Path) -> Self {
        let mut competing = Self::default();
        let users_own = matches!(job.grant, Grant::Secret(..)).then(|| config.join("settings.json"));
        for file in users_own.into_iter().chain(project_files(job, config)) {
            if let Some(settings) = read(&file) {
                competing.add(&settings, &file, job);
            }
        }
        competing
    }
}

fn project_files(job: &Job<'_>, config: &Path) -> impl Iterator<Item = PathBuf> {
    let dirs = job.cwd.ancestors().map(|dir| dir.join(".claude")).filter(move |dir| dir != config);
    dirs.flat_map(|dir| [dir.join("settings.json"), dir.join("settings.local.json")])
}

/// Returns the keys in settings files that compete with the credential or disable hooks.
pub(super) fn relevant(job: &Job<'_>, config: &Path) -> Vec<Setting> {
    let users_own = config.join("settings.json");
    let is_login = matches!(job.grant, Grant::Home(_));
    let mut found = Vec::new();
    let files = MANAGED.map(PathBuf::from).into_iter().chain([users_own.clone()]);
    for file in files.chain(project_files(job, config)) {
        let Some(settings) = read(&file) else { continue };
        let mut note =
            |key: &str, effect| found.push(Setting { file: file.clone(), key: key.to_owned(), effect });
        if settings.get(HOOKS_OFF).and_then(Value::as_bool) == Some(true) {
            note(HOOKS_OFF, Effect::DisablesHooks);
        }
        // A login directory is used as it is, with its own settings.
        if is_login && file == users_own {
            continue;
        }
        let is_managed = MANAGED.iter().any(|known| file == Path::new(known));
        let effect = if is_managed { Effect::Overrides } else { Effect::SwitchedOff };
        let mut competing = Competing::default();
        competing.add(&settings, &file, job);
        competing.variables.iter().for_each(|name| note(name, effect));
        if competing.helper.is_some() {
            note(HELPER, effect);
        }
    }
    found
}

/// Adds the run's only `--settings` to the plan: the user's own, with competing values switched off, and
/// kage's hooks if there are any.
pub(super) fn add_to_plan(conversation: &Conversation, job: &Job<'_>, config: &Path, plan: &mut LaunchPlan) {
    warn_about_managed(job, plan);
    let mut competing = Competing::find(job, config);
    let (at, given) = conversation.settings.clone().unzip();
    let given = given.filter(|given| !is_kage_file(&job.cwd.join(given), job, plan));
    let mut merged = Map::new();
    let mut from_file = false;
    if let Some(given) = &given {
        let text = given.to_string_lossy();
        let inline = text.trim_start().starts_with('{');
        let path = job.cwd.join(given);
        from_file = !inline;
        let known = if inline { serde_json::from_str(&text).ok() } else { read(&path) };
        // Settings that cannot be read stay as they are: the agent reports the error.
        let Some(known) = known else { return };
        competing.add(&known, &path, job);
        merged = known;
    }
    let at = at.unwrap_or(0..0);
    if competing.is_empty() && job.hook.is_none() {
        if given.is_none() {
            plan.args.drain(at);
        }
        return;
    }
    if !competing.is_empty() {
        switch_off(&competing, job, &mut merged, plan);
        from_file |= contains_own_env(&competing, job);
    }
    // Settings with only hooks are the same for all runs, so their file is not removed.
    let only_hooks = merged.is_empty();
    if let Some(hook) = &job.hook {
        hook::add(hook.command, &mut merged);
    }
    let text = Value::Object(merged).to_string();
    let file = match &job.hook {
        Some(hook) if only_hooks => Some(hook.file),
        // The user keeps these values in a file, perhaps to hide them, so they do not go into argv.
        _ if from_file => Some(job.settings_file),
        _ => None,
    };
    let value = match file {
        Some(file) => {
            plan.settings = Some((file.to_owned(), text));
            file.into()
        }
        None => text.into(),
    };
    plan.args.splice(at, ["--settings".into(), value]);
}

/// Whether the user passes a file that kage wrote for an earlier run: on exit, the agent prints its arguments
/// so that the user can resume the conversation. By then, kage has removed a merged file.
fn is_kage_file(given: &Path, job: &Job<'_>, plan: &mut LaunchPlan) -> bool {
    if job.hook.is_some_and(|hook| hook.file == given) {
        return true;
    }
    let gone = given.parent() == job.settings_file.parent() && !given.exists();
    if gone {
        let file = given.display();
        plan.warnings.push(format!("{file} belongs to a run that has ended; continuing without it"));
    }
    gone
}

fn switch_off(competing: &Competing, job: &Job<'_>, merged: &mut Map<String, Value>, plan: &mut LaunchPlan) {
    plan.switched_off.extend(competing.variables.iter().cloned());
    if competing.helper.is_some() {
        plan.switched_off.push(HELPER.to_owned());
        merged.insert(HELPER.into(), json!(""));
    }
    let variables = merged.entry("env").or_insert_with(|| json!({}));
    if let Some(variables) = variables.as_object_mut() {
        for name in &competing.variables {
            match replacement(name, job) {
                Some(value) => variables.insert(name.clone(), json!(value)),
                None => variables.remove(name),
            };
        }
        if variables.is_empty() {
            merged.remove("env");
        }
    }
    if competing.variables.iter().any(|name| replacement(name, job).is_none()) {
        plan.set.push((MANAGED_BY_HOST.into(), "1".into()));
    }
}

/// Returns the value that replaces a competing one in the run's settings: empty, or the subscription's own.
/// Returns `None` for a variable that kage sets in the environment: the settings must not contain it.
fn replacement<'a>(name: &str, job: &'a Job<'_>) -> Option<&'a str> {
    let own = job.own_env.get(name).map(String::as_str);
    match job.grant {
        Grant::Home(_) => Some(own.unwrap_or_default()),
        Grant::Secret(kind, deliver) if own.is_some() || kind.variable_for(deliver) == name => None,
        Grant::Secret(..) => Some(""),
    }
}

/// Whether the run's settings contain values from kage's config.
fn contains_own_env(competing: &Competing, job: &Job<'_>) -> bool {
    competing.variables.iter().any(|name| replacement(name, job).is_some_and(|value| !value.is_empty()))
}

/// Protects the credential if the program is not the agent but may start it. kage adds no arguments to such a
/// program, so it can change only the environment.
pub(super) fn guard_other_program(job: &Job<'_>, config: &Path, plan: &mut LaunchPlan) {
    let competing = Competing::find(job, config);
    let login = matches!(job.grant, Grant::Home(_));
    let winner = match &competing.helper {
        Some(file) => format!("`{HELPER}` in {}", file.display()),
        None if competing.variables.is_empty() => return,
        None if login => format!("{} in the project's settings", listed(&competing.variables)),
        None => return plan.set.push((MANAGED_BY_HOST.into(), "1".into())),
    };
    plan.warnings.push(format!(
        "{winner} would override this subscription when the program starts claude; \
         run claude itself with `kage exec`, which disables it"
    ));
}

fn listed(names: &BTreeSet<String>) -> String {
    names.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ")
}

fn warn_about_managed(job: &Job<'_>, plan: &mut LaunchPlan) {
    for file in MANAGED.map(Path::new) {
        let mut competing = Competing::default();
        if let Some(settings) = read(file) {
            competing.add(&settings, file, job);
        }
        if !competing.is_empty() {
            plan.warnings.push(format!(
                "{} sets a credential for all users of this machine; the agent will use it instead",
                file.display()
            ));
        }
    }
}

/// Reads a settings file as an object. Ignores a missing or broken file, as the agent does. Accepts a byte
/// order mark, which editors on other systems write.
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
