//! The settings files for an agent: merged files, which are removed when the run ends, and files with only
//! kage's hooks, which remain.

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
    /// Returns the hook command of a session, and the path for a settings file with only the hooks. The
    /// command never fails, even if kage is removed while the agent runs.
    pub(super) fn hook(&self) -> Option<(String, PathBuf)> {
        let kage = self.kage_path.as_ref()?;
        let command = format!("{} hook 2>/dev/null || :", in_single_quotes(kage.to_str()?));
        let file = format!("{}.json", self.agent.name());
        let file = path::absolute(self.context.paths.state.join("hooks").join(file)).ok()?;
        Some((command, file))
    }

    /// The directory of merged settings. Each file has the id of its run and is removed when the run ends.
    pub(super) fn settings_dir(&self) -> PathBuf {
        self.context.paths.state.join("settings")
    }

    /// Writes the settings of a plan, and removes merged settings of runs that were killed.
    pub(super) fn write_settings(&self, plan: &LaunchPlan) -> Result<()> {
        let Some((file, text)) = &plan.settings else { return Ok(()) };
        if !file.starts_with(self.settings_dir()) {
            return write_once(file, text);
        }
        let dir = self.settings_dir();
        files::make_private_dir(&dir)?;
        // The files are listed before the leases are read. A file is written after its lease, so each listed
        // file of a live run has its lease in the state.
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

/// Writes settings that are the same for all runs, unless the file already has them.
fn write_once(file: &Path, text: &str) -> Result<()> {
    if fs::read(file).is_ok_and(|known| known == text.as_bytes()) {
        return Ok(());
    }
    if let Some(dir) = file.parent() {
        files::make_private_dir(dir)?;
    }
    files::replace(file, text.as_bytes(), Durability::Process)
        .with_context(|| format!("could not write {}", file.display()))
}

/// Returns the id of the run that a file of merged settings belongs to. The part before the first dot is the
/// id, also in the name of its temporary file.
fn run_of(path: &Path) -> Option<&str> {
    path.file_name().and_then(OsStr::to_str)?.split('.').next()
}
