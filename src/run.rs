//! Running an agent: start it with what the plan says, wait, and tell how it ended.
//!
//! The policy, before the code:
//! - The agent shares kage's streams and its process group; no pty, nothing locked, nothing polled.
//! - A signal that a process sends to kage is passed on; a ^C typed at the terminal has reached the agent
//!   already. kage itself dies of none while the agent lives, so that it can keep the books.
//! - A terminal that goes away is told by kage where kage leads the session: the system tells nobody else.
//! - When the agent stops under a shell, kage stops with it, and wakes it again.
//! - The terminal's modes are what they were before an agent that a signal ended.
//! - The agent's end is kage's: the same status, or the same signal.
//! - What a running agent tells (through its hooks, as SIGURG, which would mean nothing to a process that does
//!   not expect it) wakes its `SessionObserver`; kage never looks by itself.
//! - Where an attempt may be followed by another, its output goes through kage (`relay`): threads copy, and
//!   this one waits for the agent and its signals as before.

mod ask;
mod child;
mod footprint;
mod jobs;
mod program;
pub mod relay;
mod screen;
mod signals;
mod terminal;

use std::ffi::OsString;
use std::io::{self, ErrorKind};
use std::thread;
use std::time::{Duration, Instant};

use rustix::event::Timespec;

use crate::agent::{Captured, Exit, LaunchPlan, SecretKind};
use crate::error::{Failure, Status};
use crate::pool::Delivery;
use crate::secret::Secret;
use crate::text::quoted_path;

pub use ask::{Answer, ask};
pub use program::{Program, is_kage, is_shim};
pub use relay::Output;
pub use relay::Relay;
pub use screen::{can_draw, draw_each_second};
pub use signals::{WAKE, die_of, expect_children};

use signals::{Signals, Unblocked};

/// The secret of the run, and how it goes over.
pub struct Handover {
    pub secret: Secret,
    pub kind: &'static SecretKind,
    pub deliver: Delivery,
}

/// Where the agent's streams lead.
pub enum Streams<'a> {
    /// They are kage's own, with nothing in between.
    Inherited(Option<&'a mut dyn SessionObserver>),
    /// Output goes through the relay.
    Relayed(&'a mut Relay, Input),
}

/// Is told what a running agent reports, and may end it.
pub trait SessionObserver {
    /// The agent has been started.
    fn started(&mut self);

    /// kage was woken, whatever for: a process that was started beside the agent may have ended too.
    fn reap(&mut self);

    /// One of its hooks has woken kage, or it is the moment that was asked for.
    fn look(&mut self) -> Rest;
}

/// Until when kage sleeps beside its agent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rest {
    /// Until something happens.
    Sleep,
    Until(Instant),
    /// The agent is told to end, by a SIGTERM; and until it has, or until the moment where it takes its time.
    Terminate(Instant),
}

/// What the agent reads on standard input.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Input {
    /// kage's own, from where it stood when the run began.
    FromStart,
    /// Nothing: `/dev/null`.
    Nothing,
}

/// What became of a start.
#[derive(Debug)]
pub enum Launched {
    Ended(ChildExit),
    /// This signal came before the agent could be started.
    Signal(i32),
}

/// How the agent's process ended.
#[derive(Debug)]
pub struct ChildExit {
    pub exit: Exit,
    /// A HUP, INT, QUIT or TERM came to kage while the agent ran, or while its last output was on its way.
    pub interrupted: bool,
    pub captured: Captured,
}

/// Runs a program as planned and waits for its end. The error is why it could not be started.
pub fn run(
    program: &Program,
    plan: &LaunchPlan,
    handover: Option<Handover>,
    marks: &[(&str, OsString)],
    streams: Streams<'_>,
) -> Result<Launched, Failure> {
    let mut signals = Signals::catch().map_err(|why| cannot("watch for signals", &why))?;
    let before = terminal::Before::save();
    match streams {
        Streams::Inherited(observer) => {
            let start = || child::spawn(program, plan, handover, marks, None);
            let ended = inherited(observer, before, &mut signals, start);
            signals.keep();
            ended.map_err(|why| not_started(program, &why))
        }
        Streams::Relayed(relay, input) => {
            let start = |wires| child::spawn(program, plan, handover, marks, Some(wires));
            let ended = relayed(relay, input, &mut signals, start);
            if let Ok(Launched::Ended(ended)) = &ended {
                before.restore_after(ended.exit, ended.interrupted);
            }
            signals.keep();
            ended.map_err(|why| match why {
                NotRun::Pipes(why) => cannot("lay the agent's streams", &why),
                NotRun::Program(why) => not_started(program, &why),
            })
        }
    }
}

