//! `kage exec`: a run, from what was typed to its exit status.

use anyhow::Result;

use crate::cli;
use crate::engine::{
    Arguments, Beginning, Context, Patience, Rehearsal, Run, RunEnd, Said, System, Voice, depth,
};
use crate::report;
use crate::run::die_of;

/// Runs the command; the answer is the agent's exit status.
pub(super) fn run(args: cli::Exec) -> Result<i32> {
    let depth = depth()?;
    let mut voice = Voice::terminal(report::sentence);
    if args.quiet {
        voice.hush();
    }
    let is_rehearsal = args.dry_run;
    // What the run looks things up in lives until the process ends, which gives it back at once.
    let context: &Context = Box::leak(Box::new(Context::open_to_run(voice)?));
    let run = Run::new(arguments(args), context, &System, depth)?;
    for typo in run.likely_typos() {
        context.voice.say(Said::LikelyTypo(typo), &context.now());
    }
    if is_rehearsal {
        return rehearse(&run, context).map(|()| 0);
    }
    let state = match run.begin()? {
        Beginning::Ready(state) => *state,
        Beginning::NotReady(why) => {
            return Err(report::not_ready(&why, run.request(), &context.now()).into());
        }
        Beginning::Signal(signal) => return Ok(die_of(signal)),
    };
    if run.replaces() {
        return Err(run.replace(state));
    }
    Ok(match run.complete(state)? {
        RunEnd::Code(code) => code,
        RunEnd::Signal(signal) => die_of(signal),
    })
}

fn arguments(args: cli::Exec) -> Arguments {
    Arguments {
        ask: super::context::ask(&args.ask),
        agent: args.agent,
        subscription: args.subscription,
        wait: args.wait.map(|cli::Patience(most)| Patience(most)),
        retries: args.retries,
        keep_env: args.keep_env,
        replaces: args.replace,
        command: args.command,
    }
}

/// What would run, without choosing for real and without touching a secret.
fn rehearse(run: &Run<'_>, context: &Context) -> Result<()> {
    match run.rehearse()? {
        Rehearsal::Plan { subscription, plan, carrier } => {
            report::print(&report::dry_run(&subscription, run.program(), &plan, &carrier))
        }
        Rehearsal::NotReady(why) => Err(report::not_ready(&why, run.request(), &context.now()).into()),
    }
}
