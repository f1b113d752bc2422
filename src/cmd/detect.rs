//! `kage detect`: what a saved output of an agent means. Changes nothing, and reads no state.

use std::fs::File;
use std::io::{self, ErrorKind, IsTerminal as _, Read};
use std::path::Path;

use anyhow::Result;

use crate::agent::{Exit, Saved};
use crate::cli;
use crate::clock;
use crate::config::Config;
use crate::error::Failure;
use crate::paths::Paths;
use crate::pool::Verdict;
use crate::report;

/// No more than this of a file is looked at, in bytes; an error is at its end.
const LONGEST: usize = 64 << 20;

pub(super) fn run(args: &cli::Detect) -> Result<i32> {
    let config = Config::load(&Paths::from_environment()?)?;
    let agent = args.agent.as_deref().map(|name| config.agent(name)).transpose()?;
    let now = clock::now();
    let at = args.at.map_or_else(|| now.clone(), |at| at.to_zoned(now.time_zone().clone()));
    let text = text(args.file.as_deref())?;
    let exit = Exit::Code(args.exit);
    let detected = config.agents.detect(agent, Saved { text: &text, exit, at: &at });
    if args.form.json {
        report::print_json(&report::detected_json(&detected))?;
    } else {
        report::print(&report::detected(&detected, &at))?;
    }
    Ok(status(&detected.outcome.verdict))
}

/// The exit status that tells a script the verdict.
fn status(verdict: &Verdict) -> i32 {
    match verdict {
        Verdict::UsageLimit { .. } => 10,
        Verdict::Throttled { .. } => 11,
        Verdict::Overloaded => 12,
        Verdict::AuthRejected | Verdict::OrganisationRefused | Verdict::BillingRejected => 13,
        Verdict::Succeeded
        | Verdict::AgentFailed
        | Verdict::NotStarted
        | Verdict::Interrupted
        | Verdict::Unreachable
        | Verdict::TimedOut => 0,
    }
}

/// What was saved, or its end.
fn text(file: Option<&Path>) -> Result<Vec<u8>, Failure> {
    let (name, read) = match file.filter(|file| *file != Path::new("-")) {
        Some(file) => (file.display().to_string(), File::open(file).and_then(end)),
        None => ("standard input".to_owned(), end_of_stdin()),
    };
    let (text, is_cut) = read.map_err(|refused| unreadable(&name, &refused))?;
    if is_cut {
        report::warn(format_args!("{name} is long; only its last {} MiB were looked at", LONGEST >> 20));
    }
    Ok(text)
}

fn end_of_stdin() -> io::Result<(Vec<u8>, bool)> {
    if io::stdin().is_terminal() {
        report::say("reading what you paste; end it with Ctrl-D");
    }
    end(io::stdin().lock())
}

/// The end of a stream, and whether anything stood before it. A line that was cut stays: without it what
/// is behind might look like all that there was.
fn end(mut stream: impl Read) -> io::Result<(Vec<u8>, bool)> {
    let mut text = Vec::new();
    let mut is_cut = false;
    while stream.by_ref().take(LONGEST as u64).read_to_end(&mut text)? > 0 {
        if text.len() > LONGEST {
            text.drain(..text.len() - LONGEST);
            is_cut = true;
        }
    }
    Ok((text, is_cut))
}

fn unreadable(name: &str, refused: &io::Error) -> Failure {
    let hint = match refused.kind() {
        ErrorKind::NotFound => "check the path, or pipe the output in: claude -p hi | kage detect",
        ErrorKind::IsADirectory => "name a file: a saved output, or a transcript in that directory",
        _ => "check who may read it: ls -l",
    };
    Failure::usage(format!("could not read {name}: {refused}")).hint(hint)
}
