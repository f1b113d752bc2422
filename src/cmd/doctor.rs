//! `kage doctor`: looks at all that kage needs, and names for each fault the command that mends it. It never
//! fails and never waits long; what it cannot look at for an earlier fault is left out.

mod agents;
mod config;
mod credentials;
mod directories;
mod direnv;
mod environment;
mod filesystem;
mod mend;
mod secret;
mod settings;
mod shell;
mod shims;
mod start_up;
mod state;
mod tools;

use std::collections::BTreeMap;
use std::env;
use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};
use std::thread;

use anyhow::Result;
use jiff::{Timestamp, Zoned};

use self::mend::{reopen, unset, word};
use super::asked::withheld_by;
use super::editor::open_at as edit;
use crate::agent::{Agent, DEFAULT_AGENT, Grant, Job, Opening};
use crate::cli;
use crate::clock;
use crate::config::Config;
use crate::paths::Paths;
use crate::pool::{Source, State, Subscription};
use crate::report::{self, Finding, Severity};
use crate::shell::Shell;

/// The answer is the exit status: 0 all is well, 1 warnings, 2 errors.
pub(super) fn run(args: &cli::Doctor) -> Result<i32> {
    let found = examine();
    if args.form.json {
        report::print_json(&report::findings_json(&found))?;
    } else {
        report::print(&report::findings(&found))?;
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
    // What starts programs or asks the keychain takes its time; all of it is done at once.
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

/// What is looked at.
struct Scene {
    paths: Paths,
    now: Zoned,
    cwd: PathBuf,
    environment: Vec<(OsString, OsString)>,
    /// The variables that the programs which are asked are not given.
    withheld: Vec<OsString>,
    /// Where it could be read.
    config: Option<Config>,
    /// Where it could be read.
    state: Option<State>,
}

impl Scene {
    fn new(paths: Paths) -> Self {
        let cwd = env::current_dir().unwrap_or_else(|_| PathBuf::from("/"));
        let environment = env::vars_os().collect();
        let withheld = withheld_by(&paths);
        Self { paths, now: clock::now(), cwd, environment, withheld, config: None, state: None }
    }

    /// A variable that is set to something.
    fn variable(&self, name: &str) -> Option<&OsStr> {
        let set = self.environment.iter().find(|(known, value)| known == name && !value.is_empty());
        set.map(|(_, value)| value.as_os_str())
    }

    /// The user's own shell, where kage has functions for it.
    fn shell(&self) -> Option<Shell> {
        Shell::of_program(self.variable("SHELL")?.to_str()?)
    }

    /// A path as a person reads it.
    fn shown(&self, path: &Path) -> String {
        report::below_home(&path.display().to_string(), &self.paths.home)
    }

    /// The directories of PATH, in their order.
    fn path_dirs(&self) -> Vec<PathBuf> {
        self.variable("PATH").map(|path| env::split_paths(path).collect()).unwrap_or_default()
    }

    /// Those that a run may get.
    fn subscriptions(&self) -> Vec<&Subscription> {
        let all = self.config.iter().flat_map(|config| config.pool.subscriptions.values());
        all.filter(|subscription| subscription.enabled).collect()
    }

    /// The agents of the subscriptions; of an empty pool the one that most have.
    fn agents(&self) -> Vec<&'static dyn Agent> {
        let Some(config) = &self.config else { return Vec::new() };
        let mut names: Vec<_> = self.subscriptions().iter().map(|known| known.agent.as_str()).collect();
        if names.is_empty() {
            names.push(DEFAULT_AGENT);
        }
        config.agents.all().filter(|agent| names.contains(&agent.name())).collect()
    }

    /// The run by which kage was started, where that lives.
    fn is_inside_run(&self) -> bool {
        let Some(run) = self.variable("KAGE_RUN").and_then(OsStr::to_str) else { return false };
        self.state.as_ref().is_some_and(|state| state.leases.iter().any(|lease| lease.id.0 == run))
    }

    /// What the agent of a subscription would be prepared with.
    fn with_job<T>(
        &self,
        subscription: &Subscription,
        agent: &dyn Agent,
        answer: impl FnOnce(&Job<'_>) -> T,
    ) -> T {
        let credential = &subscription.credential;
        let grant = match &credential.source {
            Source::Home(dir) => Grant::Home(dir),
            _ => Grant::Secret(agent.default_kind(), credential.deliver),
        };
        self.with_grant(grant, &subscription.env, answer)
    }

    /// The same of no subscription.
    fn with_grant<T>(
        &self,
        grant: Grant<'_>,
        own_env: &BTreeMap<String, String>,
        answer: impl FnOnce(&Job<'_>) -> T,
    ) -> T {
        answer(&Job {
            args: &[],
            is_agent: true,
            opening: Opening::AsTyped,
            model: None,
            takes_over: false,
            grant,
            own_env,
            keep: &[],
            cwd: &self.cwd,
            home: &self.paths.home,
            environment: &self.environment,
            settings_file: Path::new("doctor.json"),
            hook: None,
            began: Timestamp::now(),
        })
    }
}
