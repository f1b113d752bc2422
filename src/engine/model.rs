//! A run and its state as plain data.

use std::cell::Cell;
use std::env;
use std::ffi::{OsStr, OsString};
use std::io::IsTerminal as _;
use std::path::{Path, PathBuf};

use anyhow::Result;
use jiff::{SignedDuration, Zoned};

use super::context::Context;
use super::events::Events;
use super::host::Host;
use crate::agent::{
    Agent, DEFAULT_AGENT, Evidence, Exit, Form, Intent, LaunchPlan, Resumed, SecretKind, Work,
};
use crate::config::project::Location;
use crate::config::{Config, Interactive, closest};
use crate::error::{Failure, Status};
use crate::pool::{Change, Lease, LeaseId, Level, Name, Outcome, Request, Scope, Verdict};
use crate::run::{Handover, Program};

/// How long a run waits for a subscription; `None` means without a limit.
#[derive(Debug, Clone, Copy)]
pub(crate) struct WaitLimit(pub Option<SignedDuration>);

/// The part of a request that comes from the command line.
#[derive(Debug, Clone, Default)]
pub(crate) struct RequestArgs {
    pub namespace: Option<Name>,
    pub level: Option<Level>,
    pub tags: Vec<String>,
    pub over_budget: bool,
}

/// What was typed after `kage exec`.
#[derive(Debug, Clone, Default)]
pub(crate) struct Arguments {
    pub ask: RequestArgs,
    pub agent: Option<String>,
    pub subscription: Option<Name>,
    pub wait: Option<WaitLimit>,
    pub retries: Option<u32>,
    pub keep_env: Vec<String>,
    /// kage becomes the agent.
    pub replaces: bool,
    /// The program and its arguments; never empty.
    pub command: Vec<OsString>,
}

/// One `kage exec`, with everything that was looked up for it.
pub(crate) struct Run<'a> {
    pub(super) args: Arguments,
    pub(super) context: &'a Context,
    pub(super) host: &'a dyn Host,
    pub(super) depth: u32,
    /// The id of the run. Each attempt in turn holds its lease under this id.
    pub(super) id: LeaseId,
    pub(super) agent: &'static dyn Agent,
    /// Whether the program is the agent's own program.
    pub(super) is_agent: bool,
    pub(super) intent: Intent,
    pub(super) program: Program,
    /// The path of kage itself, for the hooks of a session. It is read when the run begins: after an upgrade
    /// replaces the file, the system reports another name.
    pub(super) kage_path: Option<PathBuf>,
    pub(super) request: Request,
    pub(super) location: Location,
    pub(super) events: Events<'a>,
    /// Whether this run has already tried to book the runs whose kage was killed.
    pub(super) has_recovered: Cell<bool>,
}

impl<'a> Run<'a> {
    pub(crate) fn new(args: Arguments, context: &'a Context, host: &'a dyn Host, depth: u32) -> Result<Self> {
        let config = &context.config;
        let known = config.agents.of_program(&args.command[0]);
        let named = args.agent.as_deref().or(known.map(Agent::name)).unwrap_or(DEFAULT_AGENT);
        let (mut request, location) = request(&args.ask, named, config)?;
        let agent = config.agent(named)?;
        let is_agent = known.is_some_and(|known| known.name() == agent.name());
        request.only.clone_from(&args.subscription);
        request.waits = args.wait.is_some();
        if let Some(only) = &request.only {
            config.subscription(only)?;
        }
        let mut intent = Intent::default();
        if is_agent {
            let to_terminal = std::io::stdout().is_terminal();
            intent = agent.read(&args.command[1..], &|name| env::var_os(name), to_terminal);
            request.model.clone_from(&intent.model);
            let ledger = context.ledger();
            request.prefer = intent.resumes.as_ref().and_then(|resumed| match resumed {
                Resumed::Session(id) => ledger.last_of_session(id),
                Resumed::Latest => ledger.last_in(&location.cwd),
            });
        }
        let name = &args.command[0];
        let program = Program::find(name, &context.paths.shims);
        let program = program.map_err(|why| with_suggestion(why, name, config))?;
        let id = LeaseId(uuid::Uuid::new_v4().simple().to_string()[..16].to_owned());
        // The system may report a symlink. If the link has an agent's name, kage would act as that agent, so
        // the path is resolved.
        let is_session = intent.form == Form::Interactive;
        let kage_path = || env::current_exe().and_then(|exe| exe.canonicalize()).ok();
        Ok(Self {
            args,
            context,
            host,
            depth,
            id,
            agent,
            is_agent,
            intent,
            program,
            kage_path: is_session.then(kage_path).flatten(),
            request,
            location,
            events: Events::new(&context.config),
            has_recovered: Cell::new(false),
        })
    }

