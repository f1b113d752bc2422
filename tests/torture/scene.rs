//! A sandbox with a pool, agents that log what they did, and a kage that is killed if it takes too long.

use std::ffi::OsStr;
use std::fs;
use std::os::fd::OwnedFd;
use std::os::unix::process::ExitStatusExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use crate::plan::Plan;
use crate::pty::on_a_terminal;
use crate::support::{Sandbox, token};

/// No working kage takes this long, even on a busy machine.
pub const PATIENCE: Duration = Duration::from_secs(20);
/// The sum of input and output tokens in one row of the stand-in.
pub const TOKENS: u64 = 46;

/// A stand-in for Claude Code and for any other program. It logs its start, writes `$ROWS` rows with usage to
/// Claude Code's transcript, each after a pause of `$PAUSE` seconds, answers, and logs its end.
const AGENT: &str = r#"#!/bin/sh
exec 2>/dev/null
session=none
while [ $# -gt 0 ]; do
  case $1 in --session-id | --resume) session=$2 ;; esac
  shift
done
echo "begin $TAG $KAGE_RUN $$" >>"$HOME/log"
at=0
while [ $at -lt "${ROWS:-1}" ]; do
  at=$((at + 1))
  [ -z "$PAUSE" ] || sleep "$PAUSE"
  now=$(date -u +%Y-%m-%dT%H:%M:%S.%3NZ)
  [ $session = none ] || printf '%s\n' "{\"type\":\"assistant\",\"timestamp\":\"$now\",\"requestId\":\"req-$KAGE_RUN-$at\",\"isSidechain\":false,\"message\":{\"id\":\"msg-$KAGE_RUN-$at\",\"model\":\"claude-sonnet-5-5\",\"content\":[{\"type\":\"text\",\"text\":\"x\"}],\"usage\":{\"input_tokens\":12,\"output_tokens\":34}}}" >>"$RECORDS/$session.jsonl"
done
echo answer
echo "end $TAG $KAGE_RUN $now" >>"$HOME/log"
exit "${STATUS:-0}"
"#;

/// A sandbox whose processes all have its mark in their environment.
pub struct Scene {
    pub sandbox: Sandbox,
    pub kage: PathBuf,
    mark: String,
    names: AtomicU64,
}

impl Scene {
    /// A scene with two subscriptions and the agents `claude` and `worker`.
    pub fn new(plan: &Plan) -> Self {
        let scene = Self::empty(plan);
        for name in ["one", "two"] {
            scene.sandbox.add(name, &[]);
        }
        scene
    }

    /// A scene without subscriptions.
    pub fn empty(plan: &Plan) -> Self {
        static SCENES: AtomicU64 = AtomicU64::new(0);
        let sandbox = Sandbox::new();
        let mark = format!("{}-{}", std::process::id(), SCENES.fetch_add(1, Ordering::Relaxed));
        let scene = Self { sandbox, kage: plan.kage.clone(), mark, names: AtomicU64::new(0) };
        for name in ["claude", "worker"] {
            scene.sandbox.program(name, AGENT);
        }
        for dir in [scene.records(), scene.sandbox.path("tmp"), scene.sandbox.path("out")] {
            fs::create_dir_all(dir).unwrap();
        }
        scene
    }

    pub fn path(&self, inside: &str) -> PathBuf {
        self.sandbox.path(inside)
    }

    pub fn state_dir(&self) -> PathBuf {
        self.path("home/.local/state/kage")
    }

    /// The directory of Claude Code's transcripts of sessions in `work`.
    pub fn records(&self) -> PathBuf {
        let work = self.path("work");
        let name = work.to_str().unwrap().replace(|letter: char| !letter.is_ascii_alphanumeric(), "-");
        self.path("home/.claude/projects").join(name)
    }

    /// Any program in the scene.
    pub fn program<S: AsRef<OsStr>>(&self, program: &Path, args: impl IntoIterator<Item = S>) -> Command {
        let mut command = self.sandbox.call(program, args).command;
        command.env("TORTURE_MARK", &self.mark).env("RECORDS", self.records());
        command.env("TMPDIR", self.path("tmp")).stdin(Stdio::null());
        command
    }

    pub fn kage(&self, words: &str) -> Command {
        self.program(&self.kage.clone(), words.split(' '))
    }

    /// Starts a command. Its output goes to files: a pipe could be held open by other processes.
    pub fn start(&self, command: &mut Command) -> Running {
        let [out, err] = [self.file(), self.file()];
        let to = |path: &Path| fs::File::create(path).unwrap();
        let child = command.stdout(to(&out)).stderr(to(&err)).spawn().unwrap();
        Running { child, out, err, terminal: None }
    }

    /// Starts a command at its own terminal.
    pub fn start_at_a_terminal(&self, command: &mut Command) -> Running {
        let (terminal, child) = on_a_terminal(command);
        Running { child, out: self.file(), err: self.file(), terminal: Some(terminal) }
    }

    pub fn run(&self, command: &mut Command) -> Result<Ended, String> {
        self.start(command).end(PATIENCE)
    }

    fn file(&self) -> PathBuf {
        self.path("out").join(self.names.fetch_add(1, Ordering::Relaxed).to_string())
    }

