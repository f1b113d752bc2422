//! `kage exec`: choose and reserve, fetch the credential, start the agent, read what it left, book it; and
//! where it was refused, go on with another subscription.

mod attempt;
mod books;
mod journey;
mod live;
mod notice;
mod pane;
mod session;
mod settings;
mod step;
mod wait;

use std::cell::Cell;
use std::env;
use std::ffi::{OsStr, OsString};
use std::io::IsTerminal as _;
use std::os::unix::ffi::OsStringExt as _;
use std::os::unix::process::parent_id;
use std::path::{Path, PathBuf};

use anyhow::Result;

use self::journey::{Journey, Onward};
use self::pane::Pane;
use super::events::Events;
use super::{Desk, request, strangers, withheld};
use crate::agent::{Agent, Exit, Form, Intent, Opening, Resumed};
use crate::cli;
use crate::config::project::Standing;
use crate::config::{Config, closest};
use crate::error::{self, Failure, Status};
use crate::files::Durability;
use crate::ledger::Ledger;
use crate::pool::{DEFAULT_AGENT, Lease, LeaseId, NotReady, Request, Selection, Source, peek, take};
use crate::report;
use crate::run::{self, Output, Program, Relay, die_of};
use crate::store;

/// How deep kage may run inside kage.
pub(super) const DEEPEST: u32 = 8;
pub(super) const DEPTH: &str = "KAGE_DEPTH";
/// Which kage started what, for a kage that is found on `PATH` from there.
const STARTED: &str = "KAGE_STARTED";

/// Runs the command; the answer is the agent's exit status.
pub(super) fn run(args: cli::Exec) -> Result<i32> {
    let depth = depth()?;
    // What the run looks things up in is there until the process ends, which gives it back at once.
    let desk: &Desk = Box::leak(Box::new(Desk::open_to_run()?));
    let errand = Errand::read(args, desk, depth)?;
    for stranger in strangers(&errand.standing, &errand.request.tags, &desk.config) {
        errand.say(format_args!("warning: {stranger}"));
    }
    if errand.args.dry_run {
        return errand.dry_run().map(|()| 0);
    }
    let mut journey = Journey::begin(&errand)?;
    errand.announce(&journey.plan);
    if errand.args.replace {
        return Err(errand.replace(journey));
    }
    let mut relay = errand.relay();
    let mut pane = errand.pane();
    let exit = errand.travel(&mut journey, relay.as_mut(), pane.as_mut())?;
    // Before a signal ends kage as it ended the agent.
    drop(pane);
    Ok(end(exit, relay.as_mut()))
}

/// What the last attempt printed goes out, and kage ends as it did.
fn end(exit: Exit, relay: Option<&mut Relay>) -> i32 {
    let written = match relay.map_or(Ok(Ok(())), run::release) {
        Ok(written) => written,
        Err(signal) => return die_of(signal),
    };
    if let Err(failed) = &written {
        error::warn(format_args!("could not write what the agent printed: {failed}"));
    }
    match exit {
        // Its answer is lost, which is no success.
        Exit::Code(0) if written.is_err() => 1,
        Exit::Code(code) => code,
        Exit::Signal(signal) => die_of(signal),
    }
}

/// The mark of a program that this kage starts or becomes.
pub(super) fn started(program: &Path) -> (&'static str, OsString) {
    let mut value = OsString::from(format!("{} ", std::process::id()));
    value.push(program);
    (STARTED, value)
}

/// The program that kage has started and that has become this very kage: no agent, but a wrapper that looked
/// for the next one. What an agent starts is further below it.
pub(super) fn becomes_this() -> Option<PathBuf> {
    let value = env::var_os(STARTED)?.into_vec();
    let blank = value.iter().position(|&byte| byte == b' ')?;
    let pid: u32 = str::from_utf8(&value[..blank]).ok()?.parse().ok()?;
    let is_here = pid == std::process::id() || pid == parent_id();
    is_here.then(|| OsString::from_vec(value[blank + 1..].to_vec()).into())
}

