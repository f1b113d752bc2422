//! The agents of the pool: whether they are on PATH (not only as shims), executable, and new enough.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::thread;

use super::{Finding, Scene, edit, word};
use crate::agent::{Agent, Grant};
use crate::cmd::probe::{AGENT_TIMEOUT, Answer, ask_with, version_in};
use crate::config;
use crate::run::Program;

/// Checks all agents in parallel, because each one is run for its version.
pub(super) fn examine(scene: &Scene) -> Vec<Finding> {
    let agents = scene.agents();
    thread::scope(|scope| {
        let one = |agent: &'static dyn Agent| scope.spawn(move || check_agent(agent, scene));
        let found: Vec<_> = agents.into_iter().map(one).collect();
        found.into_iter().filter_map(|one| one.join().ok()).collect()
    })
}

fn check_agent(agent: &dyn Agent, scene: &Scene) -> Finding {
    let name = agent.name();
    let program = match Program::find(agent.program().as_ref(), &scene.paths.shims) {
        Ok(program) => program,
        Err(why) => return not_found(agent, &why.message, scene),
    };
    let shown = scene.shown(&program.path);
    let version = match version(agent, &program.path, scene) {
        Answer::Said(line) => line,
        // kage does not know whether an agent that the config defines supports `--version`.
        Answer::Failed(_) | Answer::Silent(_) if agent.install_info().is_none() => String::new(),
        Answer::Silent(timeout) => {
            let message = format!("`{shown} --version` did not answer within {} s", timeout.as_secs());
            return Finding::warning("agent-silent", message, install(agent, scene));
        }
        Answer::Failed(why) => {
            let message = format!("`{shown} --version` {why}");
            return Finding::error("agent-broken", message, install(agent, scene));
        }
    };
    let oldest = agent.install_info().and_then(|release| Some((release, release.oldest?)));
    if let (Some((release, (oldest, why))), Some(version)) = (oldest, version_in(&version))
        && version < oldest
    {
        let [major, minor, patch] = oldest;
        let message = format!(
            "{name} {} is too old: it {why}; {major}.{minor}.{patch} or newer is needed",
            dotted(version)
        );
        return Finding::warning("agent-old", message, release.update);
    }
    let version = version_in(&version);
    let measured = agent.install_info().map(|release| release.measured);
    let newer = measured.filter(|&measured| version.is_some_and(|version| version > measured));
    let version = version.map(dotted).unwrap_or_default();
    if let Some(measured) = newer {
        let measured = dotted(measured);
        let message = format!("agent {name} {version}: {shown}; kage was tested with {name} {measured}");
        return Finding::ok("agent-newer", message);
    }
    let words: Vec<_> = [name, version.as_str()].into_iter().filter(|word| !word.is_empty()).collect();
    Finding::ok("agent", format!("agent {}: {shown}", words.join(" ")))
}

/// Asks an agent for its version. It gets a temporary home, because it may create files there before it
/// answers.
fn version(agent: &dyn Agent, program: &Path, scene: &Scene) -> Answer {
    let Ok(home) = tempfile::tempdir() else {
        return Answer::Failed("was not run: could not create a temporary directory".to_owned());
    };
    let plan = scene.with_grant(Grant::Home(home.path()), &BTreeMap::new(), |job| agent.prepare(job));
    let variables = plan.set.into_iter().filter(|(name, _)| !name.is_empty());
    ask_with(program, &["--version"], &scene.withheld, variables, AGENT_TIMEOUT)
}

fn dotted([major, minor, patch]: [u32; 3]) -> String {
    format!("{major}.{minor}.{patch}")
}

fn not_found(agent: &dyn Agent, why: &str, scene: &Scene) -> Finding {
    if let Some(file) = not_executable(agent, scene) {
        let message = format!("{} is not executable", scene.shown(&file));
        return Finding::error("agent-not-executable", message, format!("chmod +x {}", word(&file)));
    }
    let is_shim = why.contains("is kage itself");
    let (code, message) = if is_shim {
        (
            "agent-only-shim",
            format!("`{}` on PATH is only kage's shim; the agent itself was not found", agent.program()),
        )
    } else {
        ("agent-missing", format!("the agent `{}` is not on PATH", agent.program()))
    };
    Finding::error(code, message, install(agent, scene))
}

/// The command that installs an agent. For an agent from the config, kage can only open its definition.
fn install(agent: &dyn Agent, scene: &Scene) -> String {
    match agent.install_info() {
        Some(release) => release.install.to_owned(),
        None => {
            let line = config::line_of(&scene.paths, &["agents", agent.name()]);
            edit(&scene.paths.config, line)
        }
    }
}

/// A file on PATH with the name of the agent's program that is not executable.
fn not_executable(agent: &dyn Agent, scene: &Scene) -> Option<PathBuf> {
    let candidates = scene.path_dirs().into_iter().map(|dir| dir.join(agent.program()));
    candidates.into_iter().find(|file| {
        fs::metadata(file).is_ok_and(|known| known.is_file() && known.permissions().mode() & 0o111 == 0)
    })
}
