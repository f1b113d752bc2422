//! How kage is called: by functions of the shell or by shims, and what comes before them.

use std::path::{Path, PathBuf};

use super::start_up::{self, Own, StartUp};
use super::{Finding, Scene, edit, shims, word};
use crate::agent::Agent;
use crate::cmd::asked::{Answer, ask, version_in};
use crate::cmd::places::{READ_BASHRC, can_be_run, login_file_past_bashrc, start_up_file};
use crate::paths::program;
use crate::shell::Shell;

pub(super) fn examine(scene: &Scene) -> Vec<Finding> {
    let files = start_up::files(scene);
    let mut found: Vec<_> = files.iter().flat_map(|file| calls(file, scene)).collect();
    let shims = shims::installed(scene);
    found.extend(shims::examine(&shims, scene));
    let (ahead, note) = others(scene);
    found.extend(ahead);
    let counts = |file: &&StartUp| is_of_user(file, scene) && is_integrated(file, scene);
    let with_functions: Vec<_> = files.iter().filter(counts).collect();
    if !with_functions.is_empty() || !shims.is_empty() {
        found.extend(own_past_kage(&files, !shims.is_empty(), scene));
        found.extend(login_shells(&with_functions, scene).filter(|_| shims.is_empty()));
        if found.is_empty() {
            let mut ways: Vec<_> = with_functions.iter().map(|file| scene.shown(&file.file)).collect();
            ways.extend((!shims.is_empty()).then(|| scene.shown(&scene.paths.shims)));
            found.push(Finding::ok("shell", format!("shell: agents go through kage by {}", ways.join(", "))));
        }
    } else if scene.config.is_some() {
        found.push(nothing(scene));
    }
    found.extend(note);
    found
}

/// A login shell of bash, as in a pane of tmux, reads another file than those after it.
fn login_shells(with_functions: &[&StartUp], scene: &Scene) -> Option<Finding> {
    let bashrc = start_up_file(Shell::Bash, &scene.paths);
    let [StartUp { file, .. }] = with_functions else { return None };
    if *file != bashrc {
        return None;
    }
    let profile = login_file_past_bashrc(&scene.paths)?;
    let message = format!("login shells, as in tmux, do not read {}", scene.shown(&bashrc));
    let fix = format!("echo '{READ_BASHRC}' >>{}", word(&profile));
    Some(Finding::warning("login-shell", message, fix))
}

/// Whether a start-up file is of the shell that the user has.
pub(super) fn is_of_user(file: &StartUp, scene: &Scene) -> bool {
    scene.variable("SHELL").is_none() || scene.shell() == Some(file.shell)
}

/// Whether it makes the names of agents call kage.
fn is_integrated(file: &StartUp, scene: &Scene) -> bool {
    let has_own = |agent: &dyn Agent| file.own(agent.program()).iter().any(Own::calls_kage);
    !file.calls().is_empty() || scene.agents().into_iter().any(has_own)
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

/// An alias comes before a function, and is expanded before PATH is looked at; of two functions the later one
/// counts.
fn own_past_kage(files: &[StartUp], has_shim: bool, scene: &Scene) -> Vec<Finding> {
    let mut found = Vec::new();
    for file in files.iter().filter(|file| is_of_user(file, scene)) {
        let init = file.calls().first().map(|call| call.line);
        for agent in scene.agents() {
            let program = agent.program();
            let counts = |own: &&Own| {
                let is_last = own.is_alias || init.map_or(has_shim, |init| own.line > init);
                is_last && own.goes_past(program, has_shim)
            };
            let all = file.own(program);
            let Some(own) = all.iter().find(counts) else { continue };
            let (code, what) =
                if own.is_alias { ("alias-shadows", "an alias") } else { ("function-shadows", "a function") };
            let message = format!("{what} in {} takes `{program}` past kage", scene.shown(&file.file));
            found.push(Finding::warning(code, message, edit(&file.file, own.line)));
        }
    }
    found
}

/// Kages on PATH of another version than this one. One that comes first is what the user and scripts call; of
/// one behind it is only told, for it may be a package's.
fn others(scene: &Scene) -> (Option<Finding>, Vec<Finding>) {
    let own = version_in(concat!("kage ", env!("CARGO_PKG_VERSION")));
    let myself = std::env::current_exe().and_then(|exe| exe.canonicalize()).ok();
    let mut known: Vec<PathBuf> = Vec::new();
    let mut ahead = None;
    let mut notes = Vec::new();
    for file in scene.path_dirs().into_iter().map(|dir| dir.join("kage")).filter(|file| can_be_run(file)) {
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
            Answer::Silent(_) => "does not answer".to_owned(),
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
