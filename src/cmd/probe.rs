//! Runs other programs for their first line of output, with a timeout. Called by the doctor, and to ask zsh
//! where it reads its start-up files.

use std::env;
use std::ffi::OsString;
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process_group};

use crate::agent::Agents;
use crate::config::{self, Config};
use crate::engine::withheld;
use crate::paths::Paths;
use crate::secret;
use crate::text::one_line;

/// The timeout of a program that only prints its version.
const TIMEOUT: Duration = Duration::from_secs(5);
/// The timeout of an agent. On a busy machine, an agent on Node.js takes seconds.
pub(super) const AGENT_TIMEOUT: Duration = Duration::from_secs(15);

/// Variables that every program needs.
const NEEDED: [&str; 2] = ["HOME", "PATH"];

/// The variables of this process that are withheld from the programs: those that contain a credential of an
/// agent, including the agents of the config. If the config is invalid, its agents are unknown. Then a
/// variable is withheld if its name occurs in the text of the config or suggests that it holds a secret.
pub(super) fn withheld_variables(paths: &Paths) -> Vec<OsString> {
    if let Ok(config) = Config::load(paths) {
        return withheld(&config.agents);
    }
    let text = config::bytes(&paths.config);
    let text = String::from_utf8_lossy(&text);
    let may_carry =
        |name: &str| !NEEDED.contains(&name) && (text.contains(name) || secret::is_secret_name(name));
    let names = env::vars_os().map(|(name, _)| name);
    let more = names.filter(|name| name.to_str().is_some_and(may_carry));
    withheld(&Agents::default()).into_iter().chain(more).collect()
}

/// The result of running a program.
pub(super) enum Answer {
    /// The first line of its output.
    Said(String),
    /// The reason of a failure, as the predicate of a sentence about the program.
    Failed(String),
    /// It did not finish within this timeout and was ended.
    Silent(Duration),
}

/// Runs a program without the withheld variables and returns the first line of its output.
pub(super) fn ask(program: &Path, args: &[&str], withheld: &[OsString]) -> Answer {
    ask_with(program, args, withheld, [], TIMEOUT)
}

/// Like `ask`, with additional variables and a given timeout.
pub(super) fn ask_with(
    program: &Path,
    args: &[&str],
    withheld: &[OsString],
    variables: impl IntoIterator<Item = (String, OsString)>,
    timeout: Duration,
) -> Answer {
    let mut command = Command::new(program);
    for name in withheld {
        command.env_remove(name);
    }
    // In its own process group, so that the processes it starts are ended with it.
    let child = command
        .args(args)
        .envs(variables)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .process_group(0)
        .spawn();
    let child = match child {
        Ok(child) => child,
        Err(why) => return Answer::Failed(format!("could not be started: {why}")),
    };
    let pid = Pid::from_child(&child);
    let (done, wait) = mpsc::channel();
    thread::spawn(move || done.send(child.wait_with_output()));
    let output = match wait.recv_timeout(timeout) {
        Ok(Ok(output)) => output,
        Ok(Err(why)) => return Answer::Failed(format!("could not be read: {why}")),
        Err(_) => {
            let _ = kill_process_group(pid, Signal::TERM);
            return Answer::Silent(timeout);
        }
    };
    let first = |bytes: &[u8]| one_line(String::from_utf8_lossy(bytes).lines().next().unwrap_or_default());
    if output.status.success() {
        return Answer::Said(first(&output.stdout));
    }
    let said = first(&output.stderr);
    let said = if said.is_empty() { said } else { format!(": {said}") };
    Answer::Failed(format!("failed ({}){said}", output.status))
}

/// Parses the version in a line such as `codex-cli 0.171.0` or `tmux 3.5a`.
pub(super) fn version_in(line: &str) -> Option<[u32; 3]> {
    let word = line.split_whitespace().find(|word| {
        word.trim_start_matches('v').starts_with(|first: char| first.is_ascii_digit()) && word.contains('.')
    })?;
    let mut numbers = word.trim_start_matches('v').split('.').map(|part| {
        let digits: String = part.chars().take_while(char::is_ascii_digit).collect();
        digits.parse().unwrap_or(0)
    });
    Some([numbers.next()?, numbers.next().unwrap_or(0), numbers.next().unwrap_or(0)])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_version_is_found_in_the_output_of_programs() {
        for (line, version) in [
            ("2.1.332 (Claude Code)", Some([2, 1, 332])),
            ("codex-cli 0.171.0", Some([0, 171, 0])),
            ("tmux 3.5a", Some([3, 5, 0])),
            ("v0.61.0-nightly.1", Some([0, 61, 0])),
            ("tmux next-3.6", None),
            ("", None),
        ] {
            assert_eq!(version_in(line), version, "{line}");
        }
    }

    #[test]
    fn a_failed_program_is_distinguished_from_a_successful_one() {
        let sh = |line: &str| ask(Path::new("/bin/sh"), &["-c", line], &[]);
        assert!(matches!(sh("echo a; echo b"), Answer::Said(line) if line == "a"));
        assert!(matches!(sh("echo no >&2; exit 3"), Answer::Failed(why) if why.ends_with(": no")));
        assert!(matches!(ask(Path::new("/nowhere"), &[], &[]), Answer::Failed(_)));
    }
}
