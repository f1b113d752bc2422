//! Running an agent: starts it as planned, waits for it, and returns how it ended.
//!
//! The policy, before the code:
//! - The agent shares kage's streams and process group. There is no pty, no lock is held, and nothing is
//!   polled.
//! - A signal that a process sends to kage is forwarded. A ^C typed at the terminal has already reached the
//!   agent. kage itself survives these signals while the agent lives, so that it can book the attempt.
//! - When the terminal hangs up and kage leads the session, kage forwards the hangup, because the system
//!   sends it only to kage.
//! - When the agent stops under a shell, kage stops too. When the shell continues kage, kage continues the
//!   agent.
//! - If a signal ended the agent, kage restores the terminal's modes.
//! - kage ends as the agent ended: with the same status or the same signal.
//! - The hooks of a running agent wake kage with SIGURG, which a process ignores by default. kage then calls
//!   its `SessionObserver`.
//! - If another attempt may follow, the output goes through kage (`relay`): threads copy it, and the main
//!   thread waits for the agent and for signals as before.

mod ask;
mod child;
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
pub use signals::{WAKE, reraise, reset_sigchld};

pub use model::{ChildExit, Handover, Input, Launched, Released, Response, SessionObserver};
use signals::{Signals, Unblocked};

/// How the agent's streams are connected.
pub enum Streams<'a> {
    /// The agent inherits kage's own streams.
    Inherited(Option<&'a mut dyn SessionObserver>),
    /// The streams go through the relay.
    Relayed(&'a mut Relay, Input),
}

/// Runs a program as planned and waits until it ends. The error says why it could not be started.
pub fn run(
    program: &Program,
    plan: &LaunchPlan,
    handover: Option<Handover>,
    marks: &[(&str, OsString)],
    streams: Streams<'_>,
) -> Result<Launched, Failure> {
    let mut signals = Signals::catch().map_err(|why| could_not("watch for signals", &why))?;
    let before = terminal::SavedModes::save();
    match streams {
        Streams::Inherited(observer) => {
            let start = || child::spawn(program, plan, handover, marks, None);
            let ended = inherited(observer, before, &mut signals, start);
            signals.keep();
            ended.map_err(|why| not_started(program, &why))
        }
        Streams::Relayed(relay, input) => {
            let start = |child_streams| child::spawn(program, plan, handover, marks, Some(child_streams));
            let ended = relayed(relay, input, &mut signals, start);
            if let Ok(Launched::Ended(ended)) = &ended {
                before.restore_after(ended.exit, ended.interrupted);
            }
            signals.keep();
            ended.map_err(|why| match why {
                NotRun::Pipes(why) => could_not("set up the agent's streams", &why),
                NotRun::Program(why) => not_started(program, &why),
            })
        }
    }
}

/// Becomes a program as planned; no kage process remains. Returns only if that fails, with the reason.
pub fn replace(
    program: &Program,
    plan: &LaunchPlan,
    handover: Option<Handover>,
    marks: &[(&str, OsString)],
) -> Failure {
    not_started(program, &child::replace(program, plan, handover, marks))
}

/// Why the program was not run.
enum NotRun {
    Pipes(io::Error),
    Program(io::Error),
}

fn inherited(
    mut observer: Option<&mut dyn SessionObserver>,
    before: terminal::SavedModes,
    signals: &mut Signals,
    start: impl FnOnce() -> io::Result<child::Child>,
) -> io::Result<Launched> {
    // No agent is running yet, so a ^C typed until now is for kage.
    if let Err(signal) = signals.sleep(None, Some(Instant::now())) {
        return Ok(Launched::Signal(signal));
    }
    let child = start()?;
    let _unblocked = Unblocked::all();
    if let Some(observer) = &mut observer {
        observer.started();
    }
    let exit = child.wait(signals, observer, None);
    before.restore_after(exit, signals.interrupted());
    Ok(Launched::Ended(ChildExit { exit, interrupted: signals.interrupted(), captured: Captured::default() }))
}

fn relayed(
    relay: &mut Relay,
    input: Input,
    signals: &mut Signals,
    start: impl FnOnce(child::ChildStreams) -> io::Result<child::Child>,
) -> Result<Launched, NotRun> {
    // No agent is running now, so a signal since the last attempt is for kage.
    if let Err(signal) = signals.sleep(None, Some(Instant::now())) {
        return Ok(Launched::Signal(signal));
    }
    // The threads are started before the agent: if starting them failed later, the agent would already be
    // running, and kage must not kill it.
    let (child_streams, running) = relay.start(input).map_err(NotRun::Pipes)?;
    let started = start(child_streams);
    if started.is_ok() {
        relay.forget_last();
    }
    let _unblocked = Unblocked::all();
    let exit = started.map(|child| child.wait(signals, None, Some(running.must_end())));
    // A signal that arrived just as the agent ended counts as one that arrived while it ran. It is read here
    // so that it does not end the delivery of the agent's last output.
    let _ = signals.pending().count();
    let (captured, delivered) = relay.finish(running, signals);
    let exit = exit.map_err(NotRun::Program)?;
    // Without kage, a signal that ends the delivery would have ended the agent during its last write.
    let exit = delivered.err().map_or(exit, Exit::Signal);
    Ok(Launched::Ended(ChildExit { exit, interrupted: signals.interrupted(), captured }))
}

/// Sleeps between two attempts. The error is the number of a signal that ends the run. A ^Z stops kage, and a
/// signal that was ignored on entry remains ignored.
pub fn pause(duration: Duration) -> Result<(), i32> {
    let until = Instant::now().checked_add(duration);
    let Ok(mut signals) = Signals::catch() else {
        thread::sleep(duration);
        return Ok(());
    };
    let _unblocked = Unblocked::all();
    let slept = signals.sleep(None, until);
    signals.keep();
    slept.map(|_| ())
}

/// Delivers the withheld output: the attempt is final.
pub fn release(relay: &mut Relay) -> Released {
    let Ok(mut signals) = Signals::catch() else { return Released::Lost(io::ErrorKind::Other.into()) };
    let _unblocked = Unblocked::all();
    let released = relay.release(&mut signals);
    signals.keep();
    released
}

fn could_not(what: &str, why: &io::Error) -> Failure {
    Failure::new(Status::BeforeStart, format!("could not {what}: {why}"))
}

#[cfg(test)]
mod tests;
