//! `kage hook`: receives what a running agent reports. The agent calls it, and must not see its failures.

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

/// The time limit of a hook, because the agent waits for it. Including the start of the process, a hook takes
/// at most a fifth of a second.
const TIME_LIMIT: Duration = Duration::from_millis(160);
/// How long the agent may take to write its transcript. The rest of the time is for the state.
const TRANSCRIPT_LIMIT: Duration = Duration::from_millis(80);
const POLL_INTERVAL: Duration = Duration::from_millis(5);
/// The maximum age of an error when it is reported: the agent reports it immediately.
const MAX_ERROR_AGE: SignedDuration = SignedDuration::from_secs(10);
/// The log is deleted and started again when it is longer than this, in bytes.
const MAX_LOG_LENGTH: u64 = 256 * 1024;

/// The process id of the kage that started the agent, from its lease; 0 if the lease has not been read.
static TO_WAKE: AtomicI32 = AtomicI32::new(0);

/// Handles one report of the agent and returns the exit status, always 0. Failures are written to the log.
pub(crate) fn handle_hook() -> i32 {
    let (done, handled) = mpsc::channel();
    // The input may never end, and the state may be locked: the agent must not wait for that.
    thread::spawn(move || done.send(handle()));
    let problem = match handled.recv_timeout(TIME_LIMIT) {
        Ok(Ok(())) => return 0,
        Ok(Err(why)) => format!("{why:#}"),
        Err(_) => format!("gave up after {} ms", TIME_LIMIT.as_millis()),
    };
    // The kage that started the agent finishes what was not done here.
    let _ = wake(kage_to_wake());
    let _ = log(&problem);
    0
}

/// Returns the process id of the kage to wake, from the lease; 0 if it is not known. If the lease was not
/// read (the machine is too busy) or is not in the state, the process id comes from the variable that kage
/// set for its agent.
fn kage_to_wake() -> i32 {
    let known = TO_WAKE.load(Ordering::SeqCst);
    if known != 0 {
        return known;
    }
    let marked = env::var("KAGE_RUN").ok().and_then(|run| store::marked_holder(&LeaseId(run)));
    marked.and_then(|pid| i32::try_from(pid).ok()).unwrap_or(0)
}

fn handle() -> Result<()> {
    let mut input = Vec::new();
    io::stdin().lock().read_to_end(&mut input).context("could not read the agent's report")?;
    // An agent that was started without kage may use the settings of one that was started with kage.
    let Some(run) = env::var("KAGE_RUN").ok().map(LeaseId) else { return Ok(()) };
    let subscription = env::var("KAGE_SUBSCRIPTION")?.parse::<Name>();
    let subscription = subscription.map_err(|why| anyhow!("KAGE_SUBSCRIPTION: {why}"))?;
    let state = FileStore::new(&Paths::from_environment()?.state).view()?;
    let Some(lease) = state.held(&run, &subscription) else { bail!("there is no run {}", run.0) };
    TO_WAKE.store(i32::try_from(lease.pid).unwrap_or(0), Ordering::SeqCst);
    let context = Context::open(Voice::silent())?;
    let agent = context.config.agent(&lease.agent)?;
    let hooked_pid = agent.hooked_pid_variable().and_then(|name| env::var(name).ok()?.parse().ok());
    // A session that the agent itself started calls the same hooks. As long as the first process that called
    // a hook is alive, it is the one that kage started.
    if lease.hooked_pid.is_some_and(|known| Some(known) != hooked_pid && Stat::of(known).is_some()) {
        return Ok(());
    }
    match agent.parse_hook(&input) {
        Some(event) => HookHandler { context: &context, agent, lease, hooked_pid }.act(event),
        None => Ok(()),
    }
}

/// Acts on the report of a hook.
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
            // Most prompts change nothing, and then nothing is written.
            HookEvent::Prompted { session } if self.is_known(&session) && self.lease.refused.is_none() => {
                Ok(())
            }
            HookEvent::Prompted { session } => self.note(SessionEvent::Prompted(&session)),
            // A helper of the agent has its own conversation, whose errors do not count.
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
        // kage is woken only after a refusal: the event may show that the user has continued.
        if self.lease.refused.is_some() { self.wake() } else { Ok(()) }
    }

    /// Books the refusal immediately, for all other runs, and wakes the kage that started the agent, which
    /// does the rest.
    fn failed(&self, session: &str, record: &Path) -> Result<()> {
        // If the lease has no conversation, the hooks for the start of this conversation and for its prompt
        // failed. The conversation began when the previous one ended.
        if self.lease.session().is_none() {
            let since = self.lease.visits.last().and_then(|visit| visit.until).unwrap_or(self.lease.since);
            self.note_at(since, SessionEvent::Entered(session))?;
        }
        let since = Timestamp::now() - MAX_ERROR_AGE;
        let deadline = Instant::now() + TRANSCRIPT_LIMIT;
        loop {
            let now = self.context.now();
            let evidence = self.agent.evidence_at_end(record, since, &now).final_errors();
            if !evidence.errors.is_empty() {
                let outcome = self.context.judge(self.agent, Exit::Code(0), &evidence, None, &now);
                return self.refused(&outcome);
            }
            if Instant::now() >= deadline {
                break;
            }
            thread::sleep(POLL_INTERVAL);
        }
        // The error may be written a little later. The kage that started the agent has more time to search.
        self.wake()
    }

    fn refused(&self, outcome: &Outcome) -> Result<()> {
        if !outcome.verdict.concerns_subscription() {
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

/// Appends one line to the log in the state directory.
fn log(problem: &str) -> Result<()> {
    let dir = Paths::from_environment()?.state;
    let file = dir.join("hook.log");
    if fs::metadata(&file).is_ok_and(|known| known.len() > MAX_LOG_LENGTH) {
        fs::remove_file(&file)?;
    }
    let mut file = files::private().create(true).append(true).open(file)?;
    let run = env::var("KAGE_RUN").unwrap_or_default();
    let line = format!("{} {}: {}\n", Timestamp::now(), one_line(&run), one_line(problem));
    Ok(file.write_all(line.as_bytes())?)
}
