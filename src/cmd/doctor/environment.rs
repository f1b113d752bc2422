//! The environment: variables that compete with the pool, invalid variables of kage, and the namespace of the
//! directory.

use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::fs;
use std::path::PathBuf;

use super::{Finding, Scene, edit, make_usable, unset};
use crate::agent::Agent;
use crate::config::project::Location;
use crate::engine::likely_typos;

pub(super) fn examine(scene: &Scene) -> Vec<Finding> {
    let mut found = Vec::new();
    // Inside a run of kage, the environment contains the credential of the subscription.
    if !scene.is_inside_run() {
        found.extend(competing(scene));
        found.extend(run(scene));
    }
    found.extend(harmful(scene));
    found.extend(location(scene));
    if found.is_empty() {
        found.push(Finding::ok("environment", "no environment variable overrides a subscription"));
    }
    found
}

/// The variables that kage would remove from a run. An agent started without kage uses them.
fn competing(scene: &Scene) -> Vec<Finding> {
    let Some(config) = &scene.config else { return Vec::new() };
    let mut names = BTreeSet::new();
    for subscription in scene.subscriptions() {
        let Ok(agent) = config.agent(&subscription.agent) else { continue };
        names.extend(scene.with_job(subscription, agent, |job| agent.prepare(job).remove));
    }
    let finding = |name: String| {
        let message =
            format!("{name} is set: kage removes it from runs, but an agent started without kage uses it");
        Finding::warning("variable-competes", message, unset(&name, scene))
    };
    names.into_iter().map(finding).collect()
}

fn harmful(scene: &Scene) -> Vec<Finding> {
    let harmful = scene.agents().into_iter().flat_map(Agent::harmful_variables).filter_map(|known| {
        let (name, value) = known.split_once('=')?;
        let set = scene.variable(name)?;
        let message = format!("{known} makes the provider refuse subscriptions");
        (set == value).then(|| Finding::warning("variable-harms", message, unset(name, scene)))
    });
    harmful.collect()
}

fn run(scene: &Scene) -> Option<Finding> {
    let run = scene.variable("KAGE_RUN")?.to_string_lossy().into_owned();
    scene.state.as_ref()?;
    let message = format!("KAGE_RUN is set to `{run}`, but there is no such run");
    // Only the variables that are set: in fish it is an error to unset a missing variable.
    let set = ["KAGE_RUN", "KAGE_SUBSCRIPTION", "KAGE_DEPTH"].into_iter();
    let set: Vec<_> = set.filter(|name| scene.variable(name).is_some()).collect();
    Some(Finding::warning("run-unknown", message, unset(&set.join(" "), scene)))
}

/// Checks the namespace and level that a run in this directory would have.
fn location(scene: &Scene) -> Option<Finding> {
    let config = scene.config.as_ref()?;
    let given = |name| scene.variable(name).and_then(OsStr::to_str).map(str::to_owned);
    let location = match Location::find(config, None, None) {
        Ok(location) => location,
        Err(why) => {
            let message = format!("{why:#}");
            let variable =
                ["KAGE_PRIORITY", "KAGE_NAMESPACE"].into_iter().find(|name| message.starts_with(name));
            let level =
                given("KAGE_NAMESPACE").filter(|value| message.contains(&format!("`{value}` is a level")));
            return Some(match (variable, level) {
                (Some(name), _) => Finding::error("variable-odd", message, unset(name, scene)),
                (None, Some(_)) => Finding::error("variable-odd", message, unset("KAGE_NAMESPACE", scene)),
                (None, None) => project(message, scene),
            });
        }
    };
    let message = likely_typos(&location, &[], config).pop()?;
    let fix = match given("KAGE_NAMESPACE") {
        Some(_) => unset("KAGE_NAMESPACE", scene),
        None => namespace_line(scene),
    };
    Some(Finding::warning("namespace-unknown", message, fix))
}

/// The command that opens the namespace of the project in the editor.
fn namespace_line(scene: &Scene) -> String {
    let file = project_file(scene);
    let text = fs::read_to_string(&file).unwrap_or_default();
    let line = text.lines().position(|line| line.trim_start().starts_with("namespace"));
    edit(&file, line.map_or(1, |at| at + 1))
}

fn project_file(scene: &Scene) -> PathBuf {
    let files = scene.cwd.ancestors().map(|dir| dir.join(".kage/config.toml"));
    files.into_iter().find(|file| file.is_file()).unwrap_or_else(|| scene.paths.config.clone())
}

/// The finding for an invalid `.kage/config.toml`. Its error message contains the line.
fn project(message: String, scene: &Scene) -> Finding {
    let file = project_file(scene);
    let rest = message.strip_prefix(&format!("{}:", file.display()));
    let line = rest.and_then(|rest| rest.split(':').next()?.parse().ok());
    let fix = match line {
        None if message.contains("could not read") => make_usable(&file, scene),
        line => edit(&file, line.unwrap_or(1)),
    };
    Finding::error("project-invalid", message, fix)
}
