//! How agents are run through kage: by shell functions or shims, and what takes precedence over them.

use std::path::{Path, PathBuf};

use super::start_up::{self, Override, StartUp};
use super::{Finding, Scene, edit, shims, word};
use crate::agent::Agent;
use crate::cmd::integration_files::{READ_BASHRC, is_executable, login_file_without_bashrc, start_up_file};
use crate::cmd::probe::{Answer, ask, version_in};
use crate::paths::program;
use crate::shell::Shell;

pub(super) fn examine(scene: &Scene) -> Vec<Finding> {
    let files = start_up::files(scene);
    let mut found: Vec<_> = files.iter().flat_map(|file| check_calls(file, scene)).collect();
    let shims = shims::installed(scene);
    found.extend(shims::examine(&shims, scene));
    let (ahead, note) = other_kages(scene);
    found.extend(ahead);
    let counts = |file: &&StartUp| is_users_shell(file, scene) && is_integrated(file, scene);
    let with_functions: Vec<_> = files.iter().filter(counts).collect();
    if !with_functions.is_empty() || !shims.is_empty() {
        found.extend(bypassing_overrides(&files, !shims.is_empty(), scene));
        found.extend(login_shells(&with_functions, scene).filter(|_| shims.is_empty()));
        if found.is_empty() {
            let mut ways: Vec<_> = with_functions.iter().map(|file| scene.shown(&file.file)).collect();
            ways.extend((!shims.is_empty()).then(|| scene.shown(&scene.paths.shims)));
            let message = format!("shell: agents run through kage ({})", ways.join(", "));
            found.push(Finding::ok("shell", message));
        }
    } else if scene.config.is_some() {
        found.push(no_integration(scene));
    }
    found.extend(note);
    found
}

/// The finding if login shells of bash, as in a pane of tmux, do not read the file that loads kage.
fn login_shells(with_functions: &[&StartUp], scene: &Scene) -> Option<Finding> {
    let bashrc = start_up_file(Shell::Bash, &scene.paths);
    let [StartUp { file, .. }] = with_functions else { return None };
    if *file != bashrc {
        return None;
    }
    let profile = login_file_without_bashrc(&scene.paths)?;
    let message = format!("login shells, such as those of tmux, do not read {}", scene.shown(&bashrc));
    let fix = format!("echo '{READ_BASHRC}' >>{}", word(&profile));
    Some(Finding::warning("login-shell", message, fix))
}

/// Whether a start-up file belongs to the user's shell.
pub(super) fn is_users_shell(file: &StartUp, scene: &Scene) -> bool {
    scene.variable("SHELL").is_none() || scene.shell() == Some(file.shell)
}

/// Whether a start-up file makes the names of agents call kage.
fn is_integrated(file: &StartUp, scene: &Scene) -> bool {
    let has_override = |agent: &dyn Agent| file.overrides(agent.program()).iter().any(Override::calls_kage);
    !file.calls().is_empty() || scene.agents().into_iter().any(has_override)
}

/// The finding if there is neither a function nor a shim, so `claude` starts the agent without kage.
fn no_integration(scene: &Scene) -> Finding {
    let program = scene.agents().first().map_or("claude", |agent| agent.program());
    let fix = match scene.shell() {
        Some(shell) => format!("kage init {shell} --install --yes"),
        None => format!("kage shim install {program}"),
    };
    let message = format!("typing `{program}` starts it without kage");
    Finding::warning("no-integration", message, fix)
}

fn check_calls(file: &StartUp, scene: &Scene) -> Vec<Finding> {
    let calls = file.calls();
    let shown = scene.shown(&file.file);
    let mut found = Vec::new();
    if let Some(second) = calls.get(1) {
        let message = format!("{shown} calls `kage init {}` twice", file.shell);
        found.push(Finding::warning("init-twice", message, edit(&file.file, second.line)));
    }
    for call in calls.iter().filter(|call| call.kage.is_absolute() && !is_executable(&call.kage)) {
        let message =
            format!("{shown} calls {}, which {}", scene.shown(&call.kage), shims::why_unusable(&call.kage));
        let fix = if call.is_added {
            format!("kage init {} --install --yes", file.shell)
        } else {
            edit(&file.file, call.line)
        };
        found.push(Finding::error("init-kage-gone", message, fix));
    }
    found
}

/// The user's aliases and functions that start an agent without kage. An alias takes precedence over a
/// function and over PATH; of two functions the later one counts.
fn bypassing_overrides(files: &[StartUp], has_shim: bool, scene: &Scene) -> Vec<Finding> {
    let mut found = Vec::new();
    for file in files.iter().filter(|file| is_users_shell(file, scene)) {
        let init = file.calls().first().map(|call| call.line);
        for agent in scene.agents() {
            let program = agent.program();
            let counts = |one: &&Override| {
                let is_last = one.is_alias || init.map_or(has_shim, |init| one.line > init);
                is_last && one.bypasses_kage(program, has_shim)
            };
            let all = file.overrides(program);
            let Some(one) = all.iter().find(counts) else { continue };
            let (code, what) =
                if one.is_alias { ("alias-shadows", "an alias") } else { ("function-shadows", "a function") };
            let message = format!("{what} in {} starts `{program}` without kage", scene.shown(&file.file));
            found.push(Finding::warning(code, message, edit(&file.file, one.line)));
        }
    }
    found
}

/// Finds other versions of kage on PATH. One that comes first is a problem, because the user and scripts call
/// it. The others are only mentioned, because a package may have installed them.
fn other_kages(scene: &Scene) -> (Option<Finding>, Vec<Finding>) {
    let own = version_in(concat!("kage ", env!("CARGO_PKG_VERSION")));
    let myself = std::env::current_exe().and_then(|exe| exe.canonicalize()).ok();
    let mut known: Vec<PathBuf> = Vec::new();
    let mut ahead = None;
    let mut notes = Vec::new();
    for file in scene.path_dirs().into_iter().map(|dir| dir.join("kage")).filter(|file| is_executable(file)) {
        let Ok(real) = file.canonicalize() else { continue };
        let is_first = known.is_empty();
        if known.contains(&real) {
            continue;
        }
        known.push(real.clone());
        if Some(&real) == myself.as_ref() {
            continue;
        }
        let said = match ask(&file, &["--version"], &scene.withheld) {
            Answer::Said(line) if version_in(&line) == own => continue,
            Answer::Said(line) => line,
            Answer::Failed(why) => why,
            Answer::Silent(_) => "did not answer".to_owned(),
        };
        let shown = scene.shown(&file);
        match program().ok().filter(|_| is_first) {
            Some(this) => {
                let message = format!("another kage comes first on PATH: {shown} ({said})");
                let dir = Path::new(&this).parent().unwrap_or(Path::new("/"));
                let fix = format!("export PATH={}:\"$PATH\"", word(dir));
                ahead = Some(Finding::warning("several-kages", message, fix));
            }
            None => notes.push(Finding::ok("other-kage", format!("another kage on PATH: {shown} ({said})"))),
        }
    }
    (ahead, notes)
}
