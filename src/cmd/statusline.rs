//! `kage statusline`: the subscription of a running agent, for the agent's status line. The agent calls it at
//! each redraw, so it never fails, never waits long, and almost always only reads.

mod input;

use std::env;
use std::ffi::OsString;
use std::io;
use std::os::unix::process::CommandExt as _;
use std::path::PathBuf;
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::Result;

use crate::cli;
use crate::engine::{Context, StatuslineRun, Voice, WindowReadings};
use crate::paths::Paths;
use crate::pool::Status;
use crate::report::{self, Segment};
use crate::run::Program;
use crate::secret::PASSPHRASE;

/// How long to wait for the agent's input.
const TIMEOUT: Duration = Duration::from_millis(150);
/// The separator between kage's segment and the output of the user's command.
const SEPARATOR: &str = " │ ";

pub(super) fn run(args: &cli::Statusline) {
    let drawn = draw().unwrap_or_else(|why| {
        report::failed(&why);
        None
    });
    let program = args.command.first().map(|name| Program::find(name, &shims()));
    let end = if matches!(program, Some(Ok(_))) { SEPARATOR } else { "\n" };
    if let Some(drawn) = &drawn {
        report::print_part(&drawn.segment);
        report::print_part(end);
        drawn.run.record(&drawn.context, &drawn.readings);
    }
    match program {
        Some(Ok(program)) => {
            let why = become_command(&program, &args.command, drawn.as_ref());
            report::say(format_args!("could not run `{}`: {why}", program.path.display()));
            if drawn.is_some() {
                report::print_part("\n");
            }
        }
        Some(Err(why)) => report::say(why),
        None => {}
    }
}

/// Replaces kage with the command, so that the command gets the signals and its exit status is the result.
/// Returns only if this fails.
fn become_command(program: &Program, words: &[OsString], drawn: Option<&Drawn>) -> io::Error {
    let mut command = Command::new(&program.path);
    command.arg0(&program.name).args(&words[1..]).env_remove(PASSPHRASE);
    match drawn.map(|drawn| input::as_stdin(&drawn.input)) {
        Some(Ok(stdin)) => drop(command.stdin(stdin)),
        Some(Err(why)) => return why,
        None => {}
    }
    command.exec()
}

fn shims() -> PathBuf {
    Paths::from_environment().map(|paths| paths.shims).unwrap_or_default()
}

/// kage's segment of the line, and the data from which it was drawn.
struct Drawn {
    segment: String,
    input: Vec<u8>,
    context: Context,
    run: StatuslineRun,
    readings: WindowReadings,
}

/// Draws kage's segment. Returns `None`, without reading the input, if the agent was not started by kage.
fn draw() -> Result<Option<Drawn>> {
    if !StatuslineRun::is_marked() {
        return Ok(None);
    }
    // Silent, because this is called again and again; other verbs report problems.
    let context = Context::open(Voice::silent())?;
    let Some(run) = StatuslineRun::find(&context)? else { return Ok(None) };
    let input = input::read(Instant::now() + TIMEOUT);
    let readings = run.readings(&context, &input);
    let segment = segment(&context, &run, &readings);
    Ok(Some(Drawn { segment, input, context, run, readings }))
}

fn segment(context: &Context, run: &StatuslineRun, readings: &WindowReadings) -> String {
    let (pool, now) = (&context.config.pool, context.now());
    let name = &run.lease.subscription;
    let known = run.state.of(name);
    let subscription = pool.subscriptions.get(name);
    let status = |subscription| known.status(subscription, now.timestamp());
    let segment = Segment {
        subscription: name,
        windows: &known.windows(&readings.all, now.timestamp()),
        status: subscription.map_or(Status::Active, status),
        near_limit: pool.near_limit,
        color: env::var_os("NO_COLOR").is_none_or(|value| value.is_empty()),
    };
    segment.line(&now)
}
