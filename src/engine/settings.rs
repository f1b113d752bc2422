//! The files of settings that a run's agent is given: merged ones, which end with the run, and those that hold
//! nothing but kage's hooks, which stay.

use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::fs;
use std::path::{self, Path, PathBuf};

use anyhow::{Context as _, Result};

use super::model::Run;
use crate::agent::LaunchPlan;
use crate::files::{self, Durability};
use crate::text::in_single_quotes;

impl Run<'_> {
    /// The command by which a session tells what happens, and the file for settings that hold nothing else.
    /// Whatever becomes of kage meanwhile, the agent sees no failure.
    pub(super) fn hook(&self) -> Option<(String, PathBuf)> {
        let kage = self.myself.as_ref()?;
        let command = format!("{} hook 2>/dev/null || :", in_single_quotes(kage.to_str()?));
        let file = format!("{}.json", self.agent.name());
        let file = path::absolute(self.context.paths.state.join("hooks").join(file)).ok()?;
        Some((command, file))
    }

    /// Where merged settings lie while their run lasts, by its id.
    pub(super) fn settings_dir(&self) -> PathBuf {
        self.context.paths.state.join("settings")
    }

    /// Writes the merged settings, and removes those of runs that were killed.
    pub(super) fn write_settings(&self, plan: &LaunchPlan) -> Result<()> {
        let Some((file, text)) = &plan.settings else { return Ok(()) };
        if !file.starts_with(self.settings_dir()) {
            return lasting(file, text);
        }
        let dir = self.settings_dir();
        files::make_private_dir(&dir)?;
        // The files are listed before the leases are read: a file comes after its lease, so each file in
        // the list that belongs to a living run finds its lease there.
        let known: Vec<_> =
            fs::read_dir(&dir).into_iter().flatten().flatten().map(|entry| entry.path()).collect();
        let state = self.context.view()?;
        let living: BTreeSet<&str> = state.leases.iter().map(|lease| lease.id.0.as_str()).collect();
        for path in known.iter().filter(|path| run_of(path).is_none_or(|run| !living.contains(run))) {
            let _ = fs::remove_file(path);
        }
        files::replace(file, text.as_bytes(), Durability::Process)
            .with_context(|| format!("could not write {}", file.display()))
    }
}

/// Settings that are the same for all runs are written once.
fn lasting(file: &Path, text: &str) -> Result<()> {
    if fs::read(file).is_ok_and(|known| known == text.as_bytes()) {
        return Ok(());
    }
    if let Some(dir) = file.parent() {
        files::make_private_dir(dir)?;
    }
    files::replace(file, text.as_bytes(), Durability::Process)
        .with_context(|| format!("could not write {}", file.display()))
}

/// The run that a file of merged settings belongs to; its temporary has another ending.
fn run_of(path: &Path) -> Option<&str> {
    path.file_name().and_then(OsStr::to_str)?.split('.').next()
}
