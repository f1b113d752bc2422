//! A scene with some runs in its ledger, which can be reset.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

use crate::audit::ledger;
use crate::plan::Trial;
use crate::scene::Scene;

/// The exit status of the agents.
pub const STATUS: i32 = 7;

pub struct Stage {
    pub scene: Scene,
    /// The rows of the ledger.
    pub rows_before: Vec<Value>,
    saved: PathBuf,
}

impl Stage {
    pub fn new(trial: &Trial<'_>) -> Self {
        let scene = Scene::new(trial.plan);
        for words in ["exec -- claude -p hi", "exec -- worker", "exec -- claude -p hi"] {
            scene.run(scene.kage(words).env("TAG", "before")).unwrap();
        }
        let rows_before = ledger(&scene).unwrap();
        assert_eq!(rows_before.len(), 3, "the runs are not in the ledger");
        let saved = scene.path("saved");
        copy(&scene.path("home"), &saved);
        Self { scene, rows_before, saved }
    }

    /// Saves the current files. `reset` restores them.
    pub fn save(&mut self) {
        fs::remove_dir_all(&self.saved).unwrap();
        copy(&self.scene.path("home"), &self.saved);
        self.rows_before = ledger(&self.scene).unwrap();
    }

    pub fn reset(&self) {
        let home = self.scene.path("home");
        fs::remove_dir_all(&home).unwrap();
        copy(&self.saved, &home);
    }

    pub fn command(&self, verb: &str, tag: &str) -> Command {
        let mut command = self.scene.kage(verb);
        command.env("TAG", tag).env("STATUS", STATUS.to_string());
        command
    }

    /// Reports saved rows that the ledger no longer has.
    pub fn missing_rows(&self) -> Option<String> {
        let rows = match ledger(&self.scene) {
            Ok(rows) => rows,
            Err(why) => return Some(why),
        };
        let missing = self.rows_before.iter().filter(|row| !rows.contains(row)).count();
        (missing > 0).then(|| format!("{missing} of the earlier runs are gone"))
    }
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    fs::set_permissions(to, fs::metadata(from).unwrap().permissions()).unwrap();
    for entry in fs::read_dir(from).unwrap().flatten() {
        let target = to.join(entry.file_name());
        if entry.path().is_dir() {
            copy(&entry.path(), &target);
        } else {
            fs::copy(entry.path(), target).unwrap();
        }
    }
}
