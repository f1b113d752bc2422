//! Signals: caught while the agent lives, with their sender, and died of when the agent died of one.

use std::io;
use std::os::fd::BorrowedFd;
use std::os::unix::net::UnixStream;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use rustix::process::{Pid, Signal, getpid, kill_process};
use signal_hook::consts::signal::{
    SIGCHLD, SIGHUP, SIGINT, SIGPIPE, SIGQUIT, SIGTERM, SIGTSTP, SIGURG, SIGUSR1, SIGUSR2, SIGXFSZ,
};
use signal_hook::iterator::backend::SignalDelivery;
use signal_hook::iterator::exfiltrator::origin::{Origin, WithOrigin};
use signal_hook::low_level;

use super::jobs;
use crate::process::group_of;

/// What kage would die or stop of while its agent runs, and what wakes it.
const WATCHED: [i32; 8] = [SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGTSTP, SIGUSR1, SIGUSR2, SIGURG];

/// By this a hook of the agent's wakes its kage. To a process that does not expect it, it means nothing.
pub const WAKE: Signal = Signal::URG;

/// Those by which somebody ends a run. SIGUSR1 and SIGUSR2 end a program only where it does not know them:
/// they are words to the agent.
const FATAL: [i32; 4] = [SIGHUP, SIGINT, SIGQUIT, SIGTERM];

/// The signals of a run whose attempt has ended and that may start another.
static KEPT: Mutex<Option<Signals>> = Mutex::new(None);

/// A signal and who sent it.
pub(super) struct Caught {
    pub(super) signal: Signal,
    /// `None` for the kernel: the terminal. A process outside of this process-id namespace, such as the one
    /// that ends a container, is 0.
    sender: Option<i32>,
}

impl Caught {
    pub(super) fn is_for_the_agent(&self, agent: Pid) -> bool {
        let Some(sender) = self.sender else { return self.is_hangup_of_the_session() };
        if sender == 0 {
            return true;
        }
        let agent = agent.as_raw_nonzero().get();
        if sender == agent {
            return false;
        }
        let Some(senders_group) = group_of(sender) else { return true };
        let own_group = group_of(0);
        // An agent that leads a group of its own signals its own processes.
        let agents_group = group_of(agent).filter(|&group| Some(group) != own_group);
        // A group that kage leads holds only kage, the agent and what it started. In another's group the
        // sender may be the harness that started kage.
        let leads = own_group == Some(getpid().as_raw_nonzero().get());
        Some(senders_group) != agents_group && !(leads && Some(senders_group) == own_group)
    }

    /// Of a terminal that goes away the system tells only the leader of its session, and the foreground once
    /// that has ended. A shell tells its jobs; where kage leads, as in a pane or a container, it is kage that
    /// the agent hears of it from.
    fn is_hangup_of_the_session(&self) -> bool {
        self.signal == Signal::HUP && jobs::leads_session()
    }
}

/// The signals that have come and not been looked at.
pub(super) struct Signals {
    delivery: SignalDelivery<UnixStream, WithOrigin>,
    interrupted: bool,
}

impl Signals {
    /// From here on the signals wait here. One that was ignored on entry stays ignored, for the agent
    /// too: `nohup` would be undone by a handler. But for the one that wakes kage: that means nothing to an agent
    /// either way.
    pub(super) fn catch() -> io::Result<Self> {
        if let Some(kept) = KEPT.lock().unwrap_or_else(PoisonError::into_inner).take() {
            return Ok(kept);
        }
        let watched = WATCHED.into_iter().filter(|&signal| signal == WAKE.as_raw() || !is_ignored(signal));
        let (read, write) = UnixStream::pair()?;
        let delivery =
            SignalDelivery::with_pipe(read, write, WithOrigin::default(), watched.chain([SIGCHLD]))?;
        Ok(Self { delivery, interrupted: false })
    }

    /// For the next attempt, or the pause before it. A signal that comes in between would otherwise be seen
    /// by nobody: its handler stays in place, and what it did ends with the catching.
    pub(super) fn keep(mut self) {
        self.interrupted = false;
        *KEPT.lock().unwrap_or_else(PoisonError::into_inner) = Some(self);
    }

    /// Whether one has been looked at that is meant to end the run.
    pub(super) fn interrupted(&self) -> bool {
        self.interrupted
    }

    /// Sleeps until at least one has come, or until a moment. That of a child is only the waking.
    pub(super) fn wait(&mut self, until: Option<Instant>) -> impl Iterator<Item = Caught> {
        let mut watched = [PollFd::new(self.delivery.get_read(), PollFlags::IN)];
        // One that interrupts the sleep has come as well.
        let _ = poll(&mut watched, until.map(time_left).as_ref());
        self.pending()
    }

    /// Those that have come already.
    pub(super) fn pending(&mut self) -> impl Iterator<Item = Caught> {
        let Self { delivery, interrupted } = self;
        delivery.pending().filter_map(|origin| caught(&origin, interrupted))
    }

