//! tmux and direnv, as far as kage is set up in them.

use std::fs;
use std::path::{Path, PathBuf};

use super::program::{Answer, ask, version_in};
use super::{Finding, Scene};
use crate::cmd::places::{called, direnv_file, tmux_conf};

/// `display-popup` came with it. Source: tmux's CHANGES.
const OLDEST_TMUX: [u32; 3] = [3, 2, 0];
/// How packages are installed, by the program that does.
const INSTALLERS: [(&str, &str); 5] = [
    ("apt-get", "sudo apt-get install"),
    ("dnf", "sudo dnf install"),
    ("pacman", "sudo pacman -S"),
    ("apk", "sudo apk add"),
    ("brew", "brew install"),
];

pub(super) fn examine(scene: &Scene) -> Vec<Finding> {
    tmux(scene).into_iter().chain(direnv(scene)).collect()
}

fn found_on_path(program: &str, scene: &Scene) -> Option<PathBuf> {
    scene.path_dirs().into_iter().map(|dir| dir.join(program)).find(|file| file.is_file())
}

fn install(program: &str, scene: &Scene) -> String {
    let known = INSTALLERS.iter().find(|(installer, _)| found_on_path(installer, scene).is_some());
    format!("{} {program}", known.map_or("sudo apt-get install", |(_, command)| command))
}

fn tmux(scene: &Scene) -> Option<Finding> {
    let file = tmux_conf(&scene.paths);
    // A plugin of TPM is a file of its own, and its line names the plugin alone.
    let is_set_up = fs::read(&file).is_ok_and(|text| {
        let text = String::from_utf8_lossy(&text).into_owned();
        text.lines().any(|line| called(line, "init tmux").is_some() || line.contains("kage.tmux"))
    });
    let tmux = found_on_path("tmux", scene)?;
    let Answer::Said(said) = ask(&tmux, &["-V"]) else { return None };
    if !is_set_up {
        return Some(Finding::ok(
            "tmux",
            format!("{said}, without kage's keys (`kage init tmux --install`)"),
        ));
    }
    match version_in(&said) {
        Some(version) if version < OLDEST_TMUX => {
            let message =
                format!("{said} has no popups, which kage's keys in {} need: 3.2 has", scene.shown(&file));
            Some(Finding::warning("tmux-old", message, install("tmux", scene)))
        }
        _ => Some(Finding::ok("tmux", format!("{said}, with kage's keys in {}", scene.shown(&file)))),
    }
}

fn direnv(scene: &Scene) -> Option<Finding> {
    let used = scene.cwd.ancestors().map(|dir| dir.join(".envrc")).find(|file| file.is_file());
    let used = used.filter(|file| uses_kage(file));
    let lib = direnv_file(&scene.paths);
    let program = found_on_path("direnv", scene);
    match (used, program) {
        (Some(file), None) => {
            let message = format!("{} says `use kage`, and there is no direnv", scene.shown(&file));
            Some(Finding::warning("direnv-missing", message, install("direnv", scene)))
        }
        (Some(file), Some(_)) if !lib.is_file() => {
            let message = format!("{} says `use kage`, which direnv does not know", scene.shown(&file));
            Some(Finding::warning("direnv-not-set-up", message, "kage init direnv --install --yes"))
        }
        (None, Some(_)) if !lib.is_file() => {
            Some(Finding::ok("direnv", "direnv, without `use kage` (`kage init direnv --install`)"))
        }
        (_, Some(_)) => {
            Some(Finding::ok("direnv", format!("direnv, with `use kage` in {}", scene.shown(&lib))))
        }
        (None, None) => None,
    }
}

fn uses_kage(file: &Path) -> bool {
    let text = fs::read(file).unwrap_or_default();
    let text = String::from_utf8_lossy(&text);
    text.lines().any(|line| {
        let words: Vec<_> = line.split_whitespace().take(2).collect();
        matches!(words[..], ["use", "kage"] | ["use_kage", ..])
    })
}
