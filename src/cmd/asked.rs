//! Programs that are asked for a word and may never give one. Called by the doctor, and where zsh looks is asked of zsh.

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

/// For a program that only says its version.
const PATIENCE: Duration = Duration::from_secs(5);
/// An agent on Node.js takes seconds on a machine that is busy.
pub(super) const PATIENCE_FOR_AGENT: Duration = Duration::from_secs(15);

/// What no program can do without.
const NEEDED: [&str; 2] = ["HOME", "PATH"];

/// The variables of this process that a program which is asked is not given: what carries a credential of an agent,
/// also of one that only the config knows. Where the config is refused nobody knows its agents. Then any variable
/// counts that is named in it, and any whose name looks like that of a secret.
pub(super) fn withheld_by(paths: &Paths) -> Vec<OsString> {
    if let Ok(config) = Config::load(paths) {
        return withheld(&config.agents);
    }
    let text = config::bytes(&paths.config);
    let text = String::from_utf8_lossy(&text);
    let may_carry =
        |name: &str| !NEEDED.contains(&name) && (text.contains(name) || secret::is_name_of_one(name));
    let names = env::vars_os().map(|(name, _)| name);
    let more = names.filter(|name| name.to_str().is_some_and(may_carry));
    withheld(&Agents::default()).into_iter().chain(more).collect()
}

/// What a program did with its arguments.
pub(super) enum Answer {
    /// Its first line.
    Said(String),
    /// Why there is none, as the rest of a sentence about it.
    Failed(String),
    /// It was ended, for it took longer than this.
    Silent(Duration),
}

/// Runs a program for the first line that it prints, without the variables that are withheld from it.
pub(super) fn ask(program: &Path, args: &[&str], withheld: &[OsString]) -> Answer {
    ask_with(program, args, withheld, [], PATIENCE)
}

/// The same with variables, and with a patience of its own.
pub(super) fn ask_with(
    program: &Path,
    args: &[&str],
    withheld: &[OsString],
    variables: impl IntoIterator<Item = (String, OsString)>,
    patience: Duration,
) -> Answer {
    let mut command = Command::new(program);
    for name in withheld {
        command.env_remove(name);
    }
    // In a group of its own, so that what it starts ends with it.
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
        Err(why) => return Answer::Failed(format!("cannot be started: {why}")),
    };
    let pid = Pid::from_child(&child);
    let (done, wait) = mpsc::channel();
    thread::spawn(move || done.send(child.wait_with_output()));
    let output = match wait.recv_timeout(patience) {
        Ok(Ok(output)) => output,
        Ok(Err(why)) => return Answer::Failed(format!("cannot be read from: {why}")),
        Err(_) => {
            let _ = kill_process_group(pid, Signal::TERM);
            return Answer::Silent(patience);
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

/// The numbers of a version in a line such as `codex-cli 0.169.0` or `tmux 3.5a`.
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
    fn a_version_is_found_in_what_programs_say() {
        for (line, version) in [
            ("2.1.330 (Claude Code)", Some([2, 1, 330])),
            ("codex-cli 0.169.0", Some([0, 169, 0])),
            ("tmux 3.5a", Some([3, 5, 0])),
            ("v0.61.0-nightly.1", Some([0, 61, 0])),
            ("tmux next-3.6", None),
            ("", None),
        ] {
            assert_eq!(version_in(line), version, "{line}");
        }
    }

    #[test]
    fn a_program_that_fails_is_told_from_one_that_speaks() {
        let sh = |line: &str| ask(Path::new("/bin/sh"), &["-c", line], &[]);
        assert!(matches!(sh("echo a; echo b"), Answer::Said(line) if line == "a"));
        assert!(matches!(sh("echo no >&2; exit 3"), Answer::Failed(why) if why.ends_with(": no")));
        assert!(matches!(ask(Path::new("/nowhere"), &[], &[]), Answer::Failed(_)));
    }
}
