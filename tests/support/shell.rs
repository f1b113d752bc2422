//! Interactive shells at a terminal, and the state of their jobs.

// Each suite uses its part, and a failed unwrap is a failed test.
#![allow(dead_code, unreachable_pub, clippy::unwrap_used)]

use rexpect::session::{PtySession, spawn_command};
use rustix::process::Pid;

use crate::support::{self, Call, Sandbox, has_all, wait_until};

/// In milliseconds, long enough for a loaded machine. A successful test never waits for it.
const PATIENCE: u64 = 30_000;
/// Text that occurs in no command and no output.
const PROMPT: &str = "@@ ";

/// Starts a program as the session leader of its own terminal, as in `docker run -it`.
pub fn at_a_terminal(call: Call) -> PtySession {
    let mut session = spawn_command(call.command, Some(PATIENCE)).unwrap();
    // A failed test must not wait for a shell that ignores SIGTERM.
    session.process.set_kill_timeout(Some(1_000));
    session
}

/// A shell with job control and without the user's own settings.
pub struct Shell {
    pub name: &'static str,
    pub session: PtySession,
}

impl Shell {
    /// bash, and zsh if it is installed. `kage` is on their PATH.
    pub fn each(sandbox: &Sandbox) -> impl Iterator<Item = Self> {
        let kage = sandbox.path("bin/kage");
        if !kage.exists() {
            std::os::unix::fs::symlink(support::kage(), kage).unwrap();
        }
        let zsh =
            has_all(&["zsh"]).then(|| Self::start(sandbox, "zsh", &["-f", "-i", "+Z", "+o", "promptsp"]));
        [Self::start(sandbox, "bash", &["--norc", "--noediting", "-i"])].into_iter().chain(zsh)
    }

    fn start(sandbox: &Sandbox, name: &'static str, args: &[&str]) -> Self {
        let call = sandbox.call(name.as_ref(), args).env("PS1", PROMPT).env("TERM", "xterm");
        let mut shell = Self { name, session: at_a_terminal(call) };
        shell.prompt();
        shell
    }

    pub fn send(&mut self, line: &str) {
        self.session.send_line(line).unwrap();
    }

    /// Types a key together with Control.
    pub fn control(&mut self, key: char) {
        self.session.send_control(key).unwrap();
    }

    /// Returns the output before this text.
    pub fn until(&mut self, text: &str) -> String {
        let name = self.name;
        self.session.exp_string(text).unwrap_or_else(|why| panic!("{name} did not show `{text}`: {why}"))
    }

    /// Returns the output before the next prompt.
    pub fn prompt(&mut self) -> String {
        self.until(PROMPT)
    }

    /// Runs a command and returns its output.
    pub fn run(&mut self, line: &str) -> String {
        self.send(line);
        self.prompt()
    }

    /// Ends the shell with `exit`, because an interactive shell ignores SIGTERM.
    pub fn leave(mut self) {
        self.send("exit");
        self.session.exp_eof().unwrap();
    }
}

/// The state of a process as in proc(5) (`T` is stopped); `None` if it has ended.
pub fn state_of(pid: Pid) -> Option<char> {
    let stat = std::fs::read_to_string(format!("/proc/{}/stat", pid.as_raw_nonzero())).ok()?;
    let state = stat.rsplit_once(") ")?.1.chars().next();
    state.filter(|state| !matches!(state, 'Z' | 'X'))
}

pub fn wait_until_stopped(pid: Pid) {
    wait_until("a process is stopped", || state_of(pid).is_some_and(|state| state == 'T'));
}

/// Waits until a process has ended, so that no orphan is left.
pub fn wait_until_gone(pid: Pid) {
    wait_until("a process is gone", || state_of(pid).is_none());
}

/// Installs an agent that writes its own process id and that of its parent to `work/pids`.
pub fn agent(sandbox: &Sandbox, perl: &str) {
    let begin = r#"use POSIX (); $| = 1; $SIG{$_} = "DEFAULT" for qw(HUP INT QUIT TERM TSTP);
sub ready { open my $f, ">", "pids.new"; print $f "$$ ", getppid(), "\n"; close $f; rename "pids.new", "pids" }
sub idle { ready(); sleep 600 while 1 }
"#;
    sandbox.program("agent", &format!("#!/usr/bin/perl\n{begin}{perl}\n"));
}

/// The process ids of the agent and of its kage. Deletes the file, so the next call waits for the next agent.
pub fn pids(sandbox: &Sandbox) -> (Pid, Pid) {
    wait_until("the agent is ready", || sandbox.path("work/pids").exists());
    let text = sandbox.read("work/pids");
    std::fs::remove_file(sandbox.path("work/pids")).unwrap();
    let mut pids = text.split_whitespace().map(|pid| Pid::from_raw(pid.parse().unwrap()).unwrap());
    (pids.next().unwrap(), pids.next().unwrap())
}
