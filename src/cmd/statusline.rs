//! `kage statusline`: what an agent shows of its subscription while it runs. The agent calls it at each redraw,
//! so it fails at nothing, waits for nobody for long, and nearly always only reads.

mod input;

use std::collections::BTreeMap;
use std::env;
use std::ffi::OsString;
use std::io::{self, Write as _};
use std::os::unix::process::CommandExt as _;
use std::path::PathBuf;
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::Result;

use super::Desk;
use crate::cli;
use crate::error;
use crate::files::Durability;
use crate::paths::Paths;
use crate::pool::{Lease, LeaseId, Name, Reading, State, Status};
use crate::process::Stat;
use crate::report::Segment;
use crate::run::Program;
use crate::secret::PASSPHRASE;

/// How long the agent's input is waited for.
const PATIENCE: Duration = Duration::from_millis(150);
/// How long another kage may keep the state from being written before this one lets it be.
const LOCK_PATIENCE: Duration = Duration::from_millis(30);
/// How many parents are looked at: no tree of processes is as deep.
const DEEPEST: u32 = 64;
/// Between kage's own part and that of the command behind it.
const BETWEEN: &str = " │ ";

pub(super) fn run(args: &cli::Statusline) {
    let drawn = draw().unwrap_or_else(|why| {
        error::show(&why);
        None
    });
    let program = args.command.first().map(|name| Program::find(name, &shims()));
    let behind = if matches!(program, Some(Ok(_))) { BETWEEN } else { "\n" };
    if let Some(drawn) = &drawn {
        print(&drawn.segment);
        print(behind);
        drawn.record();
    }
    match program {
        Some(Ok(program)) => {
            let why = become_command(&program, &args.command, drawn.as_ref());
            error::say(format_args!("could not run `{}`: {why}", program.path.display()));
            if drawn.is_some() {
                print("\n");
            }
        }
        Some(Err(why)) => error::say(why),
        None => {}
    }
}

/// Runs the command in the place of kage, so that its end and the signals for it are its own. It returns only
/// where that cannot be.
fn become_command(program: &Program, words: &[OsString], drawn: Option<&Drawn>) -> io::Error {
    let mut command = Command::new(&program.path);
    command.arg0(&program.name).args(&words[1..]).env_remove(PASSPHRASE);
    match drawn.map(|drawn| input::once_more(&drawn.input)) {
        Some(Ok(stdin)) => drop(command.stdin(stdin)),
        Some(Err(why)) => return why,
        None => {}
    }
    command.exec()
}

fn shims() -> PathBuf {
    Paths::from_environment().map(|paths| paths.shims).unwrap_or_default()
}

/// A reader that has gone away is no failure.
fn print(text: &str) {
    let mut out = io::stdout();
    let _ = out.write_all(text.as_bytes()).and_then(|()| out.flush());
}

/// kage's own part of the line, and what it was drawn from.
struct Drawn {
    segment: String,
    input: Vec<u8>,
    desk: Desk,
    lease: Lease,
    /// What the agent tells of the lease's subscription that is worth writing down.
    news: BTreeMap<String, Reading>,
}

/// `None` where no kage runs the agent: its input is left untouched then.
fn draw() -> Result<Option<Drawn>> {
    let Some((run, name)) = marks() else { return Ok(None) };
    let desk = Desk::open()?;
    let state = desk.store.read()?;
    let Some(lease) = state.held(&run, &name).filter(|lease| is_below(lease.pid)).cloned() else {
        return Ok(None);
    };
    let input = input::read(Instant::now() + PATIENCE);
    // A run that has moved on holds another subscription than this agent was started with.
    let agent = desk.config.agents.find(&lease.agent).filter(|_| lease.subscription == name);
    let glance = agent.and_then(|agent| agent.glance(&input));
    let told = glance.as_ref().map(|glance| glance.readings.clone()).unwrap_or_default();
    // Only of the conversation that this very lease is in: an agent below the agent may have another login.
    let is_proven = glance.is_some_and(|glance| lease.session() == Some(glance.session.as_str()));
    let now = desk.now.timestamp();
    let news = if is_proven { state.of(&lease.subscription).news(&told, now) } else { BTreeMap::new() };
    let segment = segment(&desk, &state, &lease.subscription, &told);
    Ok(Some(Drawn { segment, input, desk, lease, news }))
}

/// What `kage exec` marked its agent with.
fn marks() -> Option<(LeaseId, Name)> {
    let run = env::var("KAGE_RUN").ok()?;
    let name = env::var("KAGE_SUBSCRIPTION").ok()?.parse().ok()?;
    Some((LeaseId(run), name))
}

/// Whether the kage of a lease started this process, over however many others. The marks alone do not tell: a
/// tmux server that was started below kage hands them to all that ever runs in its panes. Where the system
/// does not tell the parent of a process, the marks must do.
fn is_below(pid: u32) -> bool {
    let Some(mut process) = Stat::of(std::process::id()) else { return true };
    for _ in 0..DEEPEST {
        let Ok(parent) = u32::try_from(process.parent) else { return false };
        if parent == pid {
            return true;
        }
        let Some(next) = Stat::of(parent) else { return false };
        process = next;
    }
    false
}

fn segment(desk: &Desk, state: &State, name: &Name, told: &BTreeMap<String, Reading>) -> String {
    let (pool, now) = (&desk.config.pool, desk.now.timestamp());
    let known = state.of(name);
    let subscription = pool.subscriptions.get(name);
    let segment = Segment {
        subscription: name,
        windows: &known.windows(told, now),
        status: subscription.map_or(Status::Active, |subscription| known.status(subscription, now)),
        near_limit: pool.near_limit,
        colour: env::var_os("NO_COLOR").is_none_or(|value| value.is_empty()),
    };
    segment.line(&desk.now)
}

impl Drawn {
    /// Keeps how full the windows are, for whoever chooses next. Where another kage holds the state just now
    /// it is let be: the next redraw tells the same.
    fn record(&self) {
        if self.news.is_empty() {
            return;
        }
        let Self { desk, lease, news, .. } = self;
        let now = desk.now.timestamp();
        let _ = desk.store.update_within(LOCK_PATIENCE, Durability::Process, |state| {
            let news = state.of(&lease.subscription).news(news, now);
            if !news.is_empty() && state.leases.contains(lease) {
                state.read_windows(&lease.subscription, &news, now);
            }
        });
    }
}