    pub(crate) fn request(&self) -> &Request {
        &self.request
    }

    /// The path of the program.
    pub(crate) fn program(&self) -> &Path {
        &self.program.path
    }

    pub(crate) fn replaces(&self) -> bool {
        self.args.replaces
    }

    /// Returns a warning text for each namespace or tag that was probably mistyped.
    pub(crate) fn likely_typos(&self) -> Vec<String> {
        likely_typos(&self.location, &self.request.tags, &self.context.config)
    }

    /// Whether the agent runs an interactive session at the terminal.
    pub(super) fn is_session(&self) -> bool {
        self.intent.form == Form::Interactive
    }

    /// The number of attempts that may follow the first.
    pub(super) fn retries(&self) -> u32 {
        if !self.intent.form.is_print() || self.intent.stays_open || self.args.replaces {
            return 0;
        }
        self.session_retries()
    }

    /// The number of retries that a session may make in a row without doing anything.
    pub(super) fn session_retries(&self) -> u32 {
        self.args.retries.unwrap_or(self.context.config.failover.attempts)
    }

    /// How a session continues on another subscription.
    pub(super) fn interactive(&self) -> Interactive {
        if self.session_retries() == 0 { Interactive::Off } else { self.context.config.failover.interactive }
    }
}

/// Adds a hint to the failure if a program that was not found is probably a mistyped agent.
fn with_suggestion(why: Failure, name: &OsStr, config: &Config) -> Failure {
    let programs = config.agents.all().map(Agent::program);
    match name.to_str().and_then(|name| closest(name, programs)) {
        Some(meant) if why.status == Status::NotFound && meant != name => {
            why.hint(format!("did you mean `{meant}`?"))
        }
        _ => why,
    }
}

/// Returns the request of a run, built from the command line and the working directory.
pub(crate) fn request(ask: &RequestArgs, agent: &str, config: &Config) -> Result<(Request, Location)> {
    let location = Location::find(config, ask.namespace.clone(), ask.level)?;
    config.agent(agent)?;
    let request = Request {
        agent: agent.to_owned(),
        namespace: location.namespace.clone(),
        level: location.level,
        tags: ask.tags.clone(),
        over_budget: ask.over_budget,
        ..Request::default()
    };
    Ok((request, location))
}

/// Returns a warning text for each namespace or tag that was probably mistyped.
pub(crate) fn likely_typos(location: &Location, tags: &[String], config: &Config) -> Vec<String> {
    let tags = tags.iter().filter_map(|tag| mistyped_tag(tag, config));
    mistyped_namespace(location, config).into_iter().chain(tags).collect()
}

/// A tag that no subscription has excludes all of them.
fn mistyped_tag(tag: &str, config: &Config) -> Option<String> {
    let known = || config.pool.subscriptions.values().flat_map(|subscription| &subscription.tags);
    if known().any(|known| known == tag) {
        return None;
    }
    let near = closest(tag, known().map(String::as_str))?;
    Some(format!("no subscription has the tag `{tag}`; did you mean `{near}`?"))
}

/// An unknown namespace has no route and so uses the whole pool: a mistyped one must be reported.
fn mistyped_namespace(location: &Location, config: &Config) -> Option<String> {
    let name = location.namespace.as_ref()?;
    let known = || config.pool.routes.keys().chain(config.namespaces.keys());
    if known().any(|key| key == name) {
        return None;
    }
    let near = closest(name.as_str(), known().map(Name::as_str))?;
    Some(format!("the namespace `{name}` has no route; did you mean `{near}`?"))
}

