//! `kage exec`: a run, from the command line to its exit status.

use anyhow::Result;

use crate::cli;
use crate::engine::{
    Arguments, Beginning, Context, DryRun, Run, RunEnd, Said, System, Voice, WaitLimit, depth,
};
use crate::report;
use crate::run::reraise;

/// Runs the command and returns the agent's exit status.
pub(super) fn run(args: cli::Exec) -> Result<i32> {
    let depth = depth()?;
    let mut voice = Voice::terminal(report::sentence);
    if args.quiet {
        voice.set_quiet();
    }
    let is_dry_run = args.dry_run;
    // The context is never freed: it is needed until the process ends.
    let context: &Context = Box::leak(Box::new(Context::open_to_run(voice)?));
    let run = Run::new(arguments(args), context, &System, depth)?;
    for typo in run.likely_typos() {
        context.voice.say(Said::LikelyTypo(typo), &context.now());
    }
    if is_dry_run {
        return dry_run(&run, context).map(|()| 0);
    }
    let state = match run.begin()? {
        Beginning::Ready(state) => *state,
        Beginning::NotReady(why) => {
            return Err(report::not_ready(&why, run.request(), &context.now()).into());
        }
        Beginning::Signal(signal) => return Ok(reraise(signal)),
    };
    if run.replaces() {
        return Err(run.replace(state));
    }
    Ok(match run.complete(state)? {
        RunEnd::Code(code) => code,
        RunEnd::Signal(signal) => reraise(signal),
    })
}

fn arguments(args: cli::Exec) -> Arguments {
    Arguments {
        ask: super::context::ask(&args.ask),
        agent: args.agent,
        subscription: args.subscription,
        wait: args.wait.map(|cli::WaitLimit(most)| WaitLimit(most)),
        retries: args.retries,
        keep_env: args.keep_env,
        replaces: args.replace,
        command: args.command,
    }
}

/// Shows what would run, without a reservation and without reading a secret.
fn dry_run(run: &Run<'_>, context: &Context) -> Result<()> {
    match run.dry_run()? {
        DryRun::Plan { subscription, plan, carrier } => {
            report::print(&report::dry_run(&subscription, run.program(), &plan, &carrier))
        }
        DryRun::NotReady(why) => Err(report::not_ready(&why, run.request(), &context.now()).into()),
    }
}