/// kage started from kage from kage: more than a few levels is a program that calls itself.
pub(super) fn depth() -> Result<u32, Failure> {
    let depth = env::var(DEPTH).ok().and_then(|text| text.parse().ok()).unwrap_or(0);
    if depth < DEEPEST {
        return Ok(depth);
    }
    Err(too_deep(depth))
}

pub(super) fn too_deep(depth: u32) -> Failure {
    let message = format!("kage runs itself, {depth} levels deep");
    Failure::new(Status::BeforeStart, message).hint(
        "look for a script or alias named like the agent that calls kage; its full path ends the circle",
    )
}

/// A program that was not found may be an agent's, mistyped.
fn near(why: Failure, name: &OsStr, config: &Config) -> Failure {
    let programs = config.agents.all().map(Agent::program);
    match name.to_str().and_then(|name| closest(name, programs)) {
        Some(meant) if why.status == Status::NotFound && meant != name => {
            why.hint(format!("did you mean `{meant}`?"))
        }
        _ => why,
    }
}

/// One call of `kage exec`, with everything that was looked up for it.
struct Errand<'a> {
    args: cli::Exec,
    desk: &'a Desk,
    depth: u32,
    /// The run, under which its attempts hold their leases one after the other.
    id: LeaseId,
    agent: &'static dyn Agent,
    /// Whether the program is the agent itself.
    is_agent: bool,
    intent: Intent,
    program: Program,
    /// kage itself, for the hooks of a session, as it was found when the run began: of a program that is replaced
    /// meanwhile, as by an upgrade, the system tells another name later.
    myself: Option<PathBuf>,
    request: Request,
    standing: Standing,
    events: Events<'a>,
    /// Whether runs whose kage was killed have been looked after, as far as that can be done now.
    has_recovered: Cell<bool>,
}

impl<'a> Errand<'a> {
    fn read(args: cli::Exec, desk: &'a Desk, depth: u32) -> Result<Self> {
        let known = desk.config.agents.of_program(&args.command[0]);
        let named = args.agent.as_deref().or(known.map(Agent::name)).unwrap_or(DEFAULT_AGENT);
        let (mut request, standing) = request(&args.ask, named, &desk.config)?;
        let agent = desk.config.agent(named)?;
        let is_agent = known.is_some_and(|known| known.name() == agent.name());
        request.only.clone_from(&args.subscription);
        request.waits = args.wait.is_some();
        if let Some(only) = &request.only {
            super::subscription::known(&desk.config, only)?;
        }
        let mut intent = Intent::default();
        if is_agent {
            let to_terminal = std::io::stdout().is_terminal();
            intent = agent.read(&args.command[1..], &|name| env::var_os(name), to_terminal);
            request.model.clone_from(&intent.model);
            let ledger = Ledger::new(&desk.paths.state);
            request.prefer = intent.resumes.as_ref().and_then(|resumed| match resumed {
                Resumed::Session(id) => ledger.last_of_session(id),
                Resumed::Latest => ledger.last_in(&standing.cwd),
            });
        }
        let name = &args.command[0];
        let program = Program::find(name, &desk.paths.shims).map_err(|why| near(why, name, &desk.config))?;
        let id = LeaseId(uuid::Uuid::new_v4().simple().to_string()[..16].to_owned());
        // Where the system tells a link, it may have an agent's name, under which kage would act as one.
        let is_session = intent.form == Form::Interactive;
        let myself = || env::current_exe().and_then(|exe| exe.canonicalize()).ok();
        let events = Events::new(desk);
        Ok(Self {
            args,
            desk,
            depth,
            id,
            agent,
            is_agent,
            intent,
            program,
            myself: is_session.then(myself).flatten(),
            request,
            standing,
            events,
            has_recovered: Cell::new(false),
        })
    }

    fn say(&self, message: impl std::fmt::Display) {
        if !self.args.quiet {
            error::say(message);
        }
    }

