//! `kage exec`: choose and reserve, fetch the credential, start the agent, read what it left, book it.

use std::env;
use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Instant;

use anyhow::{Context as _, Result};
use jiff::Timestamp;

use super::{Desk, request};
use crate::agent::{self, Agent, Exit, Grant, Job, LaunchPlan, Resumed};
use crate::cli;
use crate::config::project::Standing;
use crate::credentials;
use crate::error::{self, Failure, Status};
use crate::files::{self, Durability};
use crate::ledger::{Attempt, Ledger};
use crate::pool::{
    DEFAULT_AGENT, Lease, LeaseId, Limits, Moment, Name, Outcome, Request, Selection, Settled, Source,
    Subscription, select,
};
use crate::report;
use crate::run::{self, Handover, Program, die_of};
use crate::secret::Secret;
use crate::store;

/// How deep kage may run inside kage.
const DEEPEST: u32 = 8;
const DEPTH: &str = "KAGE_DEPTH";
/// kage's own secrets, which no agent needs.
const OWN_SECRETS: [&str; 1] = ["KAGE_PASSPHRASE"];

/// Runs the command; the answer is the agent's exit status.
pub(super) fn run(args: cli::Exec) -> Result<i32> {
    let depth = depth()?;
    let desk = Desk::open()?;
    let errand = Errand::read(args, &desk, depth)?;
    if errand.args.dry_run {
        return errand.dry_run().map(|()| 0);
    }
    let (lease, selection) = errand.reserve()?;
    let subscription = &desk.config.pool.subscriptions[&selection.name];
    if let Some(overruled) = &selection.overruled {
        errand.say(format_args!(
            "{}; using it all the same (-s)",
            report::because(&selection.name, overruled, &desk.now)
        ));
    }
    let secret = errand.secret(subscription, &lease)?;
    let plan = errand.plan(subscription, secret.as_ref(), &lease.id);
    errand.announce(&plan);
    let begun = Instant::now();
    let exit = errand.attempt(&plan, subscription, secret, &lease)?;
    errand.settle(&lease, &plan, exit, begun);
    Ok(match exit {
        Exit::Code(code) => code,
        Exit::Signal(signal) => die_of(signal),
    })
}

/// kage started from kage from kage: more than a few levels is a program that calls itself.
fn depth() -> Result<u32, Failure> {
    let depth = env::var(DEPTH).ok().and_then(|text| text.parse().ok()).unwrap_or(0);
    if depth < DEEPEST {
        return Ok(depth);
    }
    let message = format!("kage runs itself, {depth} levels deep");
    Err(Failure::new(Status::BeforeStart, message).hint(
        "look for a script or alias named like the agent that calls kage; its full path ends the circle",
    ))
}

/// One call of `kage exec`, with everything that was looked up for it.
struct Errand<'a> {
    args: cli::Exec,
    desk: &'a Desk,
    depth: u32,
    agent: &'static dyn Agent,
    /// Whether the program is the agent itself.
    is_agent: bool,
    program: Program,
    request: Request,
    standing: Standing,
}

impl<'a> Errand<'a> {
    fn read(args: cli::Exec, desk: &'a Desk, depth: u32) -> Result<Self> {
        let known = agent::of_program(&args.command[0]);
        let named = args.agent.as_deref().or(known.map(Agent::name)).unwrap_or(DEFAULT_AGENT);
        let (mut request, standing) = request(&args.ask, named, &desk.config)?;
        let agent = agent::find(named).context("the agent was found before")?;
        let is_agent = known.is_some_and(|known| known.name() == agent.name());
        request.only.clone_from(&args.subscription);
        if let Some(only) = &request.only {
            super::subscription::known(&desk.config, only)?;
        }
        if is_agent {
            let intent = agent.read(&args.command[1..], &|name| env::var_os(name));
            request.model = intent.model;
            let ledger = Ledger::new(&desk.paths.state);
            request.prefer = intent.resumes.and_then(|resumed| match resumed {
                Resumed::Session(id) => ledger.last_of_session(&id),
                Resumed::Latest => ledger.last_in(&standing.cwd),
            });
        }
        let program = Program::find(&args.command[0], &desk.paths.shims)?;
        Ok(Self { args, desk, depth, agent, is_agent, program, request, standing })
    }

    fn say(&self, message: impl std::fmt::Display) {
        if !self.args.quiet {
            error::say(message);
        }
    }

