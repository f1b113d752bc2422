//! Signals: caught while the agent lives, with their sender, and died of when the agent died of one.

use std::io;

use rustix::process::{Pid, Signal, getpgid, getpgrp, getpid};
use signal_hook::consts::signal::{
    SIGCHLD, SIGHUP, SIGINT, SIGPIPE, SIGQUIT, SIGTERM, SIGTSTP, SIGUSR1, SIGUSR2,
};
use signal_hook::iterator::SignalsInfo;
use signal_hook::iterator::exfiltrator::origin::WithOrigin;
use signal_hook::low_level;

/// What kage would die or stop of while its agent runs.
const WATCHED: [i32; 7] = [SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGTSTP, SIGUSR1, SIGUSR2];

/// A signal and who sent it.
pub(super) struct Caught {
    pub(super) signal: Signal,
    /// `None` for the kernel: the terminal.
    sender: Option<Pid>,
}

impl Caught {
    pub(super) fn is_for_the_agent(&self, agent: Pid) -> bool {
        let Some(sender) = self.sender else { return false };
        if sender == agent {
            return false;
        }
        let Ok(senders_group) = getpgid(Some(sender)) else { return true };
        let own_group = getpgrp();
        // An agent that leads a group of its own signals its own processes.
        let agents_group = getpgid(Some(agent)).ok().filter(|&group| group != own_group);
        // A group that kage leads holds only kage, the agent and what it started. In another's group the
        // sender may be the harness that started kage.
        let leads = own_group == getpid();
        Some(senders_group) != agents_group && !(leads && senders_group == own_group)
    }
}

/// The signals that have come and not been looked at.
pub(super) struct Signals(SignalsInfo<WithOrigin>);

impl Signals {
    /// From here on the signals wait here. One that was ignored on entry stays ignored, for the agent
    /// too: `nohup` would be undone by a handler.
    pub(super) fn catch() -> io::Result<Self> {
        let watched = WATCHED.into_iter().filter(|&signal| !is_ignored(signal));
        SignalsInfo::new(watched.chain([SIGCHLD])).map(Self)
    }

    /// Sleeps until at least one has come. That of a child is only the waking.
    pub(super) fn wait(&mut self) -> impl Iterator<Item = Caught> {
        self.0.wait().filter_map(|origin| {
            let signal = Signal::from_named_raw(origin.signal).filter(|&signal| signal != Signal::CHILD)?;
            let sender = origin.process.and_then(|process| Pid::from_raw(process.pid));
            Some(Caught { signal, sender })
        })
    }
}

#[allow(unsafe_code)]
fn is_ignored(signal: i32) -> bool {
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
pub(crate) fn expect_children() {
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
pub(crate) fn die_of(signal: i32) -> i32 {
    if [SIGHUP, SIGINT, SIGTERM, SIGPIPE].contains(&signal) {
        let _ = low_level::emulate_default_handler(signal);
    }
    128 + signal
}
