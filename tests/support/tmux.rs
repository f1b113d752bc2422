//! A private tmux server for a test. The test looks at its panes and types into them, as a user does.

// Each suite uses its part; a failed unwrap is a failed test.
#![allow(dead_code, unreachable_pub, clippy::unwrap_used)]

use std::ffi::OsString;
use std::fs;
use std::path::PathBuf;
use std::process::Command;
use std::time::{Duration, Instant};

use crate::support::{Call, wait_until};

pub struct Tmux {
    socket: PathBuf,
    /// PATH and the working directory. A new window takes these from the client that opens it.
    path: OsString,
    dir: PathBuf,
}

/// The prompt of its shells.
const PROMPT: &str = "ready> ";

/// A pane with an interactive bash in it.
pub struct Pane<'a> {
    tmux: &'a Tmux,
    id: String,
}

impl Tmux {
    /// Starts a server with the environment of this call, whose program is not used.
    pub fn start(environment: Call, socket: PathBuf) -> Self {
        Self::begin(environment, socket, &["-f", "/dev/null"])
    }

    /// Like `start`, with the configuration in the home.
    pub fn configured(environment: Call, socket: PathBuf) -> Self {
        Self::begin(environment, socket, &[])
    }

    fn begin(environment: Call, socket: PathBuf, flags: &[&str]) -> Self {
        let path = environment.command.get_envs().find(|(name, _)| *name == "PATH");
        let path = path.and_then(|(_, value)| value).unwrap_or_default().to_owned();
        let dir = environment.command.get_current_dir().unwrap().to_owned();
        let tmux = Self { socket, path, dir };
        let mut start = tmux.command();
        start.env_clear();
        for (name, value) in environment.command.get_envs() {
            start.env(name, value.unwrap_or_default());
        }
        start.env("TERM", "xterm-256color").env("PS1", PROMPT).env("HISTFILE", "/dev/null");
        start.args(flags).args(["new-session", "-d", "-x", "130", "-y", "40", "bash", "--norc"]);
        assert!(start.status().unwrap().success(), "tmux did not start");
        tmux
    }

    fn command(&self) -> Command {
        let mut command = Command::new("tmux");
        command.arg("-S").arg(&self.socket).env_remove("TMUX").env_remove("TMUX_PANE");
        command.env("PATH", &self.path).current_dir(&self.dir);
        command
    }

    /// Runs a tmux command and returns its output.
    pub fn run(&self, args: &[&str]) -> String {
        let ran = self.command().args(args).output().unwrap();
        let said = String::from_utf8_lossy(&ran.stderr);
        assert!(ran.status.success(), "tmux {args:?}: {said}");
        String::from_utf8_lossy(&ran.stdout).into_owned()
    }

    /// The command that attaches to this server from a pane of another server.
    pub fn attach(&self) -> String {
        format!("TMUX= tmux -S {} attach", self.socket.display())
    }

    /// The first pane of the server.
    pub fn first(&self) -> Pane<'_> {
        Pane { tmux: self, id: self.run(&["list-panes", "-F", "#{pane_id}"]).trim().to_owned() }
    }

    /// Opens a window with another bash.
    pub fn another(&self) -> Pane<'_> {
        self.window(&["bash", "--norc"])
    }

    /// Opens a window with a shell whose prompt is `ready> `.
    pub fn window(&self, shell: &[&str]) -> Pane<'_> {
        let id = self.run(&[&["new-window", "-P", "-F", "#{pane_id}"], shell].concat());
        let pane = Pane { tmux: self, id: id.trim().to_owned() };
        pane.resizes(130, 40);
        pane.is_at_the_prompt();
        pane
    }
}

impl Drop for Tmux {
    /// Waits for the shells, which still write into the home before they end; the home is removed afterwards.
    fn drop(&mut self) {
        let panes = self.command().args(["list-panes", "-a", "-F", "#{pane_pid}"]).output();
        let panes =
            panes.map(|listed| String::from_utf8_lossy(&listed.stdout).into_owned()).unwrap_or_default();
        let _ = self.command().arg("kill-server").output();
        for pid in panes.lines() {
            wait_until("the shell has ended", || has_ended(pid));
        }
    }
}

/// Whether a process is gone or a zombie.
fn has_ended(pid: &str) -> bool {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    stat.rsplit_once(") ").is_none_or(|(_, rest)| rest.starts_with('Z'))
}

impl Pane<'_> {
    /// Types a line, and Enter.
    pub fn enter(&self, line: &str) {
        self.types(line);
        self.press("Enter");
    }

    pub fn types(&self, text: &str) {
        self.tmux.run(&["send-keys", "-t", &self.id, "-l", text]);
    }

    pub fn press(&self, key: &str) {
        self.tmux.run(&["send-keys", "-t", &self.id, key]);
    }

    /// The text on the screen.
    pub fn screen(&self) -> String {
        self.tmux.run(&["capture-pane", "-p", "-J", "-t", &self.id])
    }

    /// The text on the screen and in the scrollback.
    pub fn history(&self) -> String {
        self.tmux.run(&["capture-pane", "-p", "-J", "-S", "-", "-t", &self.id])
    }

    /// Waits until the screen contains `part` and returns the screen.
    pub fn shows(&self, part: &str) -> String {
        self.is(&format!("`{part}` on the screen"), |screen| screen.contains(part))
    }

    /// Waits until the shell shows its prompt.
    pub fn is_at_the_prompt(&self) {
        self.is("the shell's prompt", |screen| screen.trim_end().ends_with(PROMPT.trim_end()));
    }

    /// Clears the screen at the shell's prompt, so that only later output is on it.
    pub fn clears(&self) {
        self.is_at_the_prompt();
        self.press("C-l");
        self.is("a clear screen", |screen| screen.trim() == PROMPT.trim());
    }

    /// Waits until the screen satisfies a condition and returns the screen.
    fn is(&self, what: &str, is_so: impl Fn(&str) -> bool) -> String {
        let begun = Instant::now();
        loop {
            let screen = self.screen();
            if is_so(&screen) {
                return screen;
            }
            assert!(begun.elapsed().as_secs() < 30, "timed out waiting for {what}:\n{screen}");
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    /// Runs a command at the shell's prompt and returns its output.
    pub fn prints(&self, command: &str) -> String {
        self.is_at_the_prompt();
        self.enter(&format!("{command}; echo do''ne"));
        let screen = self.shows("\ndone\n");
        let (shown, _) = screen.rsplit_once("\ndone\n").unwrap();
        let (_, printed) = shown.rsplit_once("do''ne\n").unwrap();
        self.clears();
        printed.to_owned()
    }

    /// The first process of the pane.
    pub fn pid(&self) -> u32 {
        self.tmux.run(&["display-message", "-p", "-t", &self.id, "#{pane_pid}"]).trim().parse().unwrap()
    }

    /// `1` if the cursor is visible.
    pub fn cursor(&self) -> String {
        self.tmux.run(&["display-message", "-p", "-t", &self.id, "#{cursor_flag}"]).trim().to_owned()
    }

    /// Resizes the window of the pane.
    pub fn resizes(&self, columns: u32, rows: u32) {
        let (columns, rows) = (columns.to_string(), rows.to_string());
        self.tmux.run(&["resize-window", "-t", &self.id, "-x", &columns, "-y", &rows]);
    }

    /// The value of one of the pane's options; empty if it is not set.
    pub fn option(&self, name: &str) -> String {
        self.tmux.run(&["show-options", "-pqv", "-t", &self.id, name]).trim().to_owned()
    }
}