    /// Transaction 1: choose, and hold what was chosen, so that two kages never take the last free place.
    fn reserve(&self) -> Result<(Lease, Selection)> {
        let Self { desk, request, standing, .. } = self;
        let id = LeaseId(uuid::Uuid::new_v4().simple().to_string()[..16].to_owned());
        let pid = std::process::id();
        let started = store::started(pid);
        let chosen = desk.store.update(Durability::Process, |state| {
            let selection = select(&desk.config.pool, state, request, &desk.moment())?;
            let lease = Lease {
                id,
                pid,
                started,
                subscription: selection.name.clone(),
                agent: self.agent.name().to_owned(),
                namespace: standing.namespace.clone(),
                level: standing.level,
                session: None,
                pane: env::var("TMUX_PANE").ok(),
                cwd: standing.cwd.clone(),
                since: desk.now.timestamp(),
            };
            state.leases.push(lease.clone());
            Ok((lease, selection))
        })?;
        chosen.map_err(|not_ready| report::not_ready(&not_ready, request, &desk.now).into())
    }

    /// The secret, unless the subscription has a login of the agent's own. Without it the lease is given
    /// back, and the account remembers the failure.
    fn secret(&self, subscription: &Subscription, lease: &Lease) -> Result<Option<Secret>> {
        let source = &subscription.credential.source;
        let name = &subscription.name;
        let got = match source {
            Source::Home(dir) if dir.is_dir() => return Ok(None),
            Source::Home(dir) => {
                let message = format!("the login directory {} of `{name}` is missing", dir.display());
                let hint = format!("CLAUDE_CONFIG_DIR={} claude /login", dir.display());
                Err(Failure::new(Status::BeforeStart, message).hint(hint).into())
            }
            _ => credentials::backend(source, &self.desk.paths).get(name).map(Some),
        };
        got.inspect_err(|_| {
            // A locked keychain or a missing passphrase is not this account's fault; a command or a login
            // directory belongs to it alone.
            let own_fault = matches!(source, Source::Command(_) | Source::Home(_));
            let released = self.desk.store.update(Durability::Process, |state| {
                state.release(&lease.id);
                if own_fault {
                    state.account_failed(name, "its credential cannot be had", Timestamp::now());
                }
            });
            if let Err(failed) = released {
                error::warn(format_args!("{failed:#}"));
            }
        })
    }

    fn plan(&self, subscription: &Subscription, secret: Option<&Secret>, id: &LeaseId) -> LaunchPlan {
        let kind =
            secret.map(|secret| self.agent.kind_of(secret).unwrap_or_else(|| self.agent.default_kind()));
        let grant = match (&subscription.credential.source, kind) {
            (Source::Home(dir), _) => Grant::Home(dir),
            (_, kind) => Grant::Secret(
                kind.unwrap_or_else(|| self.agent.default_kind()),
                subscription.credential.deliver,
            ),
        };
        let environment: Vec<_> = env::vars_os().collect();
        let mut plan = self.agent.prepare(&Job {
            args: &self.args.command[1..],
            is_agent: self.is_agent,
            grant,
            own_env: &subscription.env,
            keep: &self.args.keep_env,
            cwd: &self.standing.cwd,
            home: &self.desk.paths.home,
            environment: &environment,
            settings_file: &self.settings_file(id),
            began: Timestamp::now(),
        });
        let set =
            |name: &&str| env::var_os(name).is_some() && !self.args.keep_env.iter().any(|kept| kept == *name);
        plan.remove.extend(OWN_SECRETS.into_iter().filter(set).map(str::to_owned));
        plan
    }

    fn settings_file(&self, id: &LeaseId) -> PathBuf {
        self.settings_dir().join(format!("{}.json", id.0))
    }

    fn settings_dir(&self) -> PathBuf {
        self.desk.paths.state.join("settings")
    }

    /// One line on what the user's environment held against the subscription.
    fn announce(&self, plan: &LaunchPlan) {
        if !plan.remove.is_empty() {
            let removed = plan.remove.join(", ");
            self.say(format_args!("not passed on: {removed} (--keep-env NAME keeps one)"));
        }
        for warning in &plan.warnings {
            self.say(format_args!("warning: {warning}"));
        }
    }

    fn attempt(
        &self,
        plan: &LaunchPlan,
        subscription: &Subscription,
        secret: Option<Secret>,
        lease: &Lease,
    ) -> Result<Exit> {
        let handover = secret.map(|secret| Handover {
            kind: self.agent.kind_of(&secret).unwrap_or_else(|| self.agent.default_kind()),
            deliver: subscription.credential.deliver,
            secret,
        });
        let ran = self.write_settings(plan).and_then(|()| {
            let marks = self.marks(&subscription.name, &lease.id);
            Ok(run::run(&self.program, plan, handover, &marks)?)
        });
        if let Some((file, _)) = &plan.settings {
            let _ = fs::remove_file(file);
        }
        if ran.is_err() {
            self.desk.store.update(Durability::Process, |state| state.release(&lease.id))?;
        }
        ran
    }

