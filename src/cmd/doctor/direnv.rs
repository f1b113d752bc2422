//! direnv, if an .envrc in this directory or above contains `use kage`.

use std::fs;
use std::path::Path;

use super::install::install;
use super::scene::found_on_path;
use super::shell::is_users_shell;
use super::{Finding, Scene, start_up, word};
use crate::cmd::integration_files::{direnv_file, start_up_file};
use crate::cmd::probe::{Answer, ask};
use crate::shell::{DIRENV, DIRENV_BEGINS, Shell};

pub(super) fn examine(scene: &Scene) -> Option<Finding> {
    let used = scene.cwd.ancestors().map(|dir| dir.join(".envrc")).find(|file| file.is_file());
    let used = used.filter(|file| uses_kage(file));
    let lib = direnv_file(&scene.paths);
    let install_lib = "kage init direnv --install --yes";
    let Some(file) = used else {
        found_on_path("direnv", scene)?;
        return Some(outdated(&lib, scene).unwrap_or_else(|| {
            let message = if lib.is_file() {
                format!("direnv, with `use kage` from {}", scene.shown(&lib))
            } else {
                "direnv, without `use kage` (to add it: `kage init direnv --install`)".to_owned()
            };
            Finding::ok("direnv", message)
        }));
    };
    let shown = scene.shown(&file);
    if found_on_path("direnv", scene).is_none() {
        let message = format!("{shown} contains `use kage`, but direnv is not installed");
        return Some(Finding::warning("direnv-missing", message, install("direnv", scene)));
    }
    if !lib.is_file() {
        let message = format!("{shown} contains `use kage`, but kage is not set up in direnv");
        return Some(Finding::warning("direnv-not-set-up", message, install_lib));
    }
    let problem = outdated(&lib, scene).or_else(|| no_hook(&file, scene)).or_else(|| denied(&file, scene));
    Some(problem.unwrap_or_else(|| {
        Finding::ok("direnv", format!("direnv, with `use kage` from {}", scene.shown(&lib)))
    }))
}

/// The finding if kage's file is from another version. A file that the user wrote is not checked.
fn outdated(lib: &Path, scene: &Scene) -> Option<Finding> {
    let text = fs::read_to_string(lib).ok()?;
    let message = format!("{} is from another version of kage", scene.shown(lib));
    (text.starts_with(DIRENV_BEGINS) && text != DIRENV)
        .then(|| Finding::warning("direnv-outdated", message, "kage init direnv --install --yes"))
}

/// The finding if no start-up file of the user's shell mentions direnv: then direnv never reads the .envrc.
fn no_hook(file: &Path, scene: &Scene) -> Option<Finding> {
    let shell = scene.shell()?;
    let mut files = start_up::files(scene).into_iter().filter(|file| is_users_shell(file, scene));
    // DIRENV_DIR is set after direnv has loaded a file. Packages install a hook for fish.
    let is_by_package = shell == Shell::Fish
        && ["/usr/share", "/usr/local/share"]
            .iter()
            .any(|dir| Path::new(dir).join("fish/vendor_conf.d/direnv.fish").exists());
    if scene.variable("DIRENV_DIR").is_some() || is_by_package || files.any(|file| file.mentions("direnv")) {
        return None;
    }
    let line = match shell {
        Shell::Fish => "direnv hook fish | source".to_owned(),
        _ => format!("eval \"$(direnv hook {shell})\""),
    };
    let message = format!("{} contains `use kage`, but {shell} has no direnv hook", scene.shown(file));
    let fix = format!("echo '{line}' >>{}", word(&start_up_file(shell, &scene.paths)));
    Some(Finding::warning("direnv-no-hook", message, fix))
}

/// The finding if the user has not yet allowed direnv to run the file. Older versions print `true` or
/// `false`, newer ones a number, where 0 means allowed. Source: direnv's `rc.go`.
fn denied(file: &Path, scene: &Scene) -> Option<Finding> {
    let status = "direnv status | grep '^Found RC allowed '";
    let Answer::Said(said) = ask(Path::new("/bin/sh"), &["-c", status], &scene.withheld) else {
        return None;
    };
    let is_denied = !matches!(said.rsplit(' ').next(), Some("true" | "0"));
    let message = format!("direnv is not allowed to run {}, which contains `use kage`", scene.shown(file));
    let dir = file.parent().unwrap_or(file);
    is_denied.then(|| Finding::warning("direnv-denied", message, format!("direnv allow {}", word(dir))))
}

fn uses_kage(file: &Path) -> bool {
    let text = fs::read(file).unwrap_or_default();
    let text = String::from_utf8_lossy(&text);
    text.lines().any(|line| {
        let words: Vec<_> = line.split_whitespace().take(2).collect();
        matches!(words[..], ["use", "kage"] | ["use_kage", ..])
    })
}
