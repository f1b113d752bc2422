//! How kage is called: by functions of the shell or by shims, and what comes before them.

use std::path::PathBuf;

use super::program::{Answer, ask, version_in};
use super::start_up::{self, StartUp};
use super::{Finding, Scene, edit, shims, word};
use crate::cmd::places::can_be_run;

pub(super) fn examine(scene: &Scene) -> Vec<Finding> {
    let files = start_up::files(scene);
    let mut found: Vec<_> = files.iter().flat_map(|file| calls(file, scene)).collect();
    let shims = shims::installed(scene);
    found.extend(shims::examine(&shims, scene));
    found.extend(several(scene));
    let with_functions: Vec<_> =
        files.iter().filter(|file| file.has_own() || !file.calls().is_empty()).collect();
    if !with_functions.is_empty() || !shims.is_empty() {
        found.extend(with_aliases(&files, scene));
        if found.is_empty() {
            let mut ways: Vec<_> = with_functions.iter().map(|file| scene.shown(&file.file)).collect();
            ways.extend((!shims.is_empty()).then(|| scene.shown(&scene.paths.shims)));
            found.push(Finding::ok("shell", format!("shell: agents go through kage by {}", ways.join(", "))));
        }
    } else if scene.config.is_some() {
        found.push(nothing(scene));
    }
    found
}

/// Neither a function nor a shim: `claude` alone starts the agent without kage.
fn nothing(scene: &Scene) -> Finding {
    let program = scene.agents().first().map_or("claude", |agent| agent.program());
    let fix = match scene.shell() {
        Some(shell) => format!("kage init {shell} --install --yes"),
        None => format!("kage shim install {program}"),
    };
    let message = format!("`{program}` typed alone does not go through kage");
    Finding::warning("no-integration", message, fix)
}

fn calls(file: &StartUp, scene: &Scene) -> Vec<Finding> {
    let calls = file.calls();
    let shown = scene.shown(&file.file);
    let mut found = Vec::new();
    if let Some(second) = calls.get(1) {
        let message = format!("{shown} calls `kage init {}` twice", file.shell);
        found.push(Finding::warning("init-twice", message, edit(&file.file, second.line)));
    }
    for call in calls.iter().filter(|call| call.kage.is_absolute() && !can_be_run(&call.kage)) {
        let message =
            format!("{shown} calls {}, which {}", scene.shown(&call.kage), shims::lacks(&call.kage));
        let fix = if call.is_added {
            format!("kage init {} --install --yes", file.shell)
        } else {
            edit(&file.file, call.line)
        };
        found.push(Finding::error("init-kage-gone", message, fix));
    }
    found
}

/// An alias comes before a function, and is expanded before PATH is looked at.
fn with_aliases(files: &[StartUp], scene: &Scene) -> Vec<Finding> {
    let mut found = Vec::new();
    for file in files {
        for agent in scene.agents() {
            let program = agent.program();
            let Some(line) = file.alias(program) else { continue };
            let message = format!("an alias in {} takes `{program}` past kage", scene.shown(&file.file));
            found.push(Finding::warning("alias-shadows", message, edit(&file.file, line)));
        }
    }
    found
}

/// Other kages on PATH, of another version than this one: a start-up file and a shim may call different ones.
fn several(scene: &Scene) -> Vec<Finding> {
    let own = version_in(concat!("kage ", env!("CARGO_PKG_VERSION")));
    let myself = std::env::current_exe().and_then(|exe| exe.canonicalize()).ok();
    let mut others: Vec<PathBuf> = Vec::new();
    for file in scene.path_dirs().into_iter().map(|dir| dir.join("kage")) {
        let Ok(real) = file.canonicalize() else { continue };
        if real.is_file() && Some(&real) != myself.as_ref() && !others.contains(&real) {
            others.push(real);
        }
    }
    let differs = others.into_iter().filter_map(|other| match ask(&other, &["--version"]) {
        Answer::Said(line) if version_in(&line) == own => None,
        answer => {
            let said = match answer {
                Answer::Said(line) => line,
                Answer::Failed(why) => why,
                Answer::Silent(_) => "which does not answer".to_owned(),
            };
            let message = format!("there is another kage on PATH: {} ({said})", scene.shown(&other));
            Some(Finding::warning("several-kages", message, format!("rm {}", word(&other))))
        }
    });
    differs.collect()
}
