//! `kage hook`: what a running agent reports. The agent calls it; what goes wrong here is no concern of the agent.

use std::env;
use std::fs;
use std::io::{self, Read as _, Write as _};
use std::path::Path;
use std::sync::atomic::{AtomicI32, Ordering};
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, anyhow, bail};
use jiff::{SignedDuration, Timestamp};
use rustix::process::{Pid, kill_process};

use super::context::Context;
use super::events::Events;
use super::voice::Voice;
use crate::agent::{Agent, Exit, HookEvent};
use crate::files;
use crate::paths::Paths;
use crate::pool::{Lease, LeaseId, Name, Observation, Outcome, SessionEvent};
use crate::process::Stat;
use crate::run::WAKE;
use crate::store::{self, FileStore, Store as _};
use crate::text::one_line;

/// The agent waits for its hooks, for a fifth of a second with the start of the process.
const PATIENCE: Duration = Duration::from_millis(160);
/// How long the record may take to be written; the rest of the patience is for the state.
const UNTIL_RECORDED: Duration = Duration::from_millis(80);
const LOOK: Duration = Duration::from_millis(5);
/// An error is as old as this at most when it is told of: the agent tells at once.
const OLDEST_ERROR: SignedDuration = SignedDuration::from_secs(10);
/// The log starts anew when it has grown to this many bytes.
const LONGEST_LOG: u64 = 256 * 1024;

/// The kage beside the agent, as its lease says; 0 where that has not been read.
static TO_WAKE: AtomicI32 = AtomicI32::new(0);

/// Never fails, and takes no longer than a moment; what went wrong is in the log.
pub(crate) fn handle_hook() -> i32 {
    let (done, handled) = mpsc::channel();
    // The input may never end, and the state may be locked: the agent must not wait for that.
    thread::spawn(move || done.send(handle()));
    let problem = match handled.recv_timeout(PATIENCE) {
        Ok(Ok(())) => return 0,
        Ok(Err(why)) => format!("{why:#}"),
        Err(_) => format!("gave up after {} ms", PATIENCE.as_millis()),
    };
    // What was not done here is kage's to do.
    let _ = wake(kage_beside());
    let _ = log(&problem);
    0
}

/// The kage to wake: the one of the lease. Where the lease was not read (the machine is too busy) or is not in the
/// state, it is the one of the mark that kage gave its agent.
fn kage_beside() -> i32 {
    let known = TO_WAKE.load(Ordering::SeqCst);
    if known != 0 {
        return known;
    }
    let marked = env::var("KAGE_RUN").ok().and_then(|run| store::marked_holder(&LeaseId(run)));
    marked.and_then(|pid| i32::try_from(pid).ok()).unwrap_or(0)
}

fn handle() -> Result<()> {
    let mut input = Vec::new();
    io::stdin().lock().read_to_end(&mut input).context("could not read what was told")?;
    // An agent that was started without kage has settings of one that was.
    let Some(run) = env::var("KAGE_RUN").ok().map(LeaseId) else { return Ok(()) };
    let subscription = env::var("KAGE_SUBSCRIPTION")?.parse::<Name>();
    let subscription = subscription.map_err(|why| anyhow!("KAGE_SUBSCRIPTION: {why}"))?;
    let state = FileStore::new(&Paths::from_environment()?.state).view()?;
    let Some(lease) = state.held(&run, &subscription) else { bail!("there is no run {}", run.0) };
    TO_WAKE.store(i32::try_from(lease.pid).unwrap_or(0), Ordering::SeqCst);
    let context = Context::open(Voice::silent())?;
    let agent = context.config.agent(&lease.agent)?;
    let hooked_pid = agent.hooked_pid_variable().and_then(|name| env::var(name).ok()?.parse().ok());
    // A session that the agent started beside itself has the same hooks; while the first one lives, it is the
    // one that kage runs.
    if lease.hooked_pid.is_some_and(|known| Some(known) != hooked_pid && Stat::of(known).is_some()) {
        return Ok(());
    }
    match agent.parse_hook(&input) {
        Some(event) => HookHandler { context: &context, agent, lease, hooked_pid }.act(event),
        None => Ok(()),
    }
}

