//! Preparation of an attempt: the credential, the launch plan, and the variables that mark the agent's
//! processes as part of the run.

use std::env;
use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt as _;
use std::os::unix::process::parent_id;
use std::path::{self, Path, PathBuf};

use anyhow::Result;
use jiff::Timestamp;

use super::model::{Run, RunState};
use super::said::Said;
use crate::agent::{Grant, Hook, Job, LaunchPlan, Opening, Patience, Watch};
use crate::credentials;
use crate::error::{Failure, Notice, Status};
use crate::pool::{Lease, Observation, Release, Source, Subscription};
use crate::run::{self, Handover};
use crate::secret::PASSPHRASE;
use crate::store::holder_mark;

/// How many levels deep kage may run inside kage.
pub(crate) const MAX_DEPTH: u32 = 8;
pub(crate) const DEPTH: &str = "KAGE_DEPTH";
/// The variable with the process id of a kage and the path of the program that it started. If that program
/// finds kage on `PATH` and executes it, the second kage reads the variable.
const STARTED: &str = "KAGE_STARTED";
/// The reason of an unhealthy subscription whose credential could not be read.
pub(crate) const NO_CREDENTIAL: &str = "its credential could not be read";

impl Run<'_> {
    /// Reads the secret; `None` if the subscription uses the agent's own login directory. On failure the
    /// lease is released. If the credential belongs to this subscription alone, the failure is also recorded
    /// in its health.
    pub(super) fn obtain(&self, subscription: &Subscription, lease: &Lease) -> Result<Option<Handover>> {
        let source = &subscription.credential.source;
        let name = &subscription.name;
        let obtained = match source {
            Source::Home(dir) if dir.is_dir() => return Ok(None),
            Source::Home(dir) => {
                let message = format!("the login directory {} of `{name}` does not exist", dir.display());
                let hint = self.agent.login_hint(dir).unwrap_or_default();
                Err(Failure::new(Status::BeforeStart, message).hint(hint).into())
            }
            _ => {
                let backend = credentials::backend(source, &self.context.paths);
                let secret = backend.get(name);
                backend.take_notices().into_iter().for_each(|notice| self.say(notice));
                secret
            }
        };
        let secret = obtained.inspect_err(|_| {
            // A locked keychain or a missing passphrase affects all subscriptions; a credential command or a
            // login directory belongs to this one alone.
            let own_fault = matches!(source, Source::Command(_) | Source::Home(_));
            let now = self.context.now().timestamp();
            let release = if own_fault {
                Release::CredentialFailed { lease, reason: NO_CREDENTIAL, now }
            } else {
                Release::NotStarted(lease)
            };
            if let Err(failed) = self.context.release(&release) {
                self.say(Notice::new(format!("{failed:#}")));
            }
        })?;
        let kind = self.agent.kind_of(&secret).unwrap_or_else(|| self.agent.default_kind());
        Ok(Some(Handover { secret, kind, deliver: subscription.credential.deliver }))
    }

    /// Returns what the agent gets. Without a secret (as with `--dry-run`), the agent's default kind is
    /// assumed.
    pub(super) fn grant<'a>(&self, subscription: &'a Subscription, handover: Option<&Handover>) -> Grant<'a> {
        let credential = &subscription.credential;
        match &credential.source {
            Source::Home(dir) => Grant::Home(dir),
            _ => {
                let kind = handover.map_or_else(|| self.agent.default_kind(), |handover| handover.kind);
                Grant::Secret(kind, credential.deliver)
            }
        }
    }

    pub(super) fn plan(
        &self,
        subscription: &Subscription,
        grant: Grant<'_>,
        opening: Opening<'_>,
        model: Option<&str>,
        patience: Patience,
    ) -> LaunchPlan {
        let prepare = |job: &Job<'_>| self.agent.prepare(job);
        let mut plan = self.with_job(subscription, grant, opening, (model, patience), prepare);
        let keeps = self.args.keep_env.iter().any(|kept| kept == PASSPHRASE);
        if env::var_os(PASSPHRASE).is_some() && !keeps {
            plan.remove.push(PASSPHRASE.to_owned());
        }
        plan
    }

    /// Whether the agent can resume a conversation with this subscription.
    pub(super) fn can_resume(&self, session: &str, subscription: &Subscription, grant: Grant<'_>) -> bool {
        let can_resume = |job: &Job<'_>| self.agent.can_resume(session, job);
        // A conversation without an id cannot be resumed.
        !session.is_empty()
            && self.with_job(subscription, grant, Opening::AsTyped, (None, Patience::Own), can_resume)
    }

    fn with_job<T>(
        &self,
        subscription: &Subscription,
        grant: Grant<'_>,
        opening: Opening<'_>,
        (model, patience): (Option<&str>, Patience),
        answer: impl FnOnce(&Job<'_>) -> T,
    ) -> T {
        let environment: Vec<_> = env::vars_os().collect();
        let hook = self.is_session().then(|| self.hook()).flatten();
        answer(&Job {
            args: &self.args.command[1..],
            is_agent: self.is_agent,
            opening,
            model,
            patience,
            grant,
            own_env: &subscription.env,
            keep: &self.args.keep_env,
            cwd: &self.location.cwd,
            home: &self.context.paths.home,
            environment: &environment,
            settings_file: &self.settings_dir().join(format!("{}.json", self.id.0)),
            hook: hook.as_ref().map(|(command, file)| Hook { command, file }),
            began: Timestamp::now(),
        })
    }

    /// Prints which of the user's variables and settings were removed because they conflict with the
    /// subscription, and the warnings of the plan.
    pub(super) fn announce(&self, plan: &LaunchPlan) {
        let is_reported = |name: &&String| *name != PASSPHRASE;
        let variables: Vec<_> = plan.remove.iter().filter(is_reported).cloned().collect();
        let settings: Vec<_> = plan.switched_off.iter().map(ToString::to_string).collect();
        if !variables.is_empty() || !settings.is_empty() {
            self.say(Said::Removed { variables, settings });
        }
        for warning in &plan.warnings {
            self.say(Said::PlanWarning(warning.clone()));
        }
    }

    /// Becomes the agent; returns only if that fails, with the reason. The lease remains valid, because the
    /// process keeps its id and start time. A later kage counts the usage, as for a kage that was killed.
    pub(crate) fn replace(&self, mut state: RunState) -> anyhow::Error {
        let handover = state.handover.take();
        let ready = self.write_settings(&state.plan).and_then(|()| self.note_record(&state));
        let why = match ready {
            Ok(()) => run::replace(&self.program, &state.plan, handover, &self.marks(&state.lease)).into(),
            Err(why) => why,
        };
        self.context.release(&Release::NotStarted(&state.lease)).err().unwrap_or(why)
    }

    /// Records in the lease where the agent's transcript will be: if kage is killed, the next kage reads the
    /// usage there.
    pub(super) fn note_record(&self, state: &RunState) -> Result<()> {
        let Some(record) = state.plan.watch.as_ref().and_then(Watch::record) else { return Ok(()) };
        self.context.observe(&state.lease, Observation::Record(&record)).map(drop)
    }

    /// Returns the variables that identify the run to the agent and the processes below it.
    pub(super) fn marks(&self, lease: &Lease) -> Vec<(&'static str, OsString)> {
        let mut marks = vec![
            ("KAGE_SUBSCRIPTION", lease.subscription.as_str().into()),
            ("KAGE_RUN", lease.id.0.clone().into()),
            (DEPTH, (self.depth + 1).to_string().into()),
            started_mark(&self.program.path),
            holder_mark(&lease.id),
        ];
        let namespace = self.location.namespace.iter();
        marks.extend(namespace.map(|namespace| ("KAGE_NAMESPACE", namespace.as_str().into())));
        // Hooks, and a kage below the agent, must use the same paths even if the agent changes its directory.
        let relative =
            |name| env::var_os(name).filter(|value| !value.is_empty() && Path::new(value).is_relative());
        let paths = ["KAGE_CONFIG", "KAGE_STATE_DIR", "KAGE_IDENTITY"].into_iter();
        let absolute = paths.filter_map(|name| Some((name, path::absolute(relative(name)?).ok()?.into())));
        marks.extend(absolute);
        marks
    }
}

