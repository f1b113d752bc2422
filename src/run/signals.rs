//! Signals: caught with their sender while the agent lives, and raised again when one of them ended the
//! agent.

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

/// The signals that would end or stop kage while its agent runs, and the one that wakes it.
const WATCHED: [i32; 8] = [SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGTSTP, SIGUSR1, SIGUSR2, SIGURG];

/// The signal with which the agent's hook wakes kage. Its default action is to do nothing.
pub const WAKE: Signal = Signal::URG;

/// The signals that end a run. SIGUSR1 and SIGUSR2 are not among them: they end only a program that does not
/// handle them, and may be meant as messages to the agent.
const FATAL: [i32; 4] = [SIGHUP, SIGINT, SIGQUIT, SIGTERM];

/// The signal queue of a run between two attempts.
static KEPT: Mutex<Option<Signals>> = Mutex::new(None);

/// A signal and its sender.
pub(super) struct Caught {
    pub(super) signal: Signal,
    /// The sender's process id. `None` if the kernel sent it, for the terminal. 0 for a process outside this
    /// PID namespace, such as the one that ends a container.
    sender: Option<i32>,
}

impl Caught {
    /// Whether kage must forward this signal to the agent.
    pub(super) fn is_for_agent(&self, agent: Pid) -> bool {
        let Some(sender) = self.sender else { return self.is_session_hangup() };
        if sender == 0 {
            return true;
        }
        let agent = agent.as_raw_nonzero().get();
        if sender == agent {
            return false;
        }
        let Some(senders_group) = group_of(sender) else { return true };
        let own_group = group_of(0);
        // An agent that leads its own group may signal its own processes.
        let agents_group = group_of(agent).filter(|&group| Some(group) != own_group);
        // A group that kage leads contains only kage, the agent and what the agent started. In a group that
        // kage does not lead, the sender may be the harness that started kage.
        let leads = own_group == Some(getpid().as_raw_nonzero().get());
        Some(senders_group) != agents_group && !(leads && Some(senders_group) == own_group)
    }

    /// Whether this is the hangup of a session that kage leads. When a terminal hangs up, the system sends
    /// SIGHUP only to the session leader, and to the foreground group once the leader has ended. A shell
    /// forwards it to its jobs. If kage leads the session, as in a pane or a container, kage must forward it
    /// to the agent.
    fn is_session_hangup(&self) -> bool {
        self.signal == Signal::HUP && jobs::leads_session()
    }
}

/// The signals that are caught and have not been read yet.
pub(super) struct Signals {
    delivery: SignalDelivery<UnixStream, WithOrigin>,
    interrupted: bool,
}

impl Signals {
    /// Installs the handlers: from here on signals are queued. A signal that was ignored on entry remains
    /// ignored, also for the agent, because a handler would undo `nohup`. The wake signal is always caught:
    /// an agent does nothing on it either way.
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

    /// Keeps the queue for the next attempt, or for the pause before it. A signal that arrives in between
    /// would otherwise be lost: its handler remains installed, but nothing reads what it queues.
    pub(super) fn keep(mut self) {
        self.interrupted = false;
        *KEPT.lock().unwrap_or_else(PoisonError::into_inner) = Some(self);
    }

    /// Whether a signal that ends the run has been read.
    pub(super) fn interrupted(&self) -> bool {
        self.interrupted
    }

    /// Sleeps until at least one signal has arrived or until a time, and returns the signals. SIGCHLD ends
    /// the sleep but is not returned.
    pub(super) fn wait(&mut self, until: Option<Instant>) -> impl Iterator<Item = Caught> {
        let mut watched = [PollFd::new(self.delivery.get_read(), PollFlags::IN)];
        // A signal that interrupts the sleep is in the queue too.
        let _ = poll(&mut watched, until.map(time_left).as_ref());
        self.pending()
    }

    /// Returns the signals that have already arrived.
    pub(super) fn pending(&mut self) -> impl Iterator<Item = Caught> {
        let Self { delivery, interrupted } = self;
        delivery.pending().filter_map(|origin| caught(&origin, interrupted))
    }

    /// Sleeps while no agent runs: until a descriptor is readable or at its end, or until a time. Returns
    /// whether it was the descriptor. The error is the number of a fatal signal, which ends kage as it would
    /// end any program.
    pub(super) fn sleep(
        &mut self,
        done: Option<BorrowedFd<'_>>,
        until: Option<Instant>,
    ) -> Result<bool, i32> {
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

/// Does what an uncaught SIGTSTP does: stops kage, unless no shell could continue it.
fn stop() {
    if jobs::has_shell() {
        let _ = kill_process(getpid(), Signal::STOP);
    }
}

/// Turns SIGXFSZ into a failed write. The signal kills a process whose file grows beyond `ulimit -f`, but
/// kage can continue without the file in which it keeps the agent's input. The handler does nothing, and the
/// agent does not inherit it.
pub(super) fn survive_file_limit() {
    if !is_ignored(SIGXFSZ) {
        let _ = signal_hook::flag::register(SIGXFSZ, Arc::default());
    }
}

#[allow(unsafe_code)]
pub(super) fn is_ignored(signal: i32) -> bool {
    let mut current = std::mem::MaybeUninit::<libc::sigaction>::uninit();
    // SAFETY: with no new action, `sigaction` only writes the current one to the pointer. The value is read
    // only if the call succeeded.
    unsafe {
        libc::sigaction(signal, std::ptr::null(), current.as_mut_ptr()) == 0
            && current.assume_init().sa_sigaction == libc::SIG_IGN
    }
}

/// Restores the default action of SIGCHLD. Must be called before kage starts any process. If SIGCHLD is
/// ignored, as some daemons leave it for the processes they start, the system reaps each child on its own,
/// and the exit status of a credential command is never known. The agent gets the default too: it waits for
/// its own children, and kage's handler would become the default through `exec` anyway.
#[allow(unsafe_code)]
pub fn reset_sigchld() {
    // SAFETY: the default action runs no handler.
    unsafe { libc::signal(SIGCHLD, libc::SIG_DFL) };
}

/// While this value lives, the signals that kage waits for are unblocked; then the mask is restored. A parent
/// may have left them blocked: the agent's end would not wake kage, and a SIGTERM would not be forwarded.
/// The value is created after the spawn, because the child inherits the mask and must get the one that kage
/// was started with. A signal that arrived before is pending, not lost.
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
        // SAFETY: the set was written by `pthread_sigmask`.
        unsafe { libc::pthread_sigmask(libc::SIG_SETMASK, &raw const self.0, std::ptr::null_mut()) };
    }
}

/// Ends kage as the agent ended. A signal that shells act on is raised again, so that a ^C also ends the loop
/// that kage was called from. For any other signal, which would only write a second core file, returns the
/// exit status 128 + `signal`.
pub fn reraise(signal: i32) -> i32 {
    if [SIGHUP, SIGINT, SIGTERM, SIGPIPE].contains(&signal) {
        let _ = low_level::emulate_default_handler(signal);
    }
    128 + signal
}

/// Returns the time that is left, in the form that `poll` expects.
pub(super) fn time_left(until: Instant) -> Timespec {
    let left = until.saturating_duration_since(Instant::now());
    Timespec::try_from(left).unwrap_or(Timespec { tv_sec: i64::from(i32::MAX), tv_nsec: 0 })
}