/// A place that was taken on a subscription, and the credential for it.
pub(crate) struct Reservation {
    pub lease: Lease,
    /// `None` for a login directory.
    pub handover: Option<Handover>,
}

/// The progress of a run.
pub(crate) struct RunState {
    /// The number of the next attempt, counted from 1.
    pub number: u32,
    pub lease: Lease,
    pub handover: Option<Handover>,
    pub plan: LaunchPlan,
    /// Whether the next attempt reads kage's standard input.
    pub reads_input: bool,
    /// The kind of secret that the run began with; `None` for a login directory.
    pub first_kind: Option<&'static SecretKind>,
    /// The model that the last attempt reported.
    pub used_model: Option<String>,
    /// Whether an attempt of this run has done anything.
    pub work: Work,
    pub session: Option<String>,
    /// The number of attempts in a row that have done nothing.
    pub idle_attempts: u32,
    /// The model family of a limit that one of the attempts hit.
    pub limited_model: Option<String>,
    /// The subscription of the first attempt that was refused with a 403.
    pub forbidden_on: Option<Name>,
    pub visited: Visited,
    /// The subscriptions that the run has already waited for because they were throttled.
    pub paused_on: Vec<Name>,
    /// Whether the run has already waited because of an error of the provider or the network.
    pub paused: bool,
    /// Whether the run has left an overloaded address for another one.
    pub left_gateway: bool,
}

/// The subscriptions that a search skips.
#[derive(Debug, Clone, Default)]
pub(crate) struct Visited {
    /// Those that the run has tried. When the run waits, these may be chosen again.
    pub tried: Vec<Name>,
    /// Those that cannot serve this run, however long it waits.
    pub unusable: Vec<Name>,
}

impl RunState {
    /// The state before the first attempt.
    pub(crate) fn new(reservation: Reservation, plan: LaunchPlan) -> Self {
        let Reservation { lease, handover } = reservation;
        Self {
            number: 1,
            lease,
            first_kind: handover.as_ref().map(|handover| handover.kind),
            handover,
            plan,
            reads_input: true,
            used_model: None,
            work: Work::None,
            session: None,
            idle_attempts: 0,
            limited_model: None,
            forbidden_on: None,
            visited: Visited::default(),
            paused_on: Vec::new(),
            paused: false,
            left_gateway: false,
        }
    }

    /// Records what an attempt did, for the attempts that follow.
    pub(super) fn remember(&mut self, end: &AttemptEnd) {
        let evidence = &end.evidence;
        self.used_model = evidence.model.clone().or(self.used_model.take());
        self.session = evidence.session.clone().or(self.session.take());
        self.idle_attempts = if evidence.work == Work::None { self.idle_attempts + 1 } else { 0 };
        if evidence.work != Work::None && self.work != Work::Done {
            self.work = evidence.work;
        }
        if let Verdict::UsageLimit { scope: Scope::Model(model), .. } = &end.outcome.verdict {
            self.limited_model = Some(model.clone());
        }
        if end.outcome.is_forbidden() {
            self.forbidden_on.get_or_insert_with(|| end.subscription.clone());
        }
    }
}

/// An attempt that has ended, and its outcome.
pub(super) struct AttemptEnd {
    pub subscription: Name,
    pub exit: Exit,
    pub interrupted: bool,
    pub evidence: Evidence,
    pub outcome: Outcome,
    /// Whether the conversation ends with an error.
    pub ends_with_error: bool,
    /// The change of the subscription's status that it caused.
    pub change: Option<Change>,
    /// When its evidence was read.
    pub at: Zoned,
    /// The result of the session's observer.
    pub session: SessionEnd,
}

/// The result of a session's observer when the session ends.
#[derive(Default)]
pub(super) struct SessionEnd {
    /// The reservation on another subscription for which kage ended the session.
    pub reservation: Option<Reservation>,
    /// Whether kage announced that it would continue, or that it cannot.
    pub announced: bool,
    /// Whether the session did not end on SIGTERM, and the user was asked to leave it.
    pub asked_to_leave: bool,
}