/// Returns the variable that marks a program that this kage starts or becomes.
pub(crate) fn started_mark(program: &Path) -> (&'static str, OsString) {
    let mut value = OsString::from(format!("{} ", std::process::id()));
    value.push(program);
    (STARTED, value)
}

/// Returns the program that another kage started and that then executed this kage. It is a wrapper, not an
/// agent: it looked up the next program of its name on `PATH`. A kage that an agent starts is further down
/// the process tree.
pub(crate) fn wrapper_that_execed_us() -> Option<PathBuf> {
    let value = env::var_os(STARTED)?.into_vec();
    let blank = value.iter().position(|&byte| byte == b' ')?;
    let pid: u32 = str::from_utf8(&value[..blank]).ok()?.parse().ok()?;
    let is_here = pid == std::process::id() || pid == parent_id();
    is_here.then(|| OsString::from_vec(value[blank + 1..].to_vec()).into())
}

/// Returns how many levels of kage are above this one. Too many levels mean that kage starts itself.
pub(crate) fn depth() -> Result<u32, Failure> {
    let depth = env::var(DEPTH).ok().and_then(|text| text.parse().ok()).unwrap_or(0);
    if depth < MAX_DEPTH {
        return Ok(depth);
    }
    Err(too_deep(depth))
}

pub(crate) fn too_deep(depth: u32) -> Failure {
    let message = format!("kage called itself, {depth} levels deep");
    Failure::new(Status::BeforeStart, message).hint(
        "find the script or alias with the agent's name that calls kage; use the agent's full path in it",
    )
}
