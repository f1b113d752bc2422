//! `kage doctor`: checks everything that kage needs, and names the command that fixes each problem. It never
//! fails and never waits long. It skips a check that an earlier problem makes impossible.

mod agents;
mod config;
mod credentials;
mod directories;
mod direnv;
mod environment;
mod filesystem;
mod fix;
mod history;
mod install;
mod scene;
mod secret;
mod settings;
mod shell;
mod shims;
mod start_up;
mod state;
mod tools;

use std::thread;

use anyhow::Result;

use self::fix::{make_usable, unset, word};
use self::scene::Scene;
use super::editor::open_at as edit;
use crate::cli;
use crate::paths::Paths;
use crate::report::{self, Finding, Severity};

/// Returns the exit status: 0 no problems, 1 warnings, 2 errors.
pub(super) fn run(args: &cli::Doctor) -> Result<i32> {
    let found = examine();
    if args.form.json {
        report::print_json(&report::findings_json(&found))?;
    } else {
        report::print(&report::findings(&found, report::columns()))?;
    }
    Ok(found.iter().map(|finding| finding.severity).max().map_or(0, |worst| match worst {
        Severity::Ok => 0,
        Severity::Warning => 1,
        Severity::Error => 2,
    }))
}

fn examine() -> Vec<Finding> {
    let paths = match Paths::from_environment() {
        Ok(paths) => paths,
        Err(why) => {
            return vec![Finding::error(
                "no-home",
                why.message,
                "export HOME=$(getent passwd $(id -u) | cut -d: -f6)",
            )];
        }
    };
    let mut scene = Scene::new(paths);
    let mut found = config::examine(&mut scene);
    found.extend(state::examine(&mut scene));
    found.extend(directories::examine(&scene, &found));
    found.extend(history::examine(&scene));
    // These checks start programs or open the keychain, which takes time, so they run in parallel.
    let areas = [
        credentials::examine,
        agents::examine,
        settings::examine,
        environment::examine,
        shell::examine,
        tools::examine,
    ];
    let scene = &scene;
    thread::scope(|scope| {
        let areas = areas.map(|area| scope.spawn(move || area(scene)));
        found.extend(areas.into_iter().filter_map(|area| area.join().ok()).flatten());
    });
    found
}
