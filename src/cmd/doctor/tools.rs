//! The checks of tmux and direnv.

use std::fs;
use std::path::Path;

use super::install::install;
use super::scene::found_on_path;
use super::shims::why_unusable;
use super::{Finding, Scene, direnv, edit};
use crate::cmd::integration_files::{called_kage, is_executable, tmux_conf};
use crate::cmd::probe::{Answer, ask, version_in};
use crate::shell::MARK;

/// The first version with `display-popup`. Source: tmux's CHANGES.
const OLDEST_TMUX: [u32; 3] = [3, 2, 0];

pub(super) fn examine(scene: &Scene) -> Vec<Finding> {
    tmux(scene).into_iter().chain(direnv::examine(scene)).collect()
}

fn tmux(scene: &Scene) -> Option<Finding> {
    let file = tmux_conf(&scene.paths);
    let text = String::from_utf8_lossy(&fs::read(&file).unwrap_or_default()).into_owned();
    let tmux = found_on_path("tmux", scene)?;
    let Answer::Said(said) = ask(&tmux, &["-V"], &scene.withheld) else { return None };
    let calls: Vec<_> = text
        .lines()
        .enumerate()
        .filter_map(|(at, line)| Some((at + 1, line, called_kage(line, "init tmux")?)))
        .collect();
    let gone = calls.iter().find(|(_, _, kage)| kage.is_absolute() && !is_executable(kage));
    if let Some((at, line, kage)) = gone {
        let message =
            format!("{} calls {}, which {}", scene.shown(&file), scene.shown(kage), why_unusable(kage));
        let is_added = line.trim_end().ends_with(MARK);
        let fix = if is_added { "kage init tmux --install --yes".to_owned() } else { edit(&file, *at) };
        return Some(Finding::error("tmux-kage-gone", message, fix));
    }
    if calls.is_empty() && !is_plugin(&text, &file, scene) {
        return Some(Finding::ok(
            "tmux",
            format!("{said}, without kage's settings (to add them: `kage init tmux --install`)"),
        ));
    }
    match version_in(&said) {
        Some(version) if version < OLDEST_TMUX => {
            let message = format!(
                "{said} has no popups, which kage's settings in {} need; tmux 3.2 has them",
                scene.shown(&file)
            );
            Some(Finding::warning("tmux-old", message, install("tmux", scene)))
        }
        _ => Some(Finding::ok("tmux", format!("{said}, with kage's settings in {}", scene.shown(&file)))),
    }
}

/// Whether tmux loads kage's file through TPM or directly. A line for TPM contains only the name of the
/// plugin, whose files are in one of two directories. Source: the README of tmux-plugins/tpm.
fn is_plugin(text: &str, file: &Path, scene: &Scene) -> bool {
    let next_to_config = file.parent().map(|dir| dir.join("plugins"));
    let dirs = [Some(scene.paths.home.join(".tmux/plugins")), next_to_config].into_iter().flatten();
    let is_installed = dirs.into_iter().any(|dir| dir.join("kage/kage.tmux").is_file());
    let names_kage = |line: &str| line.split(['\'', '"', ' ', '/', '#', '@']).any(|word| word == "kage");
    text.lines().filter(|line| !line.trim_start().starts_with('#')).any(|line| {
        line.contains("kage.tmux") || (is_installed && line.contains("@plugin") && names_kage(line))
    })
}
