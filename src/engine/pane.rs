//! The tmux pane of a run: sets pane options that status lines and scripts can read, and shows messages to
//! the user. Called by `exec`; no part of a run depends on it.
//!
//! Each tmux command is its own process. The commands must take effect in order, but kage waits for none of
//! them: a tmux server that hangs must not delay the agent. So each command's standard output is the writing
//! end of a pipe, and the next command starts with a shell that reads this pipe to its end.

use std::env;
use std::ffi::{OsStr, OsString};
use std::io::{self, PipeReader};
use std::os::unix::process::CommandExt as _;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use crate::pool::Name;
use crate::text::one_line;

const SUBSCRIPTION: &str = "@kage_subscription";
const NAMESPACE: &str = "@kage_namespace";
const STATUS: &str = "@kage_status";

/// How long a message is shown, in milliseconds.
const SHOWN_FOR: &str = "4000";
/// How long the end of a run waits for tmux.
const END_LIMIT: Duration = Duration::from_secs(2);
/// If this many commands are still running, the server hangs, and no more are started.
const MAX_RUNNING: usize = 8;
/// The shell script that runs a command after the previous one has ended. It reads the previous command's
/// output until it closes.
const AFTER_ANOTHER: &str = r#"read -r _; exec "$0" "$@" </dev/null"#;

/// A pane, and the commands that were started for it.
pub(in crate::engine) struct Pane {
    tmux: PathBuf,
    /// For example `%5`.
    id: String,
    /// Variables that tmux must not get: its server would see them.
    withheld: Vec<OsString>,
    started: Vec<Child>,
    /// The output of the last command. It ends when the command ends.
    last: Option<PipeReader>,
    is_marked: bool,
}

impl Pane {
    /// Returns the pane that kage runs in; `None` outside tmux.
    pub(in crate::engine) fn here(withheld: Vec<OsString>) -> Option<Self> {
        let is_set = |name: &str| env::var_os(name).is_some_and(|value| !value.is_empty());
        let id = env::var("TMUX_PANE").ok().filter(|id| is_id(id) && is_set("TMUX"))?;
        let mut pane = Self::at(which::which("tmux").ok()?, id);
        pane.withheld = withheld;
        Some(pane)
    }

    fn at(tmux: PathBuf, id: String) -> Self {
        Self { tmux, id, withheld: Vec::new(), started: Vec::new(), last: None, is_marked: false }
    }

    /// Marks the pane with what runs there.
    pub(in crate::engine) fn show(&mut self, subscription: &Name, namespace: Option<&Name>, status: &str) {
        self.is_marked = true;
        let commands = [
            self.option(SUBSCRIPTION, Some(subscription.as_str())),
            self.option(NAMESPACE, namespace.map(Name::as_str)),
            self.option(STATUS, Some(status)),
        ];
        self.start(&commands);
    }

    pub(in crate::engine) fn status(&mut self, status: &str) {
        self.is_marked = true;
        let command = self.option(STATUS, Some(status));
        self.start(&[command]);
    }

    /// Shows a text for a few seconds to the user who looks at the pane.
    pub(in crate::engine) fn message(&mut self, text: &str) {
        let words = ["display-message", "-d", SHOWN_FOR, "-t", &self.id, "--"].map(str::to_owned);
        let command = words.into_iter().chain([argument(&literal(text))]).collect();
        self.start(&[command]);
    }

    /// Returns the command that sets or unsets an option of the pane.
    fn option(&self, name: &str, value: Option<&str>) -> Vec<String> {
        let flags = if value.is_some() { "-p" } else { "-pu" };
        let words = ["set-option", flags, "-t", &self.id, "--", name].map(str::to_owned);
        words.into_iter().chain(value.map(|value| argument(&one_line(value)))).collect()
    }

    /// Reaps the commands that have ended, so that they do not remain as zombies.
    pub(in crate::engine) fn reap(&mut self) {
        self.started.retain_mut(|child| matches!(child.try_wait(), Ok(None)));
    }

    fn start(&mut self, commands: &[Vec<String>]) {
        self.reap();
        if self.started.len() < MAX_RUNNING {
            let words = commands.join(&";".to_owned());
            // The run does not fail if tmux is gone.
            let _ = self.spawn(&words);
        }
    }

    /// Starts a command in its own process group, so that a ^C at the terminal does not reach it.
    fn spawn(&mut self, words: &[String]) -> io::Result<()> {
        let (reader, writer) = io::pipe()?;
        let mut command = match self.last.take().filter(|_| !self.started.is_empty()) {
            Some(last) => {
                let mut command = Command::new("/bin/sh");
                command.args([OsStr::new("-c"), AFTER_ANOTHER.as_ref(), self.tmux.as_ref()]).stdin(last);
                command
            }
            None => {
                let mut command = Command::new(&self.tmux);
                command.stdin(Stdio::null());
                command
            }
        };
        for name in &self.withheld {
            command.env_remove(name);
        }
        command.args(words).stdout(writer).stderr(Stdio::null()).process_group(0);
        self.started.push(command.spawn()?);
        self.last = Some(reader);
        Ok(())
    }
}

impl Drop for Pane {
    /// Removes the marks and waits for the commands. A command that hangs is left running: it ends when the
    /// server ends, or takes effect, still in order, when the server responds again.
    fn drop(&mut self) {
        if self.is_marked {
            let commands = [SUBSCRIPTION, NAMESPACE, STATUS].map(|name| self.option(name, None));
            let _ = self.spawn(&commands.join(&";".to_owned()));
        }
        let begun = Instant::now();
        loop {
            self.reap();
            if self.started.is_empty() || begun.elapsed() >= END_LIMIT {
                return;
            }
            thread::sleep(Duration::from_millis(2));
        }
    }
}

fn is_id(text: &str) -> bool {
    let number = text.strip_prefix('%').unwrap_or_default();
    !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit())
}

/// Escapes a text so that tmux shows it literally: tmux formats begin with `#`, and time formats with `%`.
/// Source: tmux(1), FORMATS.
fn literal(text: &str) -> String {
    one_line(text).replace('#', "##").replace('%', "%%")
}

/// Escapes an argument of a tmux command: a `;` at its end would end the command. Source: tmux(1), COMMAND
/// PARSING.
fn argument(text: &str) -> String {
    match text.strip_suffix(';') {
        Some(rest) => format!("{rest}\\;"),
        None => text.to_owned(),
    }
}

#[cfg(test)]
mod tests;