    /// Writes the merged settings, and removes those of runs that were killed.
    fn write_settings(&self, plan: &LaunchPlan) -> Result<()> {
        let Some((file, text)) = &plan.settings else { return Ok(()) };
        let dir = self.settings_dir();
        files::make_private_dir(&dir)?;
        let state = self.desk.store.read()?;
        let of_living = |path: &Path| state.leases.iter().any(|lease| self.settings_file(&lease.id) == path);
        for entry in fs::read_dir(&dir).into_iter().flatten().flatten() {
            if !of_living(&entry.path()) {
                let _ = fs::remove_file(entry.path());
            }
        }
        files::replace(file, text.as_bytes(), Durability::Process)
            .with_context(|| format!("could not write {}", file.display()))
    }

    fn marks(&self, name: &Name, id: &LeaseId) -> Vec<(&'static str, OsString)> {
        let mut marks = vec![
            ("KAGE_SUBSCRIPTION", name.as_str().into()),
            ("KAGE_RUN", id.0.clone().into()),
            (DEPTH, (self.depth + 1).to_string().into()),
        ];
        marks.extend(
            self.standing.namespace.iter().map(|namespace| ("KAGE_NAMESPACE", namespace.as_str().into())),
        );
        marks
    }

    /// Transaction 2: read what the attempt left, book it, give the lease back. The agent has ended, so
    /// nothing here may change how kage ends.
    fn settle(&self, lease: &Lease, plan: &LaunchPlan, exit: Exit, begun: Instant) {
        let evidence = plan.watch.as_ref().map(|watch| self.agent.collect(watch)).unwrap_or_default();
        let outcome = self.agent.judge(exit, &evidence);
        let now = Timestamp::now().to_zoned(self.desk.now.time_zone().clone());
        let limits = Limits::from(&self.desk.config.pool);
        let settled = self.append(lease, plan, exit, &outcome, begun).and_then(|()| {
            let moment = Moment::from(&now);
            self.desk
                .store
                .update(Durability::Machine, |state| state.settle(&lease.id, &outcome, limits, &moment))
        });
        match settled {
            Ok(Some(Settled { subscription, change: Some(change) })) => {
                self.say(report::changed(&subscription, &change, &outcome, &now));
            }
            Ok(_) => {}
            Err(failed) => error::warn(format_args!("this run is not in the books: {failed:#}")),
        }
    }

    fn append(
        &self,
        lease: &Lease,
        plan: &LaunchPlan,
        exit: Exit,
        outcome: &Outcome,
        begun: Instant,
    ) -> Result<()> {
        Ledger::new(&self.desk.paths.state).append(&Attempt {
            time: lease.since,
            run: &lease.id.0,
            attempt: 1,
            subscription: &lease.subscription,
            agent: &lease.agent,
            namespace: lease.namespace.as_ref(),
            level: lease.level,
            cwd: &lease.cwd,
            session: plan.watch.as_ref().map(|watch| watch.session.as_str()),
            verdict: outcome.verdict.word(),
            exit: match exit {
                Exit::Code(code) => code,
                Exit::Signal(signal) => 128 + signal,
            },
            duration_ms: u64::try_from(begun.elapsed().as_millis()).unwrap_or(u64::MAX),
            models: &outcome.usage.models,
        })
    }

    /// What would run, without choosing for real and without touching a secret.
    fn dry_run(&self) -> Result<()> {
        let desk = self.desk;
        let mut state = desk.store.read()?;
        let chosen = select(&desk.config.pool, &mut state, &self.request, &desk.moment());
        let selection =
            chosen.map_err(|not_ready| report::not_ready(&not_ready, &self.request, &desk.now))?;
        let subscription = &desk.config.pool.subscriptions[&selection.name];
        let plan = self.plan(subscription, None, &LeaseId("dry-run".into()));
        let carrier = match &subscription.credential.source {
            Source::Home(dir) => format!("the login in {}", dir.display()),
            source => {
                let variable = self.agent.default_kind().carrier(subscription.credential.deliver);
                format!("{variable} from {}", source.word())
            }
        };
        report::print(&report::dry_run(&selection.name, &self.program.path, &plan, &carrier))
    }
}
