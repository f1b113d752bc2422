//! Measures programs alternately: each once per round, starting with a different one each round, so that
//! other load on the machine affects all of them.

use std::os::fd::OwnedFd;
use std::os::unix::process::CommandExt as _;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use rustix::fs::{Mode, OFlags, open};
use rustix::process::{ioctl_tiocsctty, setsid};
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};

/// A program that is run repeatedly.
pub(crate) struct Contender {
    command: Command,
    at_terminal: bool,
    times: Vec<Duration>,
}

impl Contender {
    /// With an empty standard input and discarded output.
    pub(crate) fn new(mut command: Command) -> Self {
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
        Self { command, at_terminal: false, times: Vec::new() }
    }

    /// As the first process of its own terminal.
    #[allow(unsafe_code)]
    pub(crate) fn at_terminal(mut self) -> Self {
        let take_terminal = || {
            setsid()?;
            ioctl_tiocsctty(rustix::stdio::stdin())?;
            Ok(())
        };
        // SAFETY: the closure makes two system calls and uses no memory of the parent.
        unsafe { self.command.pre_exec(take_terminal) };
        self.at_terminal = true;
        self
    }

    /// Runs it once. Returns the time from spawn to wait.
    pub(crate) fn run(&mut self) -> Duration {
        // The end of the session leader hangs up the terminal, so each run has a new one.
        let terminal = self.at_terminal.then(terminal);
        if let Some((_, inside)) = &terminal {
            let stream = || Stdio::from(inside.try_clone().unwrap());
            self.command.stdin(stream()).stdout(stream()).stderr(stream());
        }
        let begun = Instant::now();
        let mut child = self.command.spawn().unwrap();
        let ended = child.wait().unwrap();
        let took = begun.elapsed();
        assert!(ended.success(), "{:?}: {:?}", self.command, child.wait_with_output());
        took
    }

    /// A percentile (0-100) of the times, in milliseconds.
    pub(crate) fn milliseconds(&self, share: usize) -> f64 {
        at(&self.times, share).as_secs_f64() * 1e3
    }
}

/// A new terminal: the controlling end and the program's end.
fn terminal() -> (OwnedFd, OwnedFd) {
    let outside = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).unwrap();
    grantpt(&outside).unwrap();
    unlockpt(&outside).unwrap();
    let name = ptsname(&outside, Vec::new()).unwrap();
    let inside = open(name, OFlags::RDWR | OFlags::NOCTTY | OFlags::CLOEXEC, Mode::empty()).unwrap();
    rustix::io::fcntl_setfd(&outside, rustix::io::FdFlags::CLOEXEC).unwrap();
    (outside, inside)
}

/// Runs all programs, with some warm-up rounds that are not counted.
pub(crate) fn alternate(contenders: &mut [&mut Contender], rounds: usize) {
    let count = contenders.len();
    let warm_up = (rounds / 10).clamp(1, 20);
    for round in 0..warm_up + rounds {
        for at in 0..count {
            let contender = &mut *contenders[(round + at) % count];
            let took = contender.run();
            if round >= warm_up {
                contender.times.push(took);
            }
        }
    }
    for contender in contenders {
        contender.times.sort_unstable();
    }
}

/// A percentile (0-100) of sorted times.
pub(crate) fn at(sorted: &[Duration], share: usize) -> Duration {
    sorted[(sorted.len() * share / 100).min(sorted.len() - 1)]
}
