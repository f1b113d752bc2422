//! The shims: small scripts with an agent's name that call kage.

use std::fs;
use std::path::{Path, PathBuf};

use super::{Finding, Scene, word};
use crate::cmd::integration_files::is_executable;
use crate::shell::shim;

/// A file in the directory of the shims with the name of an agent's program.
pub(super) struct Shim {
    name: String,
    /// The agent whose program has that name.
    agent: String,
    file: PathBuf,
    /// The kage that the shim calls; `None` if the file is not a shim.
    kage: Option<PathBuf>,
}

/// The shims of all known agents, including those without a subscription.
pub(super) fn installed(scene: &Scene) -> Vec<Shim> {
    let Some(config) = &scene.config else { return Vec::new() };
    let shims = config.agents.all().filter_map(|agent| {
        let file = scene.paths.shims.join(agent.program());
        fs::symlink_metadata(&file).ok()?;
        Some(Shim {
            name: agent.program().to_owned(),
            agent: agent.name().to_owned(),
            kage: kage_of(&file),
            file,
        })
    });
    shims.collect()
}

/// The kage that a shim calls.
fn kage_of(file: &Path) -> Option<PathBuf> {
    let text = fs::read_to_string(file).ok()?;
    if !shim::is_shim(text.as_bytes()) {
        return None;
    }
    shim::kage_of(&text).map(PathBuf::from)
}

pub(super) fn examine(shims: &[Shim], scene: &Scene) -> Vec<Finding> {
    let mut found: Vec<_> = shims.iter().filter_map(|shim| check_shim(shim, scene)).collect();
    found.extend(not_first(shims, scene));
    found
}

fn check_shim(shim: &Shim, scene: &Scene) -> Option<Finding> {
    let shown = scene.shown(&shim.file);
    let fix = |flag: &str| format!("kage shim install {flag}{}", shim.agent);
    match &shim.kage {
        None => {
            let message = format!("{shown} is no longer a shim: an update of the agent may have replaced it");
            Some(Finding::warning("shim-overwritten", message, fix("--force ")))
        }
        Some(kage) if !is_executable(kage) => {
            let message =
                format!("the shim {shown} calls {}, which {}", scene.shown(kage), why_unusable(kage));
            Some(Finding::error("shim-kage-gone", message, fix("")))
        }
        Some(_) if !is_executable(&shim.file) => {
            let message = format!("the shim {shown} is not executable, so shells skip it");
            Some(Finding::warning("shim-not-executable", message, fix("")))
        }
        Some(_) => None,
    }
}

/// Why a kage cannot be started, as the predicate of a sentence.
pub(super) fn why_unusable(kage: &Path) -> &'static str {
    if kage.exists() { "is not executable" } else { "does not exist" }
}

/// Whether two paths lead to the same directory. PATH may contain a link.
fn is_same(one: &Path, other: &Path) -> bool {
    one == other || one.canonicalize().is_ok_and(|one| other.canonicalize().is_ok_and(|other| one == other))
}

/// The finding if an agent comes before its own shim on PATH.
fn not_first(shims: &[Shim], scene: &Scene) -> Option<Finding> {
    let dirs = scene.path_dirs();
    // A shim that is not executable has its own finding.
    let late = shims.iter().filter(|shim| is_executable(&shim.file)).find_map(|shim| {
        let first = dirs.iter().find(|dir| is_executable(&dir.join(&shim.name)));
        let is_first = first.is_some_and(|dir| is_same(dir, &scene.paths.shims));
        (!is_first).then_some((shim, first))
    });
    let (shim, first) = late?;
    let shims = &scene.paths.shims;
    let message = match first {
        Some(dir) => format!("{} comes before its shim on PATH", scene.shown(&dir.join(&shim.name))),
        None => format!("the shims in {} are not on PATH", scene.shown(shims)),
    };
    Some(Finding::warning("shims-not-first", message, format!("export PATH={}:\"$PATH\"", word(shims))))
}
