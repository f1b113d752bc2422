//! The relay: an agent's streams go through kage, so that a failed attempt can be taken back and its input
//! given again. What stands at the end is what the caller sees.
//!
//! One thread copies the output, one the errors, one the input, each with blocking writes: a slow reader
//! slows the agent, as it would without kage, and never the thread that waits for signals.

pub mod hold;
mod pump;
mod spool;
mod stdin;

use std::io::{self, IsTerminal as _, PipeReader};
use std::os::fd::AsFd;
use std::process::Stdio;
use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use super::child::Wires;
use super::signals::{Signals, survive_the_file_limit};
use super::{Input, Released};
use crate::agent::{Captured, Line};
use hold::{Hold, Lines, Whole};
use pump::{End, EndTeller, Tap};
use stdin::Source;

pub(super) use pump::Stream;

/// How long the delivery may take after a signal: a little more than the grace for grandchildren.
const LAST_MOMENT: Duration = Duration::from_secs(3);

/// How the agent writes what it has to say.
pub enum Output {
    /// One piece at the end: text, a JSON object.
    Whole,
    /// JSON lines as they happen, each with what it is. The line comes without its end.
    Lines(fn(&[u8]) -> Line),
}

/// The streams of a run, through all its attempts.
pub struct Relay {
    /// While an attempt runs its thread has it. One that is stuck in a write at kage's end keeps it.
    rules: Option<Box<dyn Hold>>,
    hold: bool,
    input: Source,
    output: Stream,
    errors: Stream,
    relay_stderr: bool,
    /// What the last attempt would have shown: should the next not start, that one stands.
    last: Option<Vec<u8>>,
    /// Why output could not be written, apart from a reader who went away.
    failed: Option<io::Error>,
    reader_is_gone: bool,
}

/// The threads of an attempt.
pub(super) struct Running {
    teller: EndTeller,
    /// At its end when the threads are.
    done: PipeReader,
    output: JoinHandle<(Box<dyn Hold>, io::Result<()>)>,
    errors: Option<JoinHandle<Vec<u8>>>,
}

impl Relay {
    /// `relay_stderr` says to relay standard error also when it is a terminal, which an agent may otherwise
    /// use as one.
    pub fn new(output: Output, relay_stderr: bool) -> Self {
        let streams: [Stream; 3] = [Arc::new(io::stdin()), Arc::new(io::stdout()), Arc::new(io::stderr())];
        Self::between(streams, output, relay_stderr)
    }

    pub(super) fn between([input, outward, errors]: [Stream; 3], output: Output, relay_stderr: bool) -> Self {
        survive_the_file_limit();
        let rules: Box<dyn Hold> = match output {
            Output::Whole => Box::new(Whole::new()),
            Output::Lines(classify) => Box::new(Lines::new(classify)),
        };
        Self {
            rules: Some(rules),
            hold: true,
            input: Source::new(input),
            output: outward,
            errors,
            relay_stderr,
            last: None,
            failed: None,
            reader_is_gone: false,
        }
    }

    /// Whether what the next attempt says may be taken back later. Without, everything passes at once (and
    /// is looked at all the same), and no input is kept for an attempt after it.
    pub fn hold(&mut self, hold: bool) {
        self.hold = hold;
    }

    /// Whether bytes of the present attempt have gone out that another attempt would contradict: output in
    /// one piece that grew beyond 1 MiB, more withheld lines than 1 MiB, or anything without hold. Lines of
    /// progress are the conversation's, which another attempt may go on with.
    pub fn is_committed(&self) -> bool {
        self.rules.as_ref().is_none_or(|rules| rules.is_committed())
    }

    /// Whether an attempt with `Input::FromStart` would get all that the attempts before it got.
    pub fn can_replay(&self) -> bool {
        self.input.can_replay()
    }

    /// Whether nobody reads the output any more, so that another attempt would be for nobody.
    pub fn reader_is_gone(&self) -> bool {
        self.reader_is_gone
    }

    /// The attempt is final: what was withheld goes out. Lost is the first of the run's writes that failed, unless
    /// it failed since nobody reads any more.
    pub(super) fn release(&mut self, signals: &mut Signals) -> Released {
        let mut bytes = Vec::new();
        match (self.last.take(), &mut self.rules) {
            (Some(last), _) => bytes = last,
            (None, Some(rules)) => drop(rules.release(&mut |more| {
                bytes.extend_from_slice(more);
                Ok(())
            })),
            (None, None) => {}
        }
        match self.deliver(bytes, signals) {
            Released::Signal(signal) => return Released::Signal(signal),
            Released::Written => {}
            Released::Lost(why) => self.note(Err(why)),
        }
        self.failed.take().map_or(Released::Written, Released::Lost)
    }