/// Acts upon what a hook reports.
struct HookHandler<'a> {
    context: &'a Context,
    agent: &'static dyn Agent,
    lease: &'a Lease,
    hooked_pid: Option<u32>,
}

impl HookHandler<'_> {
    fn act(&self, event: HookEvent) -> Result<()> {
        match event {
            HookEvent::Began { session } => self.note(SessionEvent::Entered(&session)),
            HookEvent::Ended { session } => self.note(SessionEvent::Left(&session)),
            // Nearly every prompt changes nothing, and then nothing is written.
            HookEvent::Prompted { session } if self.is_known(&session) && self.lease.refused.is_none() => {
                Ok(())
            }
            HookEvent::Prompted { session } => self.note(SessionEvent::Prompted(&session)),
            // A helper of the agent's has a conversation of its own.
            HookEvent::Failed { session, .. }
                if self.lease.session().is_some() && !self.is_known(&session) =>
            {
                Ok(())
            }
            HookEvent::Failed { session, record } => self.failed(&session, &record),
        }
    }

    fn is_known(&self, session: &str) -> bool {
        self.lease.session() == Some(session)
    }

    fn note(&self, event: SessionEvent<'_>) -> Result<()> {
        self.note_at(Timestamp::now(), event)
    }

    fn note_at(&self, at: Timestamp, event: SessionEvent<'_>) -> Result<()> {
        let hooked_pid = self.hooked_pid;
        self.context.observe(self.lease, Observation::Session { event, at, hooked_pid })?;
        // Only a refusal can be overtaken by something.
        if self.lease.refused.is_some() { self.wake() } else { Ok(()) }
    }

    /// Books the refusal at once, for every other run; the rest is kage's, which sleeps beside the agent.
    fn failed(&self, session: &str, record: &Path) -> Result<()> {
        // The hooks of its beginning and of its prompt gave up. It began when the conversation before it ended.
        if self.lease.session().is_none() {
            let since = self.lease.visits.last().and_then(|visit| visit.until).unwrap_or(self.lease.since);
            self.note_at(since, SessionEvent::Entered(session))?;
        }
        let since = Timestamp::now() - OLDEST_ERROR;
        let deadline = Instant::now() + UNTIL_RECORDED;
        loop {
            let now = self.context.now();
            let evidence = self.agent.evidence_at_end(record, since, &now).final_errors();
            if !evidence.errors.is_empty() {
                return self.refused(&self.context.judge(self.agent, Exit::Code(0), &evidence, &now));
            }
            if Instant::now() >= deadline {
                break;
            }
            thread::sleep(LOOK);
        }
        // It may stand there a little later: kage has more time to look.
        self.wake()
    }

    fn refused(&self, outcome: &Outcome) -> Result<()> {
        if !outcome.verdict.is_of_the_account() {
            return Ok(());
        }
        self.context.refuse(self.lease, outcome, &Events::new(&self.context.config))?;
        self.wake()
    }

    fn wake(&self) -> Result<()> {
        wake(i32::try_from(self.lease.pid).unwrap_or(0))
    }
}

fn wake(pid: i32) -> Result<()> {
    Pid::from_raw(pid).map_or(Ok(()), |pid| kill_process(pid, WAKE)).context("could not wake kage")
}

/// One line a problem, in the state directory.
fn log(problem: &str) -> Result<()> {
    let dir = Paths::from_environment()?.state;
    let file = dir.join("hook.log");
    if fs::metadata(&file).is_ok_and(|known| known.len() > LONGEST_LOG) {
        fs::remove_file(&file)?;
    }
    let mut file = files::private().create(true).append(true).open(file)?;
    let run = env::var("KAGE_RUN").unwrap_or_default();
    let line = format!("{} {}: {}\n", Timestamp::now(), one_line(&run), one_line(problem));
    Ok(file.write_all(line.as_bytes())?)
}
