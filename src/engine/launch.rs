//! Launching an attempt: the credential, the plan, the marks by which the child is known, and the host that runs it.

use std::env;
use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt as _;
use std::os::unix::process::parent_id;
use std::path::{self, Path, PathBuf};

use anyhow::Result;
use jiff::Timestamp;

use super::model::{Run, RunState};
use super::said::Said;
use crate::agent::{Grant, Hook, Job, LaunchPlan, Opening, Watch};
use crate::credentials;
use crate::error::{Failure, Notice, Status};
use crate::pool::{Lease, Observation, Release, Source, Subscription};
use crate::run::{self, Handover};
use crate::secret::PASSPHRASE;
use crate::store::holder_mark;

/// How deep kage may run inside kage.
pub(crate) const DEEPEST: u32 = 8;
pub(crate) const DEPTH: &str = "KAGE_DEPTH";
/// Which kage started what, for a kage that is found on `PATH` from there.
const STARTED: &str = "KAGE_STARTED";
/// Why a subscription is unhealthy whose credential never reached the agent.
pub(crate) const NO_CREDENTIAL: &str = "its credential cannot be had";

impl Run<'_> {
    /// The secret, unless the subscription has a login of the agent's own. Without it the lease is given back, and
    /// the account remembers the failure where it is its own.
    pub(super) fn obtain(&self, subscription: &Subscription, lease: &Lease) -> Result<Option<Handover>> {
        let source = &subscription.credential.source;
        let name = &subscription.name;
        let obtained = match source {
            Source::Home(dir) if dir.is_dir() => return Ok(None),
            Source::Home(dir) => {
                let message = format!("the login directory {} of `{name}` is missing", dir.display());
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
            // A locked keychain or a missing passphrase is not this account's fault; a command or a login
            // directory belongs to it alone.
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

    /// What the agent gets. Without a secret in hand (`--dry-run`) the usual kind is assumed.
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
        takes_over: bool,
    ) -> LaunchPlan {
        let prepare = |job: &Job<'_>| self.agent.prepare(job);
        let mut plan = self.with_job(subscription, grant, opening, (model, takes_over), prepare);
        let keeps = self.args.keep_env.iter().any(|kept| kept == PASSPHRASE);
        if env::var_os(PASSPHRASE).is_some() && !keeps {
            plan.remove.push(PASSPHRASE.to_owned());
        }
        plan
    }

    /// Whether the agent would find a conversation under a subscription.
    pub(super) fn finds(&self, session: &str, subscription: &Subscription, grant: Grant<'_>) -> bool {
        let finds = |job: &Job<'_>| self.agent.can_resume(session, job);
        // A conversation without an id is found nowhere.
        !session.is_empty() && self.with_job(subscription, grant, Opening::AsTyped, (None, false), finds)
    }

    fn with_job<T>(
        &self,
        subscription: &Subscription,
        grant: Grant<'_>,
        opening: Opening<'_>,
        (model, takes_over): (Option<&str>, bool),
        answer: impl FnOnce(&Job<'_>) -> T,
    ) -> T {
        let environment: Vec<_> = env::vars_os().collect();
        let hook = self.is_session().then(|| self.hook()).flatten();
        answer(&Job {
            args: &self.args.command[1..],
            is_agent: self.is_agent,
            opening,
            model,
            takes_over,
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

    /// Says what the user's environment and settings held against the subscription.
    pub(super) fn announce(&self, plan: &LaunchPlan) {
        let of_the_user = |name: &&String| *name != PASSPHRASE;
        let variables: Vec<_> = plan.remove.iter().filter(of_the_user).cloned().collect();
        let settings: Vec<_> = plan.switched_off.iter().map(ToString::to_string).collect();
        if !variables.is_empty() || !settings.is_empty() {
            self.say(Said::Removed { variables, settings });
        }
        for warning in &plan.warnings {
            self.say(Said::PlanWarning(warning.clone()));
        }
    }

    /// Becomes the agent; the answer is why not. The lease stays with the process, which has the same id and the
    /// same beginning, and what it used is counted as that of a kage that was killed: by the next one.
    pub(crate) fn replace(&self, mut state: RunState) -> anyhow::Error {
        let handover = state.handover.take();
        let ready = self.write_settings(&state.plan).and_then(|()| self.note_record(&state));
        let why = match ready {
            Ok(()) => run::replace(&self.program, &state.plan, handover, &self.marks(&state.lease)).into(),
            Err(why) => why,
        };
        self.context.release(&Release::NotStarted(&state.lease)).err().unwrap_or(why)
    }

    /// Notes in the lease where the records will be: should kage be killed, the next one counts by that.
    pub(super) fn note_record(&self, state: &RunState) -> Result<()> {
        let Some(record) = state.plan.watch.as_ref().and_then(Watch::record) else { return Ok(()) };
        self.context.observe(&state.lease, Observation::Record(&record)).map(drop)
    }

    /// The variables by which what runs below the agent knows its run.
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
        // Hooks, and a kage inside, are to find the same places wherever the agent goes.
        let relative =
            |name| env::var_os(name).filter(|value| !value.is_empty() && Path::new(value).is_relative());
        let places = ["KAGE_CONFIG", "KAGE_STATE_DIR", "KAGE_IDENTITY"].into_iter();
        let moved = places.filter_map(|name| Some((name, path::absolute(relative(name)?).ok()?.into())));
        marks.extend(moved);
        marks
    }
}

/// The mark of a program that this kage starts or becomes.
pub(crate) fn started_mark(program: &Path) -> (&'static str, OsString) {
    let mut value = OsString::from(format!("{} ", std::process::id()));
    value.push(program);
    (STARTED, value)
}

/// The program that kage has started and that has become this very kage: no agent, but a wrapper that looked
/// for the next one. What an agent starts is further below it.
pub(crate) fn wrapper_that_execed_us() -> Option<PathBuf> {
    let value = env::var_os(STARTED)?.into_vec();
    let blank = value.iter().position(|&byte| byte == b' ')?;
    let pid: u32 = str::from_utf8(&value[..blank]).ok()?.parse().ok()?;
    let is_here = pid == std::process::id() || pid == parent_id();
    is_here.then(|| OsString::from_vec(value[blank + 1..].to_vec()).into())
}

/// kage started from kage from kage: more than a few levels is a program that calls itself.
pub(crate) fn depth() -> Result<u32, Failure> {
    let depth = env::var(DEPTH).ok().and_then(|text| text.parse().ok()).unwrap_or(0);
    if depth < DEEPEST {
        return Ok(depth);
    }
    Err(too_deep(depth))
}

pub(crate) fn too_deep(depth: u32) -> Failure {
    let message = format!("kage runs itself, {depth} levels deep");
    Failure::new(Status::BeforeStart, message).hint(
        "look for a script or alias named like the agent that calls kage; its full path ends the circle",
    )
}