    /// Sleeps while there is no agent: until a descriptor has something to read or is at its end, or until
    /// a moment. The answer is whether it was the descriptor. A fatal signal, which ends kage as it would any
    /// program, is the error.
    pub(super) fn rest(&mut self, done: Option<BorrowedFd<'_>>, until: Option<Instant>) -> Result<bool, i32> {
        loop {
            for Caught { signal, .. } in self.pending() {
                if FATAL.contains(&signal.as_raw()) {
                    return Err(signal.as_raw());
                }
                if signal == Signal::TSTP {
                    stop();
                }
            }
            let mut watched = vec![PollFd::new(self.delivery.get_read(), PollFlags::IN)];
            watched.extend(done.iter().map(|done| PollFd::new(done, PollFlags::IN)));
            match poll(&mut watched, until.map(time_left).as_ref()) {
                Err(Errno::INTR) => {}
                Ok(1..) if watched.get(1).is_none_or(|done| done.revents().is_empty()) => {}
                Ok(ready) => return Ok(ready > 0),
                Err(_) => return Ok(false),
            }
        }
    }
}

fn caught(origin: &Origin, interrupted: &mut bool) -> Option<Caught> {
    let signal = Signal::from_named_raw(origin.signal).filter(|&signal| signal != Signal::CHILD)?;
    *interrupted |= FATAL.contains(&origin.signal);
    let sender = origin.process.map(|process| process.pid);
    Some(Caught { signal, sender })
}

/// What SIGTSTP does where it is not caught: it stops, except where no shell could wake what it stopped.
fn stop() {
    if jobs::has_shell() {
        let _ = kill_process(getpid(), Signal::STOP);
    }
}

/// A file that grows beyond `ulimit -f` kills who writes it. What kage writes for the agent it can do without,
/// so for kage the limit is an error of the write. A handler that does nothing: the agent starts without it.
pub(super) fn survive_the_file_limit() {
    if !is_ignored(SIGXFSZ) {
        let _ = signal_hook::flag::register(SIGXFSZ, Arc::default());
    }
}

#[allow(unsafe_code)]
pub(super) fn is_ignored(signal: i32) -> bool {
    let mut current = std::mem::MaybeUninit::<libc::sigaction>::uninit();
    // SAFETY: with no new action `sigaction` only writes the current one into the place it is given; the
    // place is read only where it says that it did.
    unsafe {
        libc::sigaction(signal, std::ptr::null(), current.as_mut_ptr()) == 0
            && current.assume_init().sa_sigaction == libc::SIG_IGN
    }
}

/// To be called before kage starts any process. With the ends of children ignored, as some daemons leave it
/// to what they start, the system reaps each child by itself, and how a credential command ended is never
/// known. An agent gets the default as well: it waits for children of its own, and through `exec` kage's
/// handler would become the default anyway.
#[allow(unsafe_code)]
pub fn expect_children() {
    // SAFETY: the default action runs no handler.
    unsafe { libc::signal(SIGCHLD, libc::SIG_DFL) };
}

/// While this lives, the signals that kage waits for come through, although a parent left them blocked:
/// without them the end of the agent wakes nobody, and a SIGTERM is not passed on. Made after the spawn,
/// since the child has the mask of whoever spawns it and is to have the one that kage was started with;
/// what came before then is pending, not lost. Afterwards the mask is what it was.
pub(super) struct Unblocked(libc::sigset_t);

impl Unblocked {
    #[allow(unsafe_code)]
    pub(super) fn all() -> Self {
        let mut set = std::mem::MaybeUninit::<libc::sigset_t>::uninit();
        let mut before = std::mem::MaybeUninit::<libc::sigset_t>::uninit();
        // SAFETY: both sets are written by `sigemptyset` before they are read, and the calls touch only
        // them and this thread's mask.
        unsafe {
            libc::sigemptyset(set.as_mut_ptr());
            libc::sigemptyset(before.as_mut_ptr());
            for signal in WATCHED.into_iter().chain([SIGCHLD]) {
                libc::sigaddset(set.as_mut_ptr(), signal);
            }
            libc::pthread_sigmask(libc::SIG_UNBLOCK, set.as_ptr(), before.as_mut_ptr());
            Self(before.assume_init())
        }
    }
}

impl Drop for Unblocked {
    #[allow(unsafe_code)]
    fn drop(&mut self) {
        // SAFETY: the set is one that `pthread_sigmask` gave.
        unsafe { libc::pthread_sigmask(libc::SIG_SETMASK, &raw const self.0, std::ptr::null_mut()) };
    }
}

/// Ends kage as the agent ended: by the same signal where a shell acts on it, so that a ^C also ends the
/// loop that kage was called from. The others would only write a second core file.
pub fn die_of(signal: i32) -> i32 {
    if [SIGHUP, SIGINT, SIGTERM, SIGPIPE].contains(&signal) {
        let _ = low_level::emulate_default_handler(signal);
    }
    128 + signal
}

/// How long it is until a moment, as `poll` wants it.
pub(super) fn time_left(until: Instant) -> Timespec {
    let left = until.saturating_duration_since(Instant::now());
    Timespec::try_from(left).unwrap_or(Timespec { tv_sec: i64::from(i32::MAX), tv_nsec: 0 })
}
