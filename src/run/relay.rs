//! The relay: an agent's streams go through kage, so that a failed attempt can be taken back and its input
//! given again. What stands at the end is what the caller sees.
//!
//! One thread copies the output, one the errors, one the input, each with blocking writes: a slow reader
//! slows the agent, as it would without kage, and never the thread that waits for signals.

mod hold;
mod pump;
mod spool;
mod stdin;

use std::io::{self, IsTerminal as _, PipeReader};
use std::os::fd::AsFd;
use std::process::Stdio;
use std::sync::Arc;
use std::thread::{self, JoinHandle};

use super::Input;
use super::child::Wires;
use super::signals::{Signals, survive_the_file_limit};
use crate::agent::{Captured, Line};
use hold::{Hold, Lines, Out, Whole};
use pump::{End, EndTeller, Tap};
use stdin::Source;

/// One of kage's own streams, or what stands for it in a test.
pub(super) type Stream = Arc<dyn AsFd + Send + Sync>;

/// How the agent writes what it has to say.
pub(crate) enum Output {
    /// One piece at the end: text, a JSON object.
    Whole,
    /// JSON lines as they happen, each with what it is. The line comes without its end.
    Lines(fn(&[u8]) -> Line),
}

/// The streams of a run, through all its attempts.
pub(crate) struct Relay {
    /// While an attempt runs its thread has it. One that is stuck in a write at kage's end keeps it.
    rules: Option<Box<dyn Hold>>,
    hold: bool,
    input: Source,
    output: Stream,
    errors: Stream,
    relay_stderr: bool,
    /// Why output could not be written, apart from a reader who went away.
    failed: Option<io::Error>,
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
    pub(crate) fn new(output: Output, relay_stderr: bool) -> Self {
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
            failed: None,
        }
    }

    /// Whether what the next attempt says may be taken back later. Without, everything passes at once (and
    /// is looked at all the same), and no input is kept for an attempt after it.
    pub(crate) fn hold(&mut self, hold: bool) {
        self.hold = hold;
    }

    /// Whether bytes of the present attempt have gone out that another attempt would contradict: output in
    /// one piece that grew beyond 1 MiB, more withheld lines than 1 MiB, or anything without hold. Lines of
    /// progress are the conversation's, which another attempt may go on with.
    pub(crate) fn is_committed(&self) -> bool {
        self.rules.as_ref().is_none_or(|rules| rules.is_committed())
    }

    /// Whether an attempt with `Input::FromStart` would get all that the attempts before it got.
    pub(crate) fn can_replay(&self) -> bool {
        self.input.can_replay()
    }

    /// The attempt stands: what was withheld goes out. The error is the first of the run's writes that
    /// failed, unless it was that nobody reads any more.
    pub(crate) fn release(&mut self) -> io::Result<()> {
        self.write(|rules, out| rules.release(out));
        self.failed.take().map_or(Ok(()), Err)
    }

    /// Another attempt follows: what was withheld is forgotten.
    pub(crate) fn discard(&mut self) {
        self.write(|rules, out| rules.discard(out));
    }

    fn write(&mut self, end: impl FnOnce(&mut dyn Hold, Out<'_>) -> io::Result<()>) {
        let Some(rules) = &mut self.rules else { return };
        let output = self.output.as_fd();
        let written = end(rules.as_mut(), &mut |bytes| pump::write_all(output, bytes));
        self.note(written);
    }

    fn note(&mut self, written: io::Result<()>) {
        if let Err(why) = written
            && why.kind() != io::ErrorKind::BrokenPipe
        {
            self.failed.get_or_insert(why);
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

    /// The agent has ended: waits until its last output is delivered, or for the signal that ends kage. Then
    /// a thread may be stuck in a write to a reader who takes nothing, and is left there.
    pub(super) fn finish(&mut self, running: Running, signals: &mut Signals) -> (Captured, Result<(), i32>) {
        running.teller.tell();
        if let Err(signal) = signals.rest(Some(running.done.as_fd()), None) {
            return (Captured::default(), Err(signal));
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
