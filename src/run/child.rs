//! The agent's process: spawned with its credential, waited for through stops and signals.

use std::ffi::OsString;
use std::io::{self, PipeReader, Write as _};
use std::os::fd::{AsRawFd as _, BorrowedFd, RawFd};
use std::os::unix::fs::FileTypeExt as _;
use std::os::unix::process::CommandExt as _;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};
use std::{env, fs};

use rustix::io::{Errno, FdFlags, fcntl_setfd};
use rustix::process::{Pid, Signal, WaitOptions, WaitStatus, getpid, kill_process, waitpid};

use super::signals::{Caught, Signals, WAKE};
use super::{Handover, Program, Rest, SessionObserver, footprint, jobs};
use crate::agent::{Exit, LaunchPlan, SecretKind};
use crate::pool::Delivery;

pub(super) struct Child(Pid);

/// An agent that has run for so long goes on, and kage makes itself small beside it.
const SETTLED: Duration = Duration::from_secs(1);

/// What the agent gets in place of kage's own streams.
pub(super) struct Wires {
    pub(super) stdin: Stdio,
    pub(super) stdout: Stdio,
    pub(super) stderr: Stdio,
}

/// Starts the program. kage's own copy of the secret ends here: an agent may run for days, and kage beside it
/// needs no secret.
pub(super) fn spawn(
    program: &Program,
    plan: &LaunchPlan,
    handover: Option<Handover>,
    marks: &[(&str, OsString)],
    wires: Option<Wires>,
) -> io::Result<Child> {
    // The pipe is held until the child has its own copy.
    let (mut command, _pipe) = command(program, plan, handover.as_ref(), marks)?;
    // With the command kage's copies of these ends are closed, so that the agent's end is the streams' end.
    if let Some(Wires { stdin, stdout, stderr }) = wires {
        command.stdin(stdin).stdout(stdout).stderr(stderr);
    }
    let child = command.spawn()?;
    let pid = i32::try_from(child.id()).ok().and_then(Pid::from_raw);
    pid.map(Child).ok_or_else(|| io::Error::other("the system gave a process id out of range"))
}

/// Becomes the program; the answer is why it could not.
pub(super) fn replace(
    program: &Program,
    plan: &LaunchPlan,
    handover: Option<Handover>,
    marks: &[(&str, OsString)],
) -> io::Error {
    match command(program, plan, handover.as_ref(), marks) {
        Ok((mut command, _pipe)) => command.exec(),
        Err(why) => why,
    }
}

/// The program with what the plan says. This is the one place where the secret is read.
fn command(
    program: &Program,
    plan: &LaunchPlan,
    handover: Option<&Handover>,
    marks: &[(&str, OsString)],
) -> io::Result<(Command, Option<PipeReader>)> {
    let mut command = Command::new(&program.path);
    command.arg0(&program.name).args(&plan.args);
    for name in &plan.remove {
        command.env_remove(name);
        keep_pipe_of(name);
    }
    command.envs(plan.set.iter().map(|(name, value)| (name, value)));
    command.envs(marks.iter().map(|(name, value)| (name, value)));
    let pipe = match handover {
        Some(Handover {
            secret,
            kind: SecretKind { descriptor: Some(variable), .. },
            deliver: Delivery::Fd,
        }) => {
            let pipe = pipe_holding(secret.expose())?;
            command.env(variable, pipe.as_raw_fd().to_string());
            Some(pipe)
        }
        Some(Handover { secret, kind, .. }) => {
            command.env(kind.variable, secret.expose());
            None
        }
        None => None,
    };
    Ok((command, pipe))
}

/// A variable that is not passed on may name a pipe with a secret in it, from a kage above this one or from
/// whoever else started it. The pipe stays here as well, or the agent could read what is not its own.
#[allow(unsafe_code)]
fn keep_pipe_of(variable: &str) {
    if !variable.ends_with("_FILE_DESCRIPTOR") {
        return;
    }
    let number = env::var(variable).ok().and_then(|text| text.parse::<RawFd>().ok());
    // The number may be stale, and the streams are the agent's whatever it says.
    let is_pipe = |number: RawFd| {
        fs::metadata(format!("/dev/fd/{number}")).is_ok_and(|metadata| metadata.file_type().is_fifo())
    };
    if let Some(number) = number.filter(|&number| number > 2 && is_pipe(number)) {
        // SAFETY: it is open, as was just seen, and nothing here closes what it did not open.
        let pipe = unsafe { BorrowedFd::borrow_raw(number) };
        let _ = fcntl_setfd(pipe, FdFlags::CLOEXEC);
    }
}