    /// Writes in a thread of its own, so that whoever reads slowly keeps no signal from kage.
    fn deliver(&self, bytes: Vec<u8>, signals: &mut Signals) -> Released {
        if bytes.is_empty() {
            return Released::Written;
        }
        let to = Arc::clone(&self.output);
        let started = io::pipe().and_then(|(done, undone)| {
            let writer = thread::Builder::new().spawn(move || {
                let _undone = undone;
                pump::write_all(to.as_fd(), &bytes)
            });
            Ok((done, writer?))
        });
        let (done, writer) = match started {
            Ok(started) => started,
            Err(why) => return Released::Lost(why),
        };
        if let Err(signal) = signals.rest(Some(done.as_fd()), None) {
            return Released::Signal(signal);
        }
        let written = writer.join().unwrap_or_else(|_| Err(io::ErrorKind::Other.into()));
        written.map_or_else(Released::Lost, |()| Released::Written)
    }

    /// Another attempt follows: what was withheld is forgotten when that one has started.
    pub fn discard(&mut self) {
        if let Some(rules) = &mut self.rules {
            self.last = Some(rules.withheld());
            rules.discard();
        }
    }

    pub(super) fn forget_the_last(&mut self) {
        self.last = None;
    }

    fn note(&mut self, written: io::Result<()>) {
        match written {
            Ok(()) => {}
            Err(gone) if gone.kind() == io::ErrorKind::BrokenPipe => self.reader_is_gone = true,
            Err(why) => drop(self.failed.get_or_insert(why)),
        }
    }

    /// Lays the pipes of an attempt and starts the threads on kage's side of them.
    pub(super) fn start(&mut self, input: Input) -> io::Result<(Wires, Running)> {
        let (end, teller) = End::new()?;
        let (done, undone) = io::pipe()?;
        let stdin = match input {
            Input::FromStart => self.input.connect(&end, self.hold)?,
            Input::Nothing => Stdio::null(),
        };
        let is_inherited = self.errors.as_fd().is_terminal() && !self.relay_stderr;
        let (stderr, errors) = if is_inherited {
            (self.errors.as_fd().try_clone_to_owned()?.into(), None)
        } else {
            let (tap, agent) = tap(&end)?;
            let (to, undone) = (Arc::clone(&self.errors), undone.try_clone()?);
            let errors = thread::Builder::new().spawn(move || {
                let _undone = undone;
                pump::errors(tap, &to)
            })?;
            (agent, Some(errors))
        };
        let (tap, stdout) = tap(&end)?;
        let mut rules = self.rules.take().ok_or(io::ErrorKind::ResourceBusy)?;
        rules.begin(self.hold);
        let to = Arc::clone(&self.output);
        let output = thread::Builder::new().spawn(move || {
            let _undone = undone;
            let written = pump::output(tap, rules.as_mut(), &to);
            (rules, written)
        })?;
        Ok((Wires { stdin, stdout, stderr }, Running { teller, done, output, errors }))
    }

    /// The agent has ended: waits until its last output is delivered. After a signal, which may have come
    /// before, that has a moment left: an answer that is there is not lost for a grandchild's sake, nor does a
    /// reader who takes nothing keep kage. Then a thread is stuck in its write, and is left there.
    pub(super) fn finish(&mut self, running: Running, signals: &mut Signals) -> (Captured, Result<(), i32>) {
        running.teller.tell();
        let done = Some(running.done.as_fd());
        let soon = || Some(Instant::now() + LAST_MOMENT);
        let mut by_signal = Ok(());
        let is_done = match signals.rest(done, if signals.interrupted() { soon() } else { None }) {
            Ok(is_done) => is_done,
            Err(signal) => {
                by_signal = Err(signal);
                signals.rest(done, soon()).unwrap_or(false)
            }
        };
        if !is_done {
            return (Captured::default(), by_signal);
        }
        let mut captured = Captured::default();
        if let Ok((mut rules, written)) = running.output.join() {
            captured = rules.captured();
            self.rules = Some(rules);
            self.note(written);
        }
        captured.stderr = running.errors.and_then(|errors| errors.join().ok()).unwrap_or_default();
        (captured, Ok(()))
    }
}

/// A pipe for the agent to write to.
fn tap(end: &Arc<End>) -> io::Result<(Tap, Stdio)> {
    let (reader, writer) = io::pipe()?;
    // A larger pipe means fewer wakings. The system may refuse, and it works all the same.
    #[cfg(target_os = "linux")]
    let _ = rustix::pipe::fcntl_setpipe_size(&writer, hold::MOST);
    Ok((Tap::new(reader, end)?, writer.into()))
}

#[cfg(test)]
mod tests;
