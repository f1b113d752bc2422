//! The directories of kage's files: whether other users can change files in them.

use std::path::{Path, PathBuf};

use super::fix::regain_access;
use super::{Finding, Scene, unset, word};
use crate::files::{Exposed, exposed};

/// The directories that kage creates below its state directory.
const BELOW_STATE: [&str; 4] = ["usage", "usage/sums", "hooks", "settings"];

/// Checks each directory once. `found` are the earlier findings: a fix is not reported twice.
pub(super) fn examine(scene: &Scene, found: &[Finding]) -> Vec<Finding> {
    let mut all: Vec<Exposed> = Vec::new();
    let mut new: Vec<Finding> = Vec::new();
    for (dir, variable) in directories(scene) {
        for one in exposed(&dir) {
            if all.iter().any(|known| known.dir == one.dir) {
                continue;
            }
            let finding = finding(&one, variable, scene);
            if found.iter().chain(&new).all(|known| known.fix != finding.fix) {
                new.push(finding);
            }
            all.push(one);
        }
    }
    new
}

/// The directories of kage's files, each with the variable that may set it. The directories of the state and
/// the config are checked even if they do not exist yet.
fn directories(scene: &Scene) -> Vec<(PathBuf, &'static str)> {
    let paths = &scene.paths;
    let above = |file: &Path| file.parent().map(Path::to_owned);
    let existing = |path: &PathBuf| path.exists();
    let state = ("KAGE_STATE_DIR", Some(paths.state.clone()));
    let below = BELOW_STATE.map(|name| ("KAGE_STATE_DIR", Some(paths.state.join(name)).filter(existing)));
    let others = [
        ("KAGE_CONFIG", above(&paths.config)),
        ("KAGE_CONFIG", paths.config.canonicalize().ok().as_deref().and_then(above)),
        ("KAGE_IDENTITY", Some(paths.identity.clone()).filter(existing).as_deref().and_then(above)),
        ("XDG_DATA_HOME", above(&paths.credentials).filter(existing)),
        ("XDG_DATA_HOME", Some(paths.shims.clone()).filter(existing)),
    ];
    let all = [state].into_iter().chain(below).chain(others);
    all.filter_map(|(variable, dir)| Some((dir?, variable))).collect()
}

fn finding(one: &Exposed, variable: &str, scene: &Scene) -> Finding {
    let code = if one.owner.is_some() { "directory-foreign" } else { "directory-writable" };
    let regain_access = || regain_access(&one.dir, scene);
    let fix = if one.is_own {
        one.fix_command()
    } else if scene.variable(variable).is_some() {
        unset(variable, scene)
    } else if one.owner.is_none() && one.below.is_some() {
        // Other users may need to write there. With the sticky bit they cannot replace files of others.
        format!("sudo chmod +t {}", word(&one.dir))
    } else if one.is_open {
        format!("{} && {}", regain_access(), one.fix_command())
    } else {
        regain_access()
    };
    Finding::error(code, one.problem(|path| scene.shown(path)), fix)
}
