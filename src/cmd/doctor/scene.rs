//! The inputs of the doctor's checks.

use crate::agent::{Agent, DEFAULT_AGENT, Grant, Job, Opening};
use crate::clock;
use crate::cmd::probe::withheld_variables;
use crate::config::Config;
use crate::paths::Paths;
use crate::pool::{Source, State, Subscription};
use crate::report::{self};
use crate::shell::Shell;
use jiff::{Timestamp, Zoned};
use std::collections::BTreeMap;
use std::env;
use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};

/// Everything that the checks examine.
pub(super) struct Scene {
    pub(super) paths: Paths,
    pub(super) now: Zoned,
    pub(super) cwd: PathBuf,
    pub(super) environment: Vec<(OsString, OsString)>,
    /// The variables that are withheld from the programs that the checks run.
    pub(super) withheld: Vec<OsString>,
    /// `None` if it could not be read.
    pub(super) config: Option<Config>,
    /// `None` if it could not be read.
    pub(super) state: Option<State>,
}

impl Scene {
    pub(super) fn new(paths: Paths) -> Self {
        let cwd = env::current_dir().unwrap_or_else(|_| PathBuf::from("/"));
        let environment = env::vars_os().collect();
        let withheld = withheld_variables(&paths);
        Self { paths, now: clock::now(), cwd, environment, withheld, config: None, state: None }
    }

    /// The value of a variable that is set and not empty.
    pub(super) fn variable(&self, name: &str) -> Option<&OsStr> {
        let set = self.environment.iter().find(|(known, value)| known == name && !value.is_empty());
        set.map(|(_, value)| value.as_os_str())
    }

    /// The user's shell, if kage has functions for it.
    pub(super) fn shell(&self) -> Option<Shell> {
        Shell::of_program(self.variable("SHELL")?.to_str()?)
    }

    /// A path for the user, with `~` for the home directory.
    pub(super) fn shown(&self, path: &Path) -> String {
        report::below_home(&path.display().to_string(), &self.paths.home)
    }

    /// The directories of PATH, in order.
    pub(super) fn path_dirs(&self) -> Vec<PathBuf> {
        self.variable("PATH").map(|path| env::split_paths(path).collect()).unwrap_or_default()
    }

    /// The enabled subscriptions.
    pub(super) fn subscriptions(&self) -> Vec<&Subscription> {
        let all = self.config.iter().flat_map(|config| config.pool.subscriptions.values());
        all.filter(|subscription| subscription.enabled).collect()
    }

    /// The agents of the enabled subscriptions, or the default agent if there are none.
    pub(super) fn agents(&self) -> Vec<&'static dyn Agent> {
        let Some(config) = &self.config else { return Vec::new() };
        let mut names: Vec<_> = self.subscriptions().iter().map(|known| known.agent.as_str()).collect();
        if names.is_empty() {
            names.push(DEFAULT_AGENT);
        }
        config.agents.all().filter(|agent| names.contains(&agent.name())).collect()
    }

    /// Whether kage was started inside a run that is still active.
    pub(super) fn is_inside_run(&self) -> bool {
        let Some(run) = self.variable("KAGE_RUN").and_then(OsStr::to_str) else { return false };
        self.state.as_ref().is_some_and(|state| state.leases.iter().any(|lease| lease.id.0 == run))
    }

    /// Calls a function with the job for which the agent of a subscription would be prepared.
    pub(super) fn with_job<T>(
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

    /// Like `with_job`, without a subscription.
    pub(super) fn with_grant<T>(
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
            patience: crate::agent::Patience::Own,
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

/// The path of a program on PATH.
pub(in crate::cmd::doctor) fn found_on_path(program: &str, scene: &Scene) -> Option<PathBuf> {
    scene.path_dirs().into_iter().map(|dir| dir.join(program)).find(|file| file.is_file())
}
