//! The agent's process: starts it with its credential, and waits for it while it handles stops and signals.

use std::ffi::OsString;
use std::io::{self, PipeReader, Write as _};
use std::os::fd::{AsRawFd as _, BorrowedFd, RawFd};
use std::os::unix::fs::FileTypeExt as _;
use std::os::unix::process::CommandExt as _;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;
use std::{env, fs};

use rustix::io::{Errno, FdFlags, fcntl_setfd};
use rustix::process::{Pid, Signal, WaitOptions, WaitStatus, getpid, kill_process, waitpid};

use super::signals::{Caught, Signals, WAKE};
use super::{Handover, Program, Response, SessionObserver, jobs};
use crate::agent::{Exit, LaunchPlan, SecretKind};
use crate::pool::Delivery;

pub(super) struct Child(Pid);

/// The streams that the agent gets in place of kage's own.
pub(super) struct ChildStreams {
    pub(super) stdin: Stdio,
    pub(super) stdout: Stdio,
    pub(super) stderr: Stdio,
}

/// Starts the program. kage's own copy of the secret is dropped here: an agent may run for days, and kage
/// needs no secret while it waits.
pub(super) fn spawn(
    program: &Program,
    plan: &LaunchPlan,
    handover: Option<Handover>,
    marks: &[(&str, OsString)],
    streams: Option<ChildStreams>,
) -> io::Result<Child> {
    // The pipe must stay open until the child has its own copy.
    let (mut command, _pipe) = command(program, plan, handover.as_ref(), marks)?;
    // kage's copies of these pipe ends are closed when the command is dropped, so that the streams end with
    // the agent.
    if let Some(ChildStreams { stdin, stdout, stderr }) = streams {
        command.stdin(stdin).stdout(stdout).stderr(stderr);
    }
    let child = command.spawn()?;
    let pid = i32::try_from(child.id()).ok().and_then(Pid::from_raw);
    pid.map(Child).ok_or_else(|| io::Error::other("the system returned a process id that is out of range"))
}

/// Becomes the program. Returns only if that fails, with the reason.
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

/// Returns the command for the program as planned. No other function of a run reads the secret.
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
        withhold_pipe_of(name);
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

/// Keeps the agent from inheriting the pipe that a removed variable names. The pipe may hold another secret,
/// from a kage or another program that started this kage. The agent must not read it.
#[allow(unsafe_code)]
fn withhold_pipe_of(variable: &str) {
    if !variable.ends_with("_FILE_DESCRIPTOR") {
        return;
    }
    let number = env::var(variable).ok().and_then(|text| text.parse::<RawFd>().ok());
    // The number may be stale. The agent keeps the standard streams in any case.
    let is_pipe = |number: RawFd| {
        fs::metadata(format!("/dev/fd/{number}")).is_ok_and(|metadata| metadata.file_type().is_fifo())
    };
    if let Some(number) = number.filter(|&number| number > 2 && is_pipe(number)) {
        // SAFETY: the descriptor was just found to be open, and no code here closes a descriptor that it did
        // not open.
        let pipe = unsafe { BorrowedFd::borrow_raw(number) };
        let _ = fcntl_setfd(pipe, FdFlags::CLOEXEC);
    }
}

/// Returns the reading end of a pipe that contains the text and whose writing end is closed. The child
/// inherits it. A token fits into any pipe's buffer, so writing cannot block.
fn pipe_holding(text: &str) -> io::Result<PipeReader> {
    let (reader, mut writer) = io::pipe()?;
    writer.write_all(text.as_bytes())?;
    fcntl_setfd(&reader, FdFlags::empty())?;
    Ok(reader)
}

impl Child {
    /// Waits until the agent ends. Sleeps until a signal arrives: SIGCHLD for a child that ended or stopped,
    /// a signal to forward, or the signal with which the agent's hooks or the
    /// thread that reads standard error wake kage. If `must_end` becomes true, the agent is ended.
    pub(super) fn wait(
        self,
        signals: &mut Signals,
        mut observer: Option<&mut dyn SessionObserver>,
        must_end: Option<&AtomicBool>,
    ) -> Exit {
        let mut until = None;
        loop {
            // Two children that end may cause a single SIGCHLD, so the agent is checked after each signal.
            if let Some(exit) = self.poll_exit() {
                return exit;
            }
            let mut reported = false;
            for caught in signals.wait(until) {
                reported |= caught.signal == WAKE;
                self.forward(caught);
            }
            if must_end.is_some_and(|must_end| must_end.swap(false, Ordering::SeqCst)) {
                self.end();
            }
            let is_time = until.is_some_and(|until| until <= Instant::now());
            let Some(observer) = &mut observer else { continue };
            observer.reap();
            if !reported && !is_time {
                continue;
            }
            until = match observer.look(reported) {
                Response::Sleep => None,
                Response::Until(until) => Some(until),
                Response::Terminate(until) => {
                    self.end();
                    Some(until)
                }
            };
        }
    }

    /// Ends the agent with SIGTERM, never with SIGKILL: an agent that is killed while it renews its login can
    /// lose the login. A stopped agent receives the SIGTERM only when it is continued.
    fn end(&self) {
        let _ = kill_process(self.0, Signal::TERM);
        let _ = kill_process(self.0, Signal::CONT);
    }

    /// Returns how the agent ended; `None` while it lives. If it has stopped, kage stops too.
    fn poll_exit(&self) -> Option<Exit> {
        loop {
            match waitpid(Some(self.0), WaitOptions::NOHANG | WaitOptions::UNTRACED) {
                Ok(Some((_, status))) if status.stopped() => self.stop_with_agent(status.stopping_signal()),
                Ok(Some((_, status))) => return Some(exit_of(status)),
                Ok(None) => return None,
                Err(Errno::INTR) => {}
                // There is no such child. How it ended is unknown, so kage must not report success.
                Err(_) => return Some(Exit::Code(125)),
            }
        }
    }

    /// Stops kage when the agent has stopped. If the agent stops only itself, the shell would keep waiting
    /// for kage. So kage stops too, and continues the agent when the shell continues kage. If the whole group
    /// was stopped and has been continued while kage slept, the agent already runs again, and kage must not
    /// stop a second time.
    ///
    /// If no shell can continue kage, kage must not stop. If kage has a terminal without a shell, a ^Z would
    /// freeze the agent for good, so kage continues it immediately, as tmux does with a process that stops in
    /// a pane. An agent that was stopped because it used the terminal from the background is left alone: it
    /// would try again endlessly. Without a terminal no user typed a ^Z, and the process that stopped the
    /// agent will continue it.
    fn stop_with_agent(&self, stop: Option<i32>) {
        if !jobs::has_terminal() {
            return;
        }
        let has_shell = jobs::has_shell();
        // This check comes last: no slow call may separate it from the stop.
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

    /// Forwards a signal to the agent. A ^C or ^Z typed at the terminal has no sender and has already reached
    /// the agent, which is in kage's group. A signal that a process sent to kage is forwarded, unless the
    /// agent or its own group sent it.
    fn forward(&self, caught: Caught) {
        if caught.signal != WAKE && caught.is_for_agent(self.0) {
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
