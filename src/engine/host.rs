//! The operating system as a run uses it: starting agents, sleeping, asking the user.

use std::ffi::OsString;
use std::time::Duration;

use crate::agent::LaunchPlan;
use crate::error::Failure;
use crate::run::{self, Answer, Handover, Launched, Program, Streams};

/// One start of an agent.
pub(crate) struct Launch<'a> {
    pub program: &'a Program,
    pub plan: &'a LaunchPlan,
    pub handover: Option<Handover>,
    pub marks: Vec<(&'static str, OsString)>,
}

/// The operating system as a run uses it. Tests have an implementation without processes.
pub(crate) trait Host {
    /// Runs an agent and waits until it ends. The error says why it could not be started.
    fn run(&self, launch: Launch<'_>, streams: Streams<'_>) -> Result<Launched, Failure>;

    /// Sleeps. The error is the number of a signal that ends kage.
    fn pause(&self, duration: Duration) -> Result<(), i32>;

    /// Asks a question at the terminal.
    fn ask(&self, question: &str) -> Answer;
}

/// The real operating system.
pub(crate) struct System;

impl Host for System {
    fn run(&self, launch: Launch<'_>, streams: Streams<'_>) -> Result<Launched, Failure> {
        run::run(launch.program, launch.plan, launch.handover, &launch.marks, streams)
    }

    fn pause(&self, duration: Duration) -> Result<(), i32> {
        run::pause(duration)
    }

    fn ask(&self, question: &str) -> Answer {
        run::ask(question)
    }
}
