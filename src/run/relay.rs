//! The relay: passes an agent's streams through kage, so that the output of a failed attempt can be discarded
//! and its input replayed. The caller sees only the output of the final attempt.
//!
//! Three threads copy standard output, standard error and standard input, each with blocking writes. A slow
//! reader slows the agent, as it would without kage, but never the thread that waits for signals.

pub mod hold;
mod pump;
mod spool;
mod stdin;

use std::io::{self, IsTerminal as _, PipeReader};
use std::os::fd::AsFd;
use std::process::Stdio;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use super::child::ChildStreams;
use super::signals::{Signals, survive_file_limit};
use super::{Input, Released};
use crate::agent::{Captured, Line};
use hold::{Hold, Lines, Whole};
use pump::{AgentEnd, EndNotifier, LineFinder, OutputPipe};
use stdin::Source;

pub(super) use pump::Stream;

/// How long the delivery may take after a signal: a little more than the grace period for the agent's
/// children.
const DELIVERY_LIMIT: Duration = Duration::from_secs(3);

/// The form of the agent's output.
pub enum Output {
    /// One piece at the end: text or a JSON object.
    Whole,
    /// JSON lines, written as they happen. The function classifies a line, which it gets without its newline.
    Lines(fn(&[u8]) -> Line),
}

/// The streams of a run, through all its attempts.
pub struct Relay {
    /// The rules for the output. While an attempt runs, its thread owns them. If a thread is stuck in a
    /// write when kage ends, it keeps them.
    rules: Option<Box<dyn Hold>>,
    hold: bool,
    input: Source,
    output: Stream,
    errors: Stream,
    relay_stderr: bool,
    /// Recognizes a line of standard error after which the agent is ended.
    ends: Option<fn(&[u8]) -> bool>,
    /// The withheld output of the previous attempt: if the next one does not start, that attempt is final.
    last: Option<Vec<u8>>,
    /// Why output could not be written, unless the reader is gone.
    failed: Option<io::Error>,
    reader_is_gone: bool,
}

/// The threads of an attempt.
pub(super) struct Running {
    notifier: EndNotifier,
    /// Reaches its end when the threads have ended.
    done: PipeReader,
    output: JoinHandle<(Box<dyn Hold>, io::Result<()>)>,
    errors: Option<JoinHandle<Vec<u8>>>,
    must_end: Arc<AtomicBool>,
}

impl Running {
    /// Becomes true when standard error has a line that `ends` recognizes.
    pub(super) fn must_end(&self) -> &AtomicBool {
        &self.must_end
    }
}

impl Relay {
    /// Creates a relay for kage's own streams. `relay_stderr`: whether standard error is relayed even if it
    /// is a terminal. Otherwise the agent gets the terminal itself.
    pub fn new(output: Output, relay_stderr: bool) -> Self {
        let streams: [Stream; 3] = [Arc::new(io::stdin()), Arc::new(io::stdout()), Arc::new(io::stderr())];
        Self::with_streams(streams, output, relay_stderr)
    }