    /// The processes that have the mark of the scene; a zombie has no environment and so no mark.
    pub fn living(&self) -> Vec<u32> {
        let mark = format!("TORTURE_MARK={}\0", self.mark).into_bytes();
        let entries = fs::read_dir("/proc").unwrap().flatten();
        let pids = entries.filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok());
        let is_ours = |pid: &u32| {
            let words = fs::read(format!("/proc/{pid}/environ")).unwrap_or_default();
            words.windows(mark.len()).any(|part| part == mark)
        };
        pids.filter(is_ours).collect()
    }

    /// The lines that the agents logged, split into words.
    pub fn log(&self) -> Vec<Vec<String>> {
        let words = |line: &str| line.split(' ').map(str::to_owned).collect();
        self.sandbox.read("home/log").lines().map(words).collect()
    }

    /// Replaces the state with this one, without a log.
    pub fn put_state(&self, state: &serde_json::Value) {
        let whole = serde_json::json!({ "version": 1, "state": state });
        fs::write(self.state_dir().join("state.json"), whole.to_string()).unwrap();
        let _ = fs::remove_file(self.state_dir().join("state.log"));
    }

    /// Adds a subscription with an invented secret.
    pub fn add(&self, name: &str, flags: &[&str]) {
        let words = ["subscription", "add", name].into_iter().chain(flags.iter().copied());
        self.sandbox.kage(words).stdin(&token(name)).run().success();
    }
}

/// A started program.
pub struct Running {
    child: Child,
    out: PathBuf,
    err: PathBuf,
    terminal: Option<OwnedFd>,
}

impl Running {
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    pub fn has_ended(&mut self) -> bool {
        self.child.try_wait().unwrap().is_some()
    }

    /// Waits for its end. A program that takes longer than `patience` is killed, which is an error.
    pub fn end(mut self, patience: Duration) -> Result<Ended, String> {
        let until = Instant::now() + patience;
        let status = loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                break status;
            }
            if Instant::now() > until {
                kill(self.child.id());
                self.child.wait().unwrap();
                return Err(format!("it took longer than {} s: {}", patience.as_secs(), read(&self.err)));
            }
            thread::sleep(Duration::from_millis(1));
        };
        let mut ended = Ended { status, out: read(&self.out), err: read(&self.err) };
        if let Some(terminal) = self.terminal.take() {
            // All output can be read by now. The terminal has no end of file, so it is read without blocking.
            let mut shown = vec![0; 64 << 10];
            let _ = rustix::io::ioctl_fionbio(&terminal, true);
            let length = rustix::io::read(&terminal, &mut shown).unwrap_or(0);
            ended.out = String::from_utf8_lossy(&shown[..length]).into_owned();
        }
        for file in [&self.out, &self.err] {
            let _ = fs::remove_file(file);
        }
        Ok(ended)
    }
}

fn read(path: &Path) -> String {
    String::from_utf8_lossy(&fs::read(path).unwrap_or_default()).into_owned()
}

pub fn kill(pid: u32) {
    send(pid, rustix::process::Signal::KILL);
}

pub fn send(pid: u32, signal: rustix::process::Signal) {
    let pid = rustix::process::Pid::from_raw(i32::try_from(pid).unwrap()).unwrap();
    // It may have ended already.
    let _ = rustix::process::kill_process(pid, signal);
}

/// The exit status and the output of a program.
pub struct Ended {
    pub status: ExitStatus,
    pub out: String,
    pub err: String,
}

impl Ended {
    pub fn code(&self) -> Option<i32> {
        self.status.code()
    }

    pub fn signal(&self) -> Option<i32> {
        self.status.signal()
    }

    /// Reports output that kage must not print: foreign lines, a hint without an error, more than one error.
    pub fn wrong_output(&self) -> Option<String> {
        let mut errors = 0;
        let mut before = "";
        for line in self.err.lines() {
            let is_error = line.starts_with("kage: ");
            let is_hint = line.starts_with("hint: ") && before.starts_with("kage: ");
            if !(is_error || is_hint) {
                return Some(format!("it printed {:?}", self.err));
            }
            errors += usize::from(is_error && !is_notice(line));
            before = line;
        }
        (errors > 1).then(|| format!("it printed more than one error: {:?}", self.err))
    }

    /// Like `wrong_output`, and also reports a status that is neither the agent's nor a documented one of
    /// kage.
    pub fn undocumented_end(&self, agents: &[i32]) -> Option<String> {
        let known = self.code().is_some_and(|code| {
            agents.contains(&code) || (matches!(code, 1 | 2 | 75 | 125 | 126 | 127) && !self.err.is_empty())
        });
        let odd = (!known).then(|| format!("it ended with {} and printed {:?}", self.status, self.err));
        self.wrong_output().or(odd)
    }
}

/// Whether a line of kage is not an error.
fn is_notice(line: &str) -> bool {
    let starts = ["kage: warning: ", "kage: created the identity file ", "kage: updated `"];
    starts.iter().any(|start| line.starts_with(start))
}

/// The peak resident memory of a process, in bytes. Source: proc(5), `VmHWM`.
pub fn peak_memory(pid: u32) -> u64 {
    let text = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let line = text.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let kib = line.and_then(|line| line.split_whitespace().next()).and_then(|word| word.parse::<u64>().ok());
    kib.unwrap_or(0) * 1024
}