/// Becomes a program as planned: nothing of kage is left beside it. The answer is why it could not.
pub fn replace(
    program: &Program,
    plan: &LaunchPlan,
    handover: Option<Handover>,
    marks: &[(&str, OsString)],
) -> Failure {
    not_started(program, &child::replace(program, plan, handover, marks))
}

/// Why there was no attempt.
enum NotRun {
    Pipes(io::Error),
    Program(io::Error),
}

fn inherited(
    mut observer: Option<&mut dyn SessionObserver>,
    before: terminal::Before,
    signals: &mut Signals,
    start: impl FnOnce() -> io::Result<child::Child>,
) -> io::Result<Launched> {
    // A ^C typed until now has reached no agent: it is for kage.
    if let Err(signal) = signals.rest(None, Some(Instant::now())) {
        return Ok(Launched::Signal(signal));
    }
    let child = start()?;
    let _unblocked = Unblocked::all();
    if let Some(observer) = &mut observer {
        observer.started();
    }
    let exit = child.wait(signals, observer);
    before.restore_after(exit, signals.interrupted());
    Ok(Launched::Ended(ChildExit { exit, interrupted: signals.interrupted(), captured: Captured::default() }))
}

fn relayed(
    relay: &mut Relay,
    input: Input,
    signals: &mut Signals,
    start: impl FnOnce(child::Wires) -> io::Result<child::Child>,
) -> Result<Launched, NotRun> {
    // One that came after the last attempt is for kage: a ^C typed then has reached no agent.
    if let Err(signal) = signals.rest(None, Some(Instant::now())) {
        return Ok(Launched::Signal(signal));
    }
    // The threads come first: were they refused, an agent would run already, and must not be killed.
    let (wires, running) = relay.start(input).map_err(NotRun::Pipes)?;
    let started = start(wires);
    if started.is_ok() {
        relay.forget_the_last();
    }
    let _unblocked = Unblocked::all();
    let exit = started.map(|child| child.wait(signals, None));
    // What came together with the agent's end came while it ran, and takes nothing from its last words.
    let _ = signals.pending().count();
    let (captured, delivered) = relay.finish(running, signals);
    let exit = exit.map_err(NotRun::Program)?;
    // A signal that ends the delivery would, without kage, have ended the agent in its last write.
    let exit = delivered.err().map_or(exit, Exit::Signal);
    Ok(Launched::Ended(ChildExit { exit, interrupted: signals.interrupted(), captured }))
}

/// Sleeps, unless a signal comes that is meant to end the run: then its number is the error. For the time
/// between two attempts, in which ^Z stops kage and a signal that was ignored on entry stays ignored.
pub fn pause(duration: Duration) -> Result<(), i32> {
    let until = Instant::now().checked_add(duration);
    let Ok(mut signals) = Signals::catch() else {
        thread::sleep(duration);
        return Ok(());
    };
    let _unblocked = Unblocked::all();
    let rested = signals.rest(None, until);
    signals.keep();
    rested.map(|_| ())
}

/// What became of withheld output.
#[derive(Debug)]
pub enum Released {
    Written,
    /// It could not be written.
    Lost(io::Error),
    /// This signal ended it, whatever its reader does.
    Signal(i32),
}

/// The attempt is final: what was withheld goes out.
pub fn release(relay: &mut Relay) -> Released {
    let Ok(mut signals) = Signals::catch() else { return Released::Lost(io::ErrorKind::Other.into()) };
    let _unblocked = Unblocked::all();
    let released = relay.release(&mut signals);
    signals.keep();
    released
}

/// How long it is until a moment, as `poll` wants it.
fn time_left(until: Instant) -> Timespec {
    let left = until.saturating_duration_since(Instant::now());
    Timespec::try_from(left).unwrap_or(Timespec { tv_sec: i64::from(i32::MAX), tv_nsec: 0 })
}

fn cannot(what: &str, why: &io::Error) -> Failure {
    Failure::new(Status::BeforeStart, format!("could not {what}: {why}"))
}

fn not_started(program: &Program, why: &io::Error) -> Failure {
    let path = program.path.display();
    let word = quoted_path(&program.path);
    match why.kind() {
        // The file is there, since it was found: its interpreter is not.
        ErrorKind::NotFound => {
            Failure::new(Status::NotFound, format!("could not start {path}: its interpreter is missing"))
                .hint(format!("head -n 1 {word}"))
        }
        ErrorKind::ArgumentListTooLong => Failure::new(
            Status::BeforeStart,
            format!("could not start {path}: too many or too long arguments"),
        )
        .hint("give a long prompt on standard input"),
        _ => Failure::new(Status::CannotExecute, format!("cannot execute {path}: {why}"))
            .hint(format!("file {word}; ls -l {word}")),
    }
}

#[cfg(test)]
mod tests;
