//! What goes into a run of an agent, and what comes out of it.

use std::io;
use std::time::Instant;

use crate::agent::{Captured, Exit, SecretKind};
use crate::pool::Delivery;
use crate::secret::Secret;

/// The secret of the run, and how it goes over.
pub struct Handover {
    pub secret: Secret,
    pub kind: &'static SecretKind,
    pub deliver: Delivery,
}

/// Is told what a running agent reports, and may end it.
pub trait SessionObserver {
    /// The agent has been started.
    fn started(&mut self);

    /// kage was woken, whatever for: a process that was started beside the agent may have ended too.
    fn reap(&mut self);

    /// One of its hooks has reported something and woken kage, or it is the moment that was asked for.
    fn look(&mut self, reported: bool) -> Rest;
}

/// Until when kage sleeps beside its agent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rest {
    /// Until something happens.
    Sleep,
    Until(Instant),
    /// The agent is told to end, by a SIGTERM; and until it has, or until the moment where it takes its time.
    Terminate(Instant),
}

/// What the agent reads on standard input.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Input {
    /// kage's own, from where it stood when the run began.
    FromStart,
    /// Nothing: `/dev/null`.
    Nothing,
}

/// What became of a start.
#[derive(Debug)]
pub enum Launched {
    Ended(ChildExit),
    /// This signal came before the agent could be started.
    Signal(i32),
}

/// How the agent's process ended.
#[derive(Debug)]
pub struct ChildExit {
    pub exit: Exit,
    /// A HUP, INT, QUIT or TERM came to kage while the agent ran, or while its last output was on its way.
    pub interrupted: bool,
    pub captured: Captured,
}

/// What became of withheld output.
#[derive(Debug)]
pub enum Released {
    Written,
    /// It could not be written.
    Lost(io::Error),
    /// This signal ended it, whatever its reader does.
    Signal(i32),
}
