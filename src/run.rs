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
mod model;
mod program;
pub mod relay;
mod screen;
mod signals;
mod terminal;

use std::ffi::OsString;
use std::io::{self};
use std::thread;
use std::time::{Duration, Instant};

use crate::agent::{Captured, Exit, LaunchPlan};
use crate::error::{Failure, Status};

pub use ask::{Answer, ask};
use program::not_started;
pub use program::{Program, is_kage, is_shim};
pub use relay::Output;
pub use relay::Relay;
pub use screen::{can_draw, draw_each_second};
pub use signals::{WAKE, die_of, expect_children};

pub use model::{ChildExit, Handover, Input, Launched, Released, Rest, SessionObserver};
use signals::{Signals, Unblocked};

/// Where the agent's streams lead.
pub enum Streams<'a> {
    /// They are kage's own, with nothing in between.
    Inherited(Option<&'a mut dyn SessionObserver>),
    /// Output goes through the relay.
    Relayed(&'a mut Relay, Input),
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

/// The attempt is final: what was withheld goes out.
pub fn release(relay: &mut Relay) -> Released {
    let Ok(mut signals) = Signals::catch() else { return Released::Lost(io::ErrorKind::Other.into()) };
    let _unblocked = Unblocked::all();
    let released = relay.release(&mut signals);
    signals.keep();
    released
}

fn cannot(what: &str, why: &io::Error) -> Failure {
    Failure::new(Status::BeforeStart, format!("could not {what}: {why}"))
}

#[cfg(test)]
mod tests;