    pub(super) fn with_streams(
        [input, outward, errors]: [Stream; 3],
        output: Output,
        relay_stderr: bool,
    ) -> Self {
        survive_file_limit();
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
            ends: None,
            last: None,
            failed: None,
            reader_is_gone: false,
        }
    }

    /// Sets whether the output of the next attempt may be discarded later. If not, all output passes
    /// immediately (and is still captured), and no input is kept for another attempt.
    pub fn set_hold(&mut self, hold: bool) {
        self.hold = hold;
    }

    /// Sets after which line of standard error the agent is ended.
    pub fn end_after(&mut self, ends: Option<fn(&[u8]) -> bool>) {
        self.ends = ends;
    }

    /// Whether this attempt has delivered output that another attempt would contradict: output in one piece
    /// that grew beyond 1 MiB, more than 1 MiB of withheld lines, or any output without `hold`. Lines of
    /// progress do not count: they belong to the conversation, which another attempt may continue.
    pub fn is_committed(&self) -> bool {
        self.rules.as_ref().is_none_or(|rules| rules.is_committed())
    }

    /// Whether an attempt with `Input::FromStart` would get all the input that earlier attempts got.
    pub fn can_replay(&self) -> bool {
        self.input.can_replay()
    }

    /// Whether the reader of the output is gone, so that another attempt would be pointless.
    pub fn reader_is_gone(&self) -> bool {
        self.reader_is_gone
    }

    /// Delivers the withheld output: the attempt is final. The result is `Lost` with the first write error of
    /// the run. A write that failed because the reader is gone does not count.
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

    /// Writes in a separate thread, so that kage still handles signals while a reader is slow.
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
        if let Err(signal) = signals.sleep(Some(done.as_fd()), None) {
            return Released::Signal(signal);
        }
        let written = writer.join().unwrap_or_else(|_| Err(io::ErrorKind::Other.into()));
        written.map_or_else(Released::Lost, |()| Released::Written)
    }

    /// Discards the withheld output: another attempt follows. `release` can still deliver it until that
    /// attempt has started.
    pub fn discard(&mut self) {
        if let Some(rules) = &mut self.rules {
            self.last = Some(rules.withheld());
            rules.discard();
        }
    }

    /// Drops the output of the previous attempt: the next one has started.
    pub(super) fn forget_last(&mut self) {
        self.last = None;
    }

    fn note(&mut self, written: io::Result<()>) {
        match written {
            Ok(()) => {}
            Err(gone) if gone.kind() == io::ErrorKind::BrokenPipe => self.reader_is_gone = true,
            Err(why) => drop(self.failed.get_or_insert(why)),
        }
    }

    /// Creates the pipes of an attempt and starts the threads that serve them.
    pub(super) fn start(&mut self, input: Input) -> io::Result<(ChildStreams, Running)> {
        let (end, notifier) = AgentEnd::new()?;
        let (done, undone) = io::pipe()?;
        let must_end = Arc::new(AtomicBool::new(false));
        let stdin = match input {
            Input::FromStart => self.input.connect(&end, self.hold)?,
            Input::Nothing => Stdio::null(),
        };
        let is_inherited = self.errors.as_fd().is_terminal() && !self.relay_stderr;
        let (stderr, errors) = if is_inherited {
            (self.errors.as_fd().try_clone_to_owned()?.into(), None)
        } else {
            let (pipe, agent) = output_pipe(&end)?;
            let (to, undone) = (Arc::clone(&self.errors), undone.try_clone()?);
            let finder = self.ends.map(|ends| LineFinder::new(ends, &must_end));
            let errors = thread::Builder::new().spawn(move || {
                let _undone = undone;
                pump::errors(pipe, &to, finder)
            })?;
            (agent, Some(errors))
        };
        let (pipe, stdout) = output_pipe(&end)?;
        let mut rules = self.rules.take().ok_or(io::ErrorKind::ResourceBusy)?;
        rules.begin(self.hold);
        let to = Arc::clone(&self.output);
        let output = thread::Builder::new().spawn(move || {
            let _undone = undone;
            let written = pump::output(pipe, rules.as_mut(), &to);
            (rules, written)
        })?;
        Ok((ChildStreams { stdin, stdout, stderr }, Running { notifier, done, output, errors, must_end }))
    }

    /// Waits until the last output of an agent that has ended is delivered. After a signal, including an
    /// earlier one, the delivery must end within `DELIVERY_LIMIT`. That is long enough for a complete answer
    /// even if a child of the agent keeps the pipe open. A reader that reads nothing cannot block kage: only
    /// a thread remains blocked in its write.
    pub(super) fn finish(&mut self, running: Running, signals: &mut Signals) -> (Captured, Result<(), i32>) {
        running.notifier.notify();
        let done = Some(running.done.as_fd());
        let soon = || Some(Instant::now() + DELIVERY_LIMIT);
        let mut by_signal = Ok(());
        let is_done = match signals.sleep(done, if signals.interrupted() { soon() } else { None }) {
            Ok(is_done) => is_done,
            Err(signal) => {
                by_signal = Err(signal);
                signals.sleep(done, soon()).unwrap_or(false)
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

/// Creates a pipe for the agent to write to.
fn output_pipe(end: &Arc<AgentEnd>) -> io::Result<(OutputPipe, Stdio)> {
    let (reader, writer) = io::pipe()?;
    // A larger pipe means that the thread wakes less often. The system may refuse, which does not matter.
    #[cfg(target_os = "linux")]
    let _ = rustix::pipe::fcntl_setpipe_size(&writer, hold::MAX_HELD);
    Ok((OutputPipe::new(reader, end)?, writer.into()))
}

#[cfg(test)]
mod tests;