/// The reading end of a pipe with the text in it and its other end closed, open in the child as well.
/// A token fits into any pipe's buffer, so that writing cannot block.
fn pipe_holding(text: &str) -> io::Result<PipeReader> {
    let (reader, mut writer) = io::pipe()?;
    writer.write_all(text.as_bytes())?;
    fcntl_setfd(&reader, FdFlags::empty())?;
    Ok(reader)
}

impl Child {
    /// Sleeps until a signal comes: that of a child which ended or stopped, one to pass on, or the one by
    /// which the agent's hooks wake kage.
    pub(super) fn wait(self, signals: &mut Signals, mut observer: Option<&mut dyn SessionObserver>) -> Exit {
        let mut until = None;
        let mut settles = Some(Instant::now() + SETTLED);
        loop {
            // Two ends of children may come as one signal, so each waking looks.
            if let Some(exit) = self.changed() {
                return exit;
            }
            let mut reported = false;
            if settles.is_some_and(|settles| settles <= Instant::now()) {
                footprint::shrink();
                settles = None;
            }
            for caught in signals.wait(until.into_iter().chain(settles).min()) {
                reported |= caught.signal == WAKE;
                self.pass_on(caught);
            }
            let is_time = until.is_some_and(|until| until <= Instant::now());
            let Some(observer) = &mut observer else { continue };
            observer.reap();
            if !reported && !is_time {
                continue;
            }
            until = match observer.look(reported) {
                Rest::Sleep => None,
                Rest::Until(until) => Some(until),
                Rest::Terminate(until) => {
                    self.end();
                    Some(until)
                }
            };
        }
    }

    /// Never harder than this: an agent that is killed while it renews its login can lose it. One that is
    /// stopped would see it only when it goes on.
    fn end(&self) {
        let _ = kill_process(self.0, Signal::TERM);
        let _ = kill_process(self.0, Signal::CONT);
    }

    fn changed(&self) -> Option<Exit> {
        loop {
            match waitpid(Some(self.0), WaitOptions::NOHANG | WaitOptions::UNTRACED) {
                Ok(Some((_, status))) if status.stopped() => self.stop_with_it(status.stopping_signal()),
                Ok(Some((_, status))) => return Some(exit_of(status)),
                Ok(None) => return None,
                Err(Errno::INTR) => {}
                // The child is not there to wait for, so how it ended is not known; that is no success.
                Err(_) => return Some(Exit::Code(125)),
            }
        }
    }

    /// An agent that stops itself alone would leave the shell waiting for kage: so kage stops too, and
    /// wakes the agent when the shell wakes kage. If the stop came to the whole group and has been undone
    /// while kage slept, the agent runs again by now, and stopping would stop twice.
    ///
    /// Where no shell can wake kage, it would sleep for ever. At a terminal of its own the agent goes on at
    /// once, as tmux does with what stops in a pane: a ^Z would freeze it for good. One that is refused the
    /// terminal is left alone, for it would try again without end. Without a terminal nobody typed a ^Z, and
    /// whoever stopped the agent wakes it.
    fn stop_with_it(&self, stop: Option<i32>) {
        if !jobs::has_terminal() {
            return;
        }
        let has_shell = jobs::has_shell();
        // The last thing asked, so that nothing changes behind the answer.
        if jobs::is_stopped(self.0) == Some(false) {
            return;
        }
        if has_shell {
            let _ = kill_process(getpid(), Signal::STOP);
        } else if stop == Some(Signal::TTIN.as_raw()) || stop == Some(Signal::TTOU.as_raw()) {
            return;
        }
        let _ = kill_process(self.0, Signal::CONT);
    }

    /// A ^C or ^Z typed at the terminal has no sender and has reached the agent, which is in kage's group.
    /// One that a process sent to kage is passed on, except where the agent, or its own group, sent it.
    fn pass_on(&self, caught: Caught) {
        if caught.signal != WAKE && caught.is_for_the_agent(self.0) {
            let _ = kill_process(self.0, caught.signal);
        }
    }
}

fn exit_of(status: WaitStatus) -> Exit {
    match (status.exit_status(), status.terminating_signal()) {
        (Some(code), _) => Exit::Code(code),
        (None, Some(signal)) => Exit::Signal(signal),
        (None, None) => Exit::Code(0),
    }
}
