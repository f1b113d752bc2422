//! The agent's process: spawned with its credential, waited for through stops and signals.

use std::io::{self, PipeReader, Write as _};
use std::os::fd::AsRawFd as _;
use std::os::unix::process::CommandExt as _;
use std::process::Command;

use rustix::io::{Errno, FdFlags, fcntl_setfd};
use rustix::process::{Pid, Signal, WaitOptions, WaitStatus, getpid, kill_process, waitpid};
use std::ffi::OsString;

use super::signals::{Caught, Signals};
use super::{Handover, Program};
use crate::agent::{Exit, LaunchPlan};
use crate::pool::Delivery;

pub(super) struct Child(Pid);

/// Starts the program. This is the one place where the secret is read, and kage's own copy ends here: an
/// agent may run for days, and kage beside it needs no secret.
pub(super) fn spawn(
    program: &Program,
    plan: &LaunchPlan,
    handover: Option<Handover>,
    marks: &[(&str, OsString)],
) -> io::Result<Child> {
    let mut command = Command::new(&program.path);
    command.arg0(&program.name).args(&plan.args);
    for name in &plan.remove {
        command.env_remove(name);
    }
    command.envs(plan.set.iter().map(|(name, value)| (name, value)));
    command.envs(marks.iter().map(|(name, value)| (name, value)));
    // Held until the child has its own copy.
    let _pipe = match &handover {
        Some(Handover { secret, kind, deliver: Delivery::Env }) => {
            command.env(kind.variable, secret.expose());
            None
        }
        Some(Handover { secret, kind, deliver: Delivery::Fd }) => {
            let pipe = pipe_holding(secret.expose())?;
            command.env(kind.descriptor, pipe.as_raw_fd().to_string());
            Some(pipe)
        }
        None => None,
    };
    let child = command.spawn()?;
    let pid = i32::try_from(child.id()).ok().and_then(Pid::from_raw);
    pid.map(Child).ok_or_else(|| io::Error::other("the system gave a process id out of range"))
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
    /// Sleeps until a signal comes: that of a child which ended or stopped, or one to pass on.
    pub(super) fn wait(self, signals: &mut Signals) -> Exit {
        loop {
            // Two ends of children may come as one signal, so each waking looks.
            if let Some(exit) = self.changed() {
                return exit;
            }
            for caught in signals.wait() {
                self.pass_on(caught);
            }
        }
    }

    fn changed(&self) -> Option<Exit> {
        loop {
            match waitpid(Some(self.0), WaitOptions::NOHANG | WaitOptions::UNTRACED) {
                Ok(Some((_, status))) if status.stopped() => self.stop_with_it(),
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
    fn stop_with_it(&self) {
        if self.is_stopped() {
            let _ = kill_process(getpid(), Signal::STOP);
            let _ = kill_process(self.0, Signal::CONT);
        }
    }

    fn is_stopped(&self) -> bool {
        let stat = std::fs::read(format!("/proc/{}/stat", self.0.as_raw_nonzero()));
        match stat {
            // The state letter follows the name, which may hold anything, in parentheses.
            Ok(text) => {
                text.iter().rposition(|&byte| byte == b')').and_then(|at| text.get(at + 2)) == Some(&b'T')
            }
            Err(_) => true, // no /proc: as waitpid said
        }
    }

    /// A ^C or ^Z typed at the terminal has no sender and has reached the agent, which is in kage's group.
    /// One that a process sent to kage is passed on, except where the agent, or its own group, sent it.
    fn pass_on(&self, caught: Caught) {
        if caught.is_for_the_agent(self.0) {
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
