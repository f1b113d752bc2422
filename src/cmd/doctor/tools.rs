//! tmux, as far as kage is set up in it, and what is known of programs on PATH.

use std::fs;
use std::path::Path;

use super::install::install;
use super::scene::found_on_path;
use super::shims::lacks;
use super::{Finding, Scene, direnv, edit};
use crate::cmd::asked::{Answer, ask, version_in};
use crate::cmd::places::{called, can_be_run, tmux_conf};
use crate::shell::MARK;

/// `display-popup` came with it. Source: tmux's CHANGES.
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
        .filter_map(|(at, line)| Some((at + 1, line, called(line, "init tmux")?)))
        .collect();
    let gone = calls.iter().find(|(_, _, kage)| kage.is_absolute() && !can_be_run(kage));
    if let Some((at, line, kage)) = gone {
        let message = format!("{} calls {}, which {}", scene.shown(&file), scene.shown(kage), lacks(kage));
        let is_added = line.trim_end().ends_with(MARK);
        let fix = if is_added { "kage init tmux --install --yes".to_owned() } else { edit(&file, *at) };
        return Some(Finding::error("tmux-kage-gone", message, fix));
    }
    if calls.is_empty() && !is_plugin(&text, &file, scene) {
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

/// Whether TPM or a line of its own loads kage's file. TPM's line names the plugin alone, and its files lie in one
/// of two places. Source: the README of tmux-plugins/tpm.
fn is_plugin(text: &str, file: &Path, scene: &Scene) -> bool {
    let beside = file.parent().map(|dir| dir.join("plugins"));
    let dirs = [Some(scene.paths.home.join(".tmux/plugins")), beside].into_iter().flatten();
    let is_fetched = dirs.into_iter().any(|dir| dir.join("kage/kage.tmux").is_file());
    let names_kage = |line: &str| line.split(['\'', '"', ' ', '/', '#', '@']).any(|word| word == "kage");
    text.lines().filter(|line| !line.trim_start().starts_with('#')).any(|line| {
        line.contains("kage.tmux") || (is_fetched && line.contains("@plugin") && names_kage(line))
    })
}
