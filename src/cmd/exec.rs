//! `kage exec`: choose and reserve, fetch the credential, start the agent, read what it left, book it.

mod attempt;

use std::env;
use std::time::Instant;

use anyhow::{Context as _, Result};

use super::{Desk, request, stranger};
use crate::agent::{self, Agent, Exit, Resumed};
use crate::cli;
use crate::config::project::Standing;
use crate::error::{self, Failure, Status};
use crate::files::Durability;
use crate::ledger::Ledger;
use crate::pool::{DEFAULT_AGENT, Lease, LeaseId, Request, Selection, Source, select};
use crate::report;
use crate::run::{Program, die_of};
use crate::store;

/// How deep kage may run inside kage.
const DEEPEST: u32 = 8;
const DEPTH: &str = "KAGE_DEPTH";

/// Runs the command; the answer is the agent's exit status.
pub(super) fn run(args: cli::Exec) -> Result<i32> {
    let depth = depth()?;
    let desk = Desk::open()?;
    let errand = Errand::read(args, &desk, depth)?;
    if let Some(stranger) = stranger(&errand.standing, &desk.config) {
        errand.say(format_args!("warning: {stranger}"));
    }
    if errand.args.dry_run {
        return errand.dry_run().map(|()| 0);
    }
    let (lease, selection) = errand.reserve()?;
    let subscription = &desk.config.pool.subscriptions[&selection.name];
    if let Some(overruled) = &selection.overruled {
        errand.say(format_args!(
            "warning: {}; using it all the same (-s)",
            report::because(&selection.name, overruled, &desk.now)
        ));
    }
    let handover = errand.fetch(subscription, &lease)?;
    let plan = errand.plan(subscription, errand.grant(subscription, handover.as_ref()), &lease.id);
    errand.announce(&plan);
    let begun = Instant::now();
    let exit = errand.attempt(&plan, handover, &lease)?;
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
                cwd: standing.cwd.to_string_lossy().into_owned(),
                since: desk.now.timestamp(),
            };
            state.leases.push(lease.clone());
            Ok((lease, selection))
        })?;
        chosen.map_err(|not_ready| report::not_ready(&not_ready, request, &desk.now).into())
    }

    /// What would run, without choosing for real and without touching a secret.
    fn dry_run(&self) -> Result<()> {
        let desk = self.desk;
        let mut state = desk.store.read()?;
        let chosen = select(&desk.config.pool, &mut state, &self.request, &desk.moment());
        let selection =
            chosen.map_err(|not_ready| report::not_ready(&not_ready, &self.request, &desk.now))?;
        let subscription = &desk.config.pool.subscriptions[&selection.name];
        let plan = self.plan(subscription, self.grant(subscription, None), &LeaseId("dry-run".into()));
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
