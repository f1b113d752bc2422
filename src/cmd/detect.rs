//! `kage detect`: the verdict on the saved output of an agent. Changes nothing and reads no state.

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

/// Only this many bytes at the end of a file are read, because an error is at the end.
const LONGEST: usize = 64 << 20;

/// A longer text is not searched for a line that is an error on its own.
const LONGEST_PASTE: usize = 8 << 10;

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
        let is_unknown = detected.outcome.rule == "exit" && detected.outcome.verdict == Verdict::AgentFailed;
        let is_error = |line: &[u8]| {
            let alone = config.agents.detect(agent, Saved { text: line, exit, at: &at });
            alone.outcome.rule != "exit"
        };
        let mut lines = text.split(|&byte| byte == b'\n');
        if is_unknown && text.len() <= LONGEST_PASTE && lines.any(is_error) {
            report::say("several lines count as an answer of the agent; paste only the line of the error");
        }
    }
    Ok(status(&detected.outcome.verdict))
}

/// The exit status for a verdict.
fn status(verdict: &Verdict) -> i32 {
    match verdict {
        Verdict::UsageLimit { .. } => 10,
        Verdict::Throttled { .. } => 11,
        Verdict::Overloaded => 12,
        Verdict::AuthRejected | Verdict::OrganizationRefused | Verdict::BillingRejected => 13,
        Verdict::Succeeded
        | Verdict::AgentFailed
        | Verdict::NotStarted
        | Verdict::Interrupted
        | Verdict::Unreachable
        | Verdict::TimedOut => 0,
    }
}

/// Reads the saved output, or the end of it.
fn text(file: Option<&Path>) -> Result<Vec<u8>, Failure> {
    let (name, read) = match file.filter(|file| *file != Path::new("-")) {
        Some(file) => (file.display().to_string(), File::open(file).and_then(end)),
        None => ("standard input".to_owned(), end_of_stdin()),
    };
    let (text, is_cut) = read.map_err(|why| unreadable(&name, &why))?;
    if is_cut {
        report::warn(format_args!("{name} is too long; only its last {} MiB were read", LONGEST >> 20));
    }
    Ok(text)
}

fn end_of_stdin() -> io::Result<(Vec<u8>, bool)> {
    if io::stdin().is_terminal() {
        report::say("paste the output, then press Ctrl-D");
    }
    end(io::stdin().lock())
}

/// Reads the end of a stream. Also returns whether the beginning was cut off. A partial first line is kept:
/// without it, the rest could look like the whole output.
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

fn unreadable(name: &str, why: &io::Error) -> Failure {
    let hint = match why.kind() {
        ErrorKind::NotFound => "check the path, or pipe the output in: claude -p hi | kage detect",
        ErrorKind::IsADirectory => "name a file, such as a transcript in that directory",
        _ => "check its permissions: ls -l",
    };
    Failure::usage(format!("could not read {name}: {why}")).hint(hint)
}