    /// One attempt after the other; the answer is how the last one ended.
    fn travel(
        &self,
        journey: &mut Journey,
        mut relay: Option<&mut Relay>,
        mut pane: Option<&mut Pane>,
    ) -> Result<Exit> {
        let mut last = None;
        loop {
            let mut ended = match self.attempt(journey, relay.as_deref_mut(), pane.as_deref_mut()) {
                Ok(Ok(ended)) => ended,
                Ok(Err(signal)) => return Ok(Exit::Signal(signal)),
                Err(why) => match last {
                    // The attempt before it stands, as if there had been nothing to go on with.
                    Some(exit) => {
                        error::warn(format_args!("{why:#}"));
                        return Ok(exit);
                    }
                    None => return Err(why),
                },
            };
            match self.go_on(journey, &mut ended, relay.as_deref()) {
                Onward::Again => relay.iter_mut().for_each(|relay| relay.discard()),
                Onward::Stands => return Ok(ended.exit),
                Onward::EndedBy(signal) => return Ok(Exit::Signal(signal)),
            }
            last = Some(ended.exit);
        }
    }

    /// Whether the agent talks with a person at the terminal.
    fn is_session(&self) -> bool {
        self.intent.form == Form::Interactive
    }

    /// The tmux pane that shows the agent.
    fn pane(&self) -> Option<Pane> {
        let shows = self.intent.form != Form::Other && std::io::stdout().is_terminal();
        if shows { Pane::here(withheld(&self.desk.config.agents)) } else { None }
    }

    /// How many attempts may follow the first.
    fn retries(&self) -> u32 {
        if !self.intent.form.is_print() || self.intent.converses || self.args.replace {
            return 0;
        }
        self.args.retries.unwrap_or(self.desk.config.failover.attempts)
    }

    /// What stands between the agent and the caller, where the agent prints an answer: that can be held back
    /// until it is known to be one. At a terminal, and around any other program, nothing does.
    fn relay(&self) -> Option<Relay> {
        let output = match self.intent.form {
            Form::Whole => Output::Whole,
            Form::Lines => Output::Lines(self.agent.classifier()),
            Form::Interactive | Form::Other => return None,
        };
        let mut relay = Relay::new(output, self.agent.speaks_on_stderr());
        relay.hold(self.retries() > 0);
        Some(relay)
    }

    /// Transaction 1: choose, and hold what was chosen, so that two kages never take the last free place.
    fn reserve(&self, request: &Request) -> Result<Result<(Lease, Selection), NotReady>> {
        let Self { desk, standing, .. } = self;
        let now = desk.later();
        let pid = std::process::id();
        let started = store::started(pid);
        let reserved = desk.store.update(Durability::Process, |state| {
            // First, for what they used may count against a budget.
            if !state.lost.is_empty() && !self.has_recovered.get() {
                return None;
            }
            let recovered = state.pass_deadlines(now.timestamp());
            let chosen = take(&desk.config.pool, state, request, &(&now).into()).map(|selection| {
                let lease = Lease {
                    id: self.id.clone(),
                    pid,
                    started,
                    subscription: selection.name.clone(),
                    agent: self.agent.name().to_owned(),
                    namespace: standing.namespace.clone(),
                    level: standing.level,
                    speaker: None,
                    visits: Vec::new(),
                    refused: None,
                    record: None,
                    pane: env::var("TMUX_PANE").ok(),
                    cwd: standing.cwd.to_string_lossy().into_owned(),
                    since: now.timestamp(),
                };
                state.leases.push(lease.clone());
                (lease, selection)
            });
            Some((recovered, chosen))
        })?;
        let Some((recovered, chosen)) = reserved else {
            self.has_recovered.set(true);
            desk.recover();
            return self.reserve(request);
        };
        for name in &recovered {
            self.events.recovered(name);
        }
        Ok(chosen)
    }

    /// What would run, without choosing for real and without touching a secret.
    fn dry_run(&self) -> Result<()> {
        let desk = self.desk;
        let state = desk.store.read()?;
        let chosen = peek(&desk.config.pool, &state, &self.request, &desk.moment());
        let selection =
            chosen.map_err(|not_ready| report::not_ready(&not_ready, &self.request, &desk.now))?;
        let subscription = &desk.config.pool.subscriptions[&selection.name];
        let grant = self.grant(subscription, None);
        let takes_over = self.retries() > 0;
        let plan = self.plan(subscription, grant, Opening::AsTyped, None, takes_over);
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
