//! The namespace and level of a run, from the command line, the environment, the project or the directory.
//!
//! A cloned repository is not trusted: its `.kage/config.toml` may set only the namespace and the level of
//! runs.

use std::env;
use std::path::{Path, PathBuf};

use anyhow::Result;
use serde::Deserialize;

use super::{Config, locate};
use crate::error::Failure;
use crate::pool::{Level, Name};

const HINT: &str = "a project's .kage/config.toml may contain only `namespace` and `priority`";

/// The settings that a project may have for the runs in its directory.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Project {
    namespace: Option<Name>,
    priority: Option<Level>,
}

/// The namespace and level of a run, and the directory it starts in.
#[derive(Debug)]
pub struct Location {
    pub namespace: Option<Name>,
    pub level: Level,
    pub cwd: PathBuf,
}

impl Location {
    /// Finds the location of a run. Precedence: the command line, then the environment, the project,
    /// `[namespaces.*].repos`.
    pub fn find(config: &Config, namespace: Option<Name>, level: Option<Level>) -> Result<Self> {
        // A run can start even if the shell's current directory was removed.
        let cwd = env::current_dir().unwrap_or_else(|_| PathBuf::from("/"));
        let namespace = namespace.map_or_else(|| from_variable("KAGE_NAMESPACE"), |name| Ok(Some(name)))?;
        let level = level.map_or_else(|| from_variable("KAGE_PRIORITY"), |level| Ok(Some(level)))?;
        let project =
            if namespace.is_some() && level.is_some() { Project::default() } else { nearest(&cwd)? };
        let namespace = namespace.or(project.namespace).or_else(|| from_repos(config, &cwd));
        if let Some(name) = namespace.as_ref().filter(|name| name.is_level()) {
            let message = format!("`{name}` is a level and cannot be a namespace");
            return Err(Failure::usage(message).hint(format!("use --priority {name}")).into());
        }
        Ok(Self { namespace, level: level.or(project.priority).unwrap_or_default(), cwd })
    }
}

fn from_variable<T: std::str::FromStr<Err = String>>(variable: &str) -> Result<Option<T>, Failure> {
    let Some(value) = env::var_os(variable).filter(|value| !value.is_empty()) else { return Ok(None) };
    let value = value.to_string_lossy();
    let parsed = value.parse().map_err(|why| format!("{variable}: {why}"));
    parsed.map(Some).map_err(|why| Failure::usage(why).hint(format!("unset {variable}")))
}

/// Reads the nearest `.kage/config.toml` in a directory or its parents.
fn nearest(cwd: &Path) -> Result<Project> {
    for dir in cwd.ancestors() {
        let file = dir.join(".kage/config.toml");
        if file.is_file() {
            let text = super::read(&file)?;
            return toml::from_str(&text).map_err(|why| locate::failure(&file, &text, &why, HINT).into());
        }
    }
    Ok(Project::default())
}

/// Returns the namespace whose repository contains the directory. If repositories are nested, the innermost
/// one counts.
fn from_repos(config: &Config, cwd: &Path) -> Option<Name> {
    let lists = config.namespaces.iter();
    let repos = lists.flat_map(|(name, repos)| repos.iter().map(move |repo| (name, repo)));
    let containing = repos.filter_map(|(name, repo)| {
        // The path of the current directory contains no links; the path in the config may contain some.
        let real = repo.canonicalize().ok()?;
        cwd.starts_with(&real).then(|| (real.components().count(), name))
    });
    containing.max_by_key(|(depth, _)| *depth).map(|(_, name)| name.clone())
}
