//! direnv, as far as a project here says `use kage` to it.

use std::fs;
use std::path::Path;

use super::install::install;
use super::scene::found_on_path;
use super::shell::is_of_user;
use super::{Finding, Scene, start_up, word};
use crate::cmd::asked::{Answer, ask};
use crate::cmd::places::{direnv_file, start_up_file};
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
                format!("direnv, with `use kage` in {}", scene.shown(&lib))
            } else {
                "direnv, without `use kage` (`kage init direnv --install`)".to_owned()
            };
            Finding::ok("direnv", message)
        }));
    };
    let shown = scene.shown(&file);
    if found_on_path("direnv", scene).is_none() {
        let message = format!("{shown} says `use kage`, and there is no direnv");
        return Some(Finding::warning("direnv-missing", message, install("direnv", scene)));
    }
    if !lib.is_file() {
        let message = format!("{shown} says `use kage`, which direnv does not know");
        return Some(Finding::warning("direnv-not-set-up", message, install_lib));
    }
    let fault = outdated(&lib, scene).or_else(|| no_hook(&file, scene)).or_else(|| denied(&file, scene));
    Some(fault.unwrap_or_else(|| {
        Finding::ok("direnv", format!("direnv, with `use kage` in {}", scene.shown(&lib)))
    }))
}

/// Whether kage's file is that of another version; one that the user wrote is the user's.
fn outdated(lib: &Path, scene: &Scene) -> Option<Finding> {
    let text = fs::read_to_string(lib).ok()?;
    let message = format!("{} is of another version of kage", scene.shown(lib));
    (text.starts_with(DIRENV_BEGINS) && text != DIRENV)
        .then(|| Finding::warning("direnv-outdated", message, "kage init direnv --install --yes"))
}

/// Whether nothing at the start of the user's shell mentions direnv, which then never reads the file.
fn no_hook(file: &Path, scene: &Scene) -> Option<Finding> {
    let shell = scene.shell()?;
    let mut files = start_up::files(scene).into_iter().filter(|file| is_of_user(file, scene));
    // Where it has loaded something it is there, and packages bring a hook for fish.
    let is_by_package = shell == Shell::Fish
        && ["/usr/share", "/usr/local/share"]
            .iter()
            .any(|dir| Path::new(dir).join("fish/vendor_conf.d/direnv.fish").exists());
    if scene.variable("DIRENV_DIR").is_some() || is_by_package || files.any(|file| file.says("direnv")) {
        return None;
    }
    let line = match shell {
        Shell::Fish => "direnv hook fish | source".to_owned(),
        _ => format!("eval \"$(direnv hook {shell})\""),
    };
    let message = format!("{} says `use kage`, and {shell} does not start direnv", scene.shown(file));
    let fix = format!("echo '{line}' >>{}", word(&start_up_file(shell, &scene.paths)));
    Some(Finding::warning("direnv-no-hook", message, fix))
}

/// Whether direnv was not yet told that the file may be run. Older ones say it in words, newer ones by a number,
/// of which 0 is yes. Source: direnv's `rc.go`.
fn denied(file: &Path, scene: &Scene) -> Option<Finding> {
    let status = "direnv status | grep '^Found RC allowed '";
    let Answer::Said(said) = ask(Path::new("/bin/sh"), &["-c", status], &scene.withheld) else {
        return None;
    };
    let is_denied = !matches!(said.rsplit(' ').next(), Some("true" | "0"));
    let message = format!("direnv may not run {}, which says `use kage`", scene.shown(file));
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
