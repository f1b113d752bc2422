//! One attempt: the credential, the plan, the start, and the books afterwards.

use std::collections::BTreeSet;
use std::env;
use std::ffi::{OsStr, OsString};
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Instant;

use anyhow::{Context as _, Result};
use jiff::Timestamp;

use super::{DEPTH, Errand};
use crate::agent::{Exit, Grant, Job, LaunchPlan};
use crate::credentials;
use crate::error::{self, Failure, Status};
use crate::files::{self, Durability};
use crate::ledger::{Attempt, Ledger};
use crate::pool::{Lease, LeaseId, Limits, Moment, Name, Outcome, Source, Subscription};
use crate::report;
use crate::run::{self, Handover};

/// kage's own secret, which no agent needs. It goes without a word, unlike the agent's variables.
const PASSPHRASE: &str = "KAGE_PASSPHRASE";

impl Errand<'_> {
    /// The secret, unless the subscription has a login of the agent's own. Without it the lease is given
    /// back, and the account remembers the failure where it is its own.
    pub(super) fn fetch(&self, subscription: &Subscription, lease: &Lease) -> Result<Option<Handover>> {
        let source = &subscription.credential.source;
        let name = &subscription.name;
        let got = match source {
            Source::Home(dir) if dir.is_dir() => return Ok(None),
            Source::Home(dir) => {
                let message = format!("the login directory {} of `{name}` is missing", dir.display());
                let hint = format!("CLAUDE_CONFIG_DIR={} claude /login", dir.display());
                Err(Failure::new(Status::BeforeStart, message).hint(hint).into())
            }
            _ => credentials::backend(source, &self.desk.paths).get(name),
        };
        let got = got.inspect_err(|_| {
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
        });
        let secret = got?;
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

    pub(super) fn plan(&self, subscription: &Subscription, grant: Grant<'_>, id: &LeaseId) -> LaunchPlan {
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
            settings_file: &self.settings_dir().join(format!("{}.json", id.0)),
            began: Timestamp::now(),
        });
        let keeps = self.args.keep_env.iter().any(|kept| kept == PASSPHRASE);
        if env::var_os(PASSPHRASE).is_some() && !keeps {
            plan.remove.push(PASSPHRASE.to_owned());
        }
        plan
    }

    /// Where merged settings lie while their run lasts, by its id.
    fn settings_dir(&self) -> PathBuf {
        self.desk.paths.state.join("settings")
    }

    /// One line on what the user's environment and settings held against the subscription.
    pub(super) fn announce(&self, plan: &LaunchPlan) {
        let of_the_user = |name: &&str| *name != PASSPHRASE;
        let removed: Vec<_> = plan.remove.iter().map(String::as_str).filter(of_the_user).collect();
        let mut parts = Vec::new();
        if !removed.is_empty() {
            parts.push(format!("not passed on: {} (--keep-env NAME keeps one)", removed.join(", ")));
        }
        if !plan.switched_off.is_empty() {
            let keys = plan.switched_off.join(", ");
            parts.push(format!("switched off in the agent's settings for this run: {keys}"));
        }
        if !parts.is_empty() {
            self.say(parts.join("; "));
        }
        for warning in &plan.warnings {
            self.say(format_args!("warning: {warning}"));
        }
    }

    pub(super) fn attempt(
        &self,
        plan: &LaunchPlan,
        handover: Option<Handover>,
        lease: &Lease,
    ) -> Result<Exit> {
        let ran = self.write_settings(plan).and_then(|()| {
            let marks = self.marks(&lease.subscription, &lease.id);
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
        // The files are listed before the leases are read: a file comes after its lease, so each file in
        // the list that belongs to a living run finds its lease there.
        let known: Vec<_> =
            fs::read_dir(&dir).into_iter().flatten().flatten().map(|entry| entry.path()).collect();
        let state = self.desk.store.read()?;
        let living: BTreeSet<&str> = state.leases.iter().map(|lease| lease.id.0.as_str()).collect();
        for path in known.iter().filter(|path| run_of(path).is_none_or(|run| !living.contains(run))) {
            let _ = fs::remove_file(path);
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
        let namespace = self.standing.namespace.iter();
        marks.extend(namespace.map(|namespace| ("KAGE_NAMESPACE", namespace.as_str().into())));
        marks
    }

    /// Transaction 2: read what the attempt left, book it, give the lease back. The agent has ended, so
    /// nothing here may change how kage ends; and the state, by which the next run is chosen, does not
    /// depend on the ledger.
    pub(super) fn settle(&self, lease: &Lease, plan: &LaunchPlan, exit: Exit, begun: Instant) {
        let evidence = plan.watch.as_ref().map(|watch| self.agent.collect(watch)).unwrap_or_default();
        let outcome = self.agent.judge(exit, &evidence);
        let now = Timestamp::now().to_zoned(self.desk.now.time_zone().clone());
        let (limits, moment) = (Limits::from(&self.desk.config.pool), Moment::from(&now));
        let book = |state: &mut crate::pool::State| state.settle(lease, &outcome, limits, &moment);
        match self.desk.store.update(Durability::Machine, book) {
            Ok(Some(change)) => self.say(report::changed(&lease.subscription, &change, &outcome, &now)),
            Ok(None) => {}
            Err(failed) => error::warn(format_args!("what this run showed is not in the state: {failed:#}")),
        }
        if let Err(failed) = self.append(lease, plan, exit, &outcome, begun) {
            error::warn(format_args!("this run is not in the ledger: {failed:#}"));
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
}

/// The run that a file of merged settings belongs to; its temporary has another ending.
fn run_of(path: &Path) -> Option<&str> {
    path.file_name().and_then(OsStr::to_str)?.split('.').next()
}
