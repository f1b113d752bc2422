//! A scene with some runs in its books, which goes back to where it was.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

use crate::audit::ledger;
use crate::plan::Trial;
use crate::scene::Scene;

/// What the agents end with.
pub const STATUS: i32 = 7;

pub struct Stage {
    pub scene: Scene,
    /// The rows of the ledger.
    pub before: Vec<Value>,
    kept: PathBuf,
}

impl Stage {
    pub fn new(trial: &Trial<'_>) -> Self {
        let scene = Scene::new(trial.plan);
        for words in ["exec -- claude -p hi", "exec -- worker", "exec -- claude -p hi"] {
            scene.run(scene.kage(words).env("TAG", "before")).unwrap();
        }
        let before = ledger(&scene).unwrap();
        assert_eq!(before.len(), 3, "the stage is not set");
        let kept = scene.path("kept");
        copy(&scene.path("home"), &kept);
        Self { scene, before, kept }
    }

    /// What is there now is what it goes back to.
    pub fn keep(&mut self) {
        fs::remove_dir_all(&self.kept).unwrap();
        copy(&self.scene.path("home"), &self.kept);
        self.before = ledger(&self.scene).unwrap();
    }

    pub fn reset(&self) {
        let home = self.scene.path("home");
        fs::remove_dir_all(&home).unwrap();
        copy(&self.kept, &home);
    }

    pub fn command(&self, verb: &str, tag: &str) -> Command {
        let mut command = self.scene.kage(verb);
        command.env("TAG", tag).env("STATUS", STATUS.to_string());
        command
    }

    /// Runs that were in the ledger and are not any more.
    pub fn gone(&self) -> Option<String> {
        let rows = match ledger(&self.scene) {
            Ok(rows) => rows,
            Err(why) => return Some(why),
        };
        let gone = self.before.iter().filter(|row| !rows.contains(row)).count();
        (gone > 0).then(|| format!("{gone} of the runs before are gone"))
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
