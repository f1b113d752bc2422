//! The tmux pane that a run is in: options by which a status line or a script can tell what runs there, and
//! messages to whoever looks at it. Called by `exec`; nothing of a run depends on it.
//!
//! Each command is a process of its own, and they must take effect in their order, while nobody waits for one:
//! a server that hangs must not hold up the agent. So each holds the writing end of a pipe as its standard
//! output, and the next begins with a shell that reads this pipe to its end.

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

/// How long a message stays, in milliseconds.
const SHOWN_FOR: &str = "4000";
/// How long the end of a run waits for tmux.
const PATIENCE: Duration = Duration::from_secs(2);
/// So many commands that have not ended mean that the server hangs; it gets no more of them.
const MOST: usize = 8;
/// The command behind another one, which has ended when its output has.
const AFTER_ANOTHER: &str = r#"read -r _; exec "$0" "$@" </dev/null"#;

/// A pane, and what was started for it.
pub(in crate::engine) struct Pane {
    tmux: PathBuf,
    /// `%5`.
    id: String,
    /// Variables that tmux has no use for: its server sees them all.
    withheld: Vec<OsString>,
    started: Vec<Child>,
    /// Ends with the last of them.
    last: Option<PipeReader>,
    is_marked: bool,
}

impl Pane {
    /// The pane that kage runs in; `None` outside of tmux.
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

    /// Shows a text for some seconds to whoever looks at the pane.
    pub(in crate::engine) fn message(&mut self, text: &str) {
        let words = ["display-message", "-d", SHOWN_FOR, "-t", &self.id, "--"].map(str::to_owned);
        let command = words.into_iter().chain([argument(&literal(text))]).collect();
        self.start(&[command]);
    }

    /// The command that sets an option of the pane, or unsets it.
    fn option(&self, name: &str, value: Option<&str>) -> Vec<String> {
        let flags = if value.is_some() { "-p" } else { "-pu" };
        let words = ["set-option", flags, "-t", &self.id, "--", name].map(str::to_owned);
        words.into_iter().chain(value.map(|value| argument(&one_line(value)))).collect()
    }

    /// Takes notice of what has ended, so that none is left in the system's table.
    pub(in crate::engine) fn reap(&mut self) {
        self.started.retain_mut(|child| matches!(child.try_wait(), Ok(None)));
    }

    fn start(&mut self, commands: &[Vec<String>]) {
        self.reap();
        if self.started.len() < MOST {
            let words = commands.join(&";".to_owned());
            // tmux not being there any more is no failure of the run.
            let _ = self.spawn(&words);
        }
    }

    /// In a group of its own, so that a ^C at the terminal is not meant for it.
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
    /// What hangs is left to its server: it ends with it, or takes effect in its order when it wakes.
    fn drop(&mut self) {
        if self.is_marked {
            let commands = [SUBSCRIPTION, NAMESPACE, STATUS].map(|name| self.option(name, None));
            let _ = self.spawn(&commands.join(&";".to_owned()));
        }
        let begun = Instant::now();
        loop {
            self.reap();
            if self.started.is_empty() || begun.elapsed() >= PATIENCE {
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

/// A text that tmux shows as it is: its formats begin with `#`, and those of the time with `%`. Source:
/// tmux(1), FORMATS.
fn literal(text: &str) -> String {
    one_line(text).replace('#', "##").replace('%', "%%")
}

/// A word on tmux's command line: a `;` at its end would end the command. Source: tmux(1), COMMAND PARSING.
fn argument(text: &str) -> String {
    match text.strip_suffix(';') {
        Some(rest) => format!("{rest}\\;"),
        None => text.to_owned(),
    }
}

#[cfg(test)]
mod tests;
