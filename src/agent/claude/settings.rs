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
use super::{environment, hook};
use crate::agent::{Effect, Grant, Job, LaunchPlan, Setting};

/// Makes the agent ignore credential variables of its settings. Used only where a settings file sets the
/// very variable that kage needs: emptying that one would empty kage's too. Never with a login directory:
/// the agent then ignores its own login as well.
const MANAGED_BY_HOST: &str = "CLAUDE_CODE_PROVIDER_MANAGED_BY_HOST";
const HELPER: &str = "apiKeyHelper";
const HOOKS_OFF: &str = "disableAllHooks";
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
        for file in users_own.into_iter().chain(of_projects(job, config)) {
            if let Some(settings) = read(&file) {
                competing.note(&settings, &file, job);
            }
        }
        competing
    }
}

fn of_projects(job: &Job<'_>, config: &Path) -> impl Iterator<Item = PathBuf> {
    let dirs = job.cwd.ancestors().map(|dir| dir.join(".claude")).filter(move |dir| dir != config);
    dirs.flat_map(|dir| [dir.join("settings.json"), dir.join("settings.local.json")])
}

/// The keys in settings files that compete with the credential, or keep kage from being told.
pub(super) fn that_matter(job: &Job<'_>, config: &Path) -> Vec<Setting> {
    let users_own = config.join("settings.json");
    let is_login = matches!(job.grant, Grant::Home(_));
    let mut found = Vec::new();
    let files = MANAGED.map(PathBuf::from).into_iter().chain([users_own.clone()]);
    for file in files.chain(of_projects(job, config)) {
        let Some(settings) = read(&file) else { continue };
        let mut note =
            |key: &str, effect| found.push(Setting { file: file.clone(), key: key.to_owned(), effect });
        if settings.get(HOOKS_OFF).and_then(Value::as_bool) == Some(true) {
            note(HOOKS_OFF, Effect::Silences);
        }
        // A login directory is used as it is, with its own settings.
        if is_login && file == users_own {
            continue;
        }
        let is_managed = MANAGED.iter().any(|known| file == Path::new(known));
        let effect = if is_managed { Effect::Wins } else { Effect::SwitchedOff };
        let mut competing = Competing::default();
        competing.note(&settings, &file, job);
        competing.variables.iter().for_each(|name| note(name, effect));
        if competing.helper.is_some() {
            note(HELPER, effect);
        }
    }
    found
}

/// Arranges the one `--settings` of the run: the user's own, with competing values switched off, and with
/// kage's hooks where somebody listens.
pub(super) fn arrange(conversation: &Conversation, job: &Job<'_>, config: &Path, plan: &mut LaunchPlan) {
    warn_of_managed(job, plan);
    let mut competing = Competing::find(job, config);
    let (at, given) = conversation.settings.clone().unzip();
    let given = given.filter(|given| !is_kages(&job.cwd.join(given), job, plan));
    let mut merged = Map::new();
    let mut from_file = false;
    if let Some(given) = &given {
        let text = given.to_string_lossy();
        let inline = text.trim_start().starts_with('{');
        let path = job.cwd.join(given);
        from_file = !inline;
        let known = if inline { serde_json::from_str(&text).ok() } else { read(&path) };
        // What cannot be read is left alone: the agent's own error names it.
        let Some(known) = known else { return };
        competing.note(&known, &path, job);
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
        from_file |= restates(&competing, job);
    }
    // Nothing of this run is in them then, so that they may stay.
    let only_hooks = merged.is_empty();
    if let Some(hook) = &job.hook {
        hook::add(hook.command, &mut merged);
    }
    let text = Value::Object(merged).to_string();
    let file = match &job.hook {
        Some(hook) if only_hooks => Some(hook.file),
        // The user keeps these values in a file, perhaps for a reason: they do not go into argv.
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

/// Whether the user gives a file that kage had made for an earlier run: an agent that ends names its
/// arguments, for going on with the conversation by hand. The merged ones are gone by then.
fn is_kages(given: &Path, job: &Job<'_>, plan: &mut LaunchPlan) -> bool {
    if job.hook.is_some_and(|hook| hook.file == given) {
        return true;
    }
    let gone = given.parent() == job.settings_file.parent() && !given.exists();
    if gone {
        let file = given.display();
        plan.warnings.push(format!("{file} was made for a run that has ended; going on without it"));
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
            match instead(name, job) {
                Some(value) => variables.insert(name.clone(), json!(value)),
                None => variables.remove(name),
            };
        }
        if variables.is_empty() {
            merged.remove("env");
        }
    }
    if competing.variables.iter().any(|name| instead(name, job).is_none()) {
        plan.set.push((MANAGED_BY_HOST.into(), "1".into()));
    }
}

/// What the run's settings say instead of a competing value: that there is none, or the subscription's own.
/// `None` is what kage has put into the environment and the settings must keep silent about.
fn instead<'a>(name: &str, job: &'a Job<'_>) -> Option<&'a str> {
    let own = job.own_env.get(name).map(String::as_str);
    match job.grant {
        Grant::Home(_) => Some(own.unwrap_or_default()),
        Grant::Secret(kind, deliver) if own.is_some() || kind.carrier(deliver) == name => None,
        Grant::Secret(..) => Some(""),
    }
}

/// Whether the run's settings hold values of the config.
fn restates(competing: &Competing, job: &Job<'_>) -> bool {
    competing.variables.iter().any(|name| instead(name, job).is_some_and(|value| !value.is_empty()))
}

/// A program that may start the agent gets no arguments, so only the environment can be arranged.
pub(super) fn guard_other_program(job: &Job<'_>, config: &Path, plan: &mut LaunchPlan) {
    let competing = Competing::find(job, config);
    let login = matches!(job.grant, Grant::Home(_));
    let winner = match &competing.helper {
        Some(file) => format!("`{HELPER}` in {}", file.display()),
        None if competing.variables.is_empty() => return,
        None if login => format!("{} of the project's settings", listed(&competing.variables)),
        None => return plan.set.push((MANAGED_BY_HOST.into(), "1".into())),
    };
    plan.warnings.push(format!(
        "{winner} would beat this subscription where the program starts claude; \
         run claude itself through kage exec, which switches it off"
    ));
}

fn listed(names: &BTreeSet<String>) -> String {
    names.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ")
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
