//! The inputs and results of running an agent.

use std::io;
use std::time::Instant;

use crate::agent::{Captured, Exit, SecretKind};
use crate::pool::Delivery;
use crate::secret::Secret;

/// The secret of an attempt, and how the agent gets it.
pub struct Handover {
    pub secret: Secret,
    pub kind: &'static SecretKind,
    pub deliver: Delivery,
}

/// Observes a running agent, and may end it.
pub trait SessionObserver {
    /// Called when the agent has been started.
    fn started(&mut self);

    /// Called each time kage wakes: a helper process that the observer started may have ended.
    fn reap(&mut self);

    /// Called when a hook of the agent has reported something (`reported`), or at the time that the last
    /// response named.
    fn look(&mut self, reported: bool) -> Response;
}

/// What kage does next while the agent runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Response {
    /// Sleeps until something happens.
    Sleep,
    /// Sleeps until this time at the latest.
    Until(Instant),
    /// Sends the agent SIGTERM, and sleeps until it has ended or until this time.
    Terminate(Instant),
}

/// What the agent reads on standard input.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Input {
    /// kage's own standard input, from its position when the run began.
    FromStart,
    /// Nothing: `/dev/null`.
    Nothing,
}

/// The result of starting an agent.
#[derive(Debug)]
pub enum Launched {
    Ended(ChildExit),
    /// A signal with this number arrived before the agent was started.
    Signal(i32),
}

/// How the agent's process ended.
#[derive(Debug)]
pub struct ChildExit {
    pub exit: Exit,
    /// Whether kage received a HUP, INT, QUIT or TERM while the agent ran or while its last output was
    /// delivered.
    pub interrupted: bool,
    pub captured: Captured,
}

/// The result of delivering withheld output.
#[derive(Debug)]
pub enum Released {
    Written,
    /// It could not be written.
    Lost(io::Error),
    /// A signal with this number ended the delivery.
    Signal(i32),
}
