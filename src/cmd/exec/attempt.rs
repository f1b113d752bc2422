//! One attempt: the credential, the plan, the start.

use std::env;
use std::ffi::OsString;
use std::fs;
use std::path::{self, Path};
use std::time::Instant;

use anyhow::Result;
use jiff::Timestamp;

use super::books::Ended;
use super::journey::Journey;
use super::live::Live;
use super::pane::Pane;
use super::{DEPTH, Errand, started};
use crate::agent::{Grant, Hook, Job, LaunchPlan, Opening, Watch};
use crate::cmd::NOT_HAD;
use crate::credentials;
use crate::error::{self, Failure, Status};
use crate::files::Durability;
use crate::pool::{Lease, LeaseId, Name, Source, Subscription};
use crate::run::{self, Beside, Handover, Input, Relay, Streams};
use crate::secret::PASSPHRASE;

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
                let hint = self.agent.login_hint(dir).unwrap_or_default();
                Err(Failure::new(Status::BeforeStart, message).hint(hint).into())
            }
            _ => credentials::backend(source, &self.desk.paths).get(name),
        };
        let got = got.inspect_err(|_| {
            // A locked keychain or a missing passphrase is not this account's fault; a command or a login
            // directory belongs to it alone.
            let own_fault = matches!(source, Source::Command(_) | Source::Home(_));
            let released = self.desk.store.update(Durability::Process, |state| {
                state.give_back(lease);
                if own_fault {
                    state.account_failed(name, NOT_HAD, Timestamp::now());
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
        self.with_job(subscription, grant, Opening::AsTyped, (None, false), finds)
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
            cwd: &self.standing.cwd,
            home: &self.desk.paths.home,
            environment: &environment,
            settings_file: &self.settings_dir().join(format!("{}.json", self.id.0)),
            hook: hook.as_ref().map(|(command, file)| Hook { command, file }),
            began: Timestamp::now(),
        })
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

    /// Runs the agent once, and books what it left. The inner error is the signal that came before it, the
    /// outer one why it did not start.
    pub(super) fn attempt(
        &self,
        journey: &mut Journey,
        relay: Option<&mut Relay>,
        pane: Option<&mut Pane>,
    ) -> Result<Result<Ended, i32>> {
        let handover = journey.handover.take();
        let journey = &*journey;
        let Journey { lease, plan, reads_input, .. } = journey;
        let begun = Instant::now();
        let mut live = Live::new(self, journey, pane);
        let ran = self.write_settings(plan).and_then(|()| self.note_record(journey)).and_then(|()| {
            let marks = self.marks(&lease.subscription, &lease.id);
            let input = if *reads_input { Input::FromStart } else { Input::Nothing };
            let streams = match relay {
                Some(relay) => {
                    live.started();
                    Streams::Relayed(relay, input)
                }
                None => Streams::Inherited(self.is_session().then_some(&mut live as &mut dyn Beside)),
            };
            Ok(run::run(&self.program, plan, handover, &marks, streams)?)
        });
        let left = live.end();
        if let Some((file, _)) = &plan.settings
            && file.starts_with(self.settings_dir())
        {
            let _ = fs::remove_file(file);
        }
        match ran {
            Ok(Ok(ended)) => Ok(Ok(Ended { left, ..self.settle(journey, ended, begun) })),
            Ok(Err(signal)) => self.give_back(&journey.lease).map(|()| Err(signal)),
            Err(why) => {
                self.give_back(&journey.lease)?;
                Err(why)
            }
        }
    }

    /// Becomes the agent; the answer is why not. The lease stays with the process, which has the same id and the
    /// same beginning, and what it used is counted as that of a kage that was killed: by the next one.
    pub(super) fn replace(&self, mut journey: Journey) -> anyhow::Error {
        let handover = journey.handover.take();
        let Journey { lease, plan, .. } = &journey;
        let ready = self.write_settings(plan).and_then(|()| self.note_record(&journey));
        let why = match ready {
            Ok(()) => {
                run::replace(&self.program, plan, handover, &self.marks(&lease.subscription, &lease.id))
                    .into()
            }
            Err(why) => why,
        };
        self.give_back(lease).err().unwrap_or(why)
    }

    /// Notes in the lease where the records will be: should kage be killed, the next one counts by that.
    fn note_record(&self, journey: &Journey) -> Result<()> {
        let Some(record) = journey.plan.watch.as_ref().and_then(Watch::record) else { return Ok(()) };
        self.desk.store.update(Durability::Process, |state| state.note_record(&journey.lease, record))
    }

    /// Releases a lease whose agent never ran.
    pub(super) fn give_back(&self, lease: &Lease) -> Result<()> {
        self.desk.store.update(Durability::Process, |state| state.give_back(lease))
    }

    fn marks(&self, name: &Name, id: &LeaseId) -> Vec<(&'static str, OsString)> {
        let mut marks = vec![
            ("KAGE_SUBSCRIPTION", name.as_str().into()),
            ("KAGE_RUN", id.0.clone().into()),
            (DEPTH, (self.depth + 1).to_string().into()),
            started(&self.program.path),
        ];
        let namespace = self.standing.namespace.iter();
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
