//! What a run does outside of kage's own data: it starts agents, sleeps, and asks.

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

/// What a run does outside of kage's own data. A test has one without processes.
pub(crate) trait Host {
    /// Runs an agent and waits for its end. The error is why it could not be started.
    fn run(&self, launch: Launch<'_>, streams: Streams<'_>) -> Result<Launched, Failure>;

    /// Sleeps. The error is a signal that ends kage.
    fn pause(&self, duration: Duration) -> Result<(), i32>;

    /// Asks a question at the terminal.
    fn ask(&self, question: &str) -> Answer;
}

/// The system itself.
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
