//! A session at the terminal whose subscription hits its limit: kage announces it and continues, even if the
//! agent's hooks fail. The agent is a script that does what the test asks.

use std::fs::{self, File};
use std::io::{Read as _, Write as _};
use std::os::fd::OwnedFd;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use rustix::process::{Pid, Signal, kill_process};
use rustix::termios::{Winsize, tcsetwinsize};
use serde_json::{Value, json};

use super::hook::limit;
use super::{AGENT, Running};
use crate::pty::on_a_terminal;
use crate::support::{CONFIG, Call, Sandbox, kage, wait_until};

/// The time that the user has to stop the switch.
const COUNTDOWN: SignedDuration = SignedDuration::from_secs(3);
const REFUSED: &str = "kage: work hit its 5-hour limit";

/// A session and the output on its terminal.
struct Session {
    running: Running,
    /// Its conversation.
    id: String,
    written: Arc<Mutex<Vec<u8>>>,
    _terminal: OwnedFd,
}

fn pool(names: &[&str]) -> Sandbox {
    let sandbox = Sandbox::new();
    for name in names {
        sandbox.add(name, &[]);
    }
    let known = sandbox.read(CONFIG);
    sandbox.config(&format!("{known}\n[subscriptions]\nstrategy = \"priority\"\n"));
    sandbox.kage(["subscription", "set", "work", "--priority", "200"]).run().success();
    let agent = format!("#!/bin/sh\nprintf '%s\\n' \"$@\" >args.new; mv args.new args\n{AGENT}");
    sandbox.program("claude", &agent);
    sandbox
}

impl Session {
    /// Starts a session in a pool of these subscriptions, of which `work` is chosen first.
    fn begin(names: &[&str]) -> Self {
        let sandbox = pool(names);
        let call = sandbox.kage(["exec", "--", "claude"]);
        Self::of(sandbox, call)
    }

    fn of(sandbox: Sandbox, call: Call) -> Self {
        let mut command = call.env("KAGE", kage()).env("TERM", "xterm").command;
        let (terminal, child) = on_a_terminal(&mut command);
        drop(command); // it holds the other end too
        let size = Winsize { ws_row: 40, ws_col: 130, ws_xpixel: 0, ws_ypixel: 0 };
        tcsetwinsize(&terminal, size).unwrap();
        let written = Arc::new(Mutex::new(Vec::new()));
        let (mut reader, keeper) = (File::from(terminal.try_clone().unwrap()), Arc::clone(&written));
        thread::spawn(move || {
            let mut bytes = [0; 4096];
            while let Ok(length @ 1..) = reader.read(&mut bytes) {
                keeper.lock().unwrap().extend_from_slice(&bytes[..length]);
            }
        });
        wait_until("the agent runs", || sandbox.path("work/started").exists());
        let running = Running { child, sandbox };
        let id = running.argument_after("--session-id").expect("the conversation has an id");
        let session = Self { running, id, written, _terminal: terminal };
        session.running.hook_event("SessionStart", &session.id);
        session
    }

    fn shown(&self) -> String {
        String::from_utf8_lossy(&self.written.lock().unwrap()).into_owned()
    }

    fn shows(&self, part: &str) {
        wait_until(&format!("`{part}` on the terminal"), || self.shown().contains(part));
    }

    /// The path of the agent's transcript.
    fn transcript(&self) -> PathBuf {
        let work = self.running.sandbox.path("work");
        let folder = work.to_str().unwrap().replace(|letter: char| !letter.is_ascii_alphanumeric(), "-");
        self.running.sandbox.path("home/.claude/projects").join(folder).join(format!("{}.jsonl", self.id))
    }

    /// Appends a row to the transcript, as the agent does. Returns the row's timestamp.
    fn append_row(&self, row: &Value) -> Timestamp {
        let file = self.transcript();
        fs::create_dir_all(file.parent().unwrap()).unwrap();
        let mut file = File::options().create(true).append(true).open(file).unwrap();
        file.write_all(format!("{row}\n").as_bytes()).unwrap();
        row["timestamp"].as_str().unwrap().parse().unwrap()
    }

    fn failure(&self) -> Value {
        json!({
            "hook_event_name": "StopFailure", "session_id": self.id, "transcript_path": self.transcript(),
        })
    }

    /// The user's prompt is refused. Returns the time of the refusal.
    fn refuse_prompt(&self) -> Timestamp {
        self.running.hook_event("UserPromptSubmit", &self.id);
        let prompt = json!({ "type": "user", "timestamp": Timestamp::now(), "message": { "content": "hi" } });
        self.append_row(&prompt);
        let refused = self.append_row(&limit());
        self.running.hook(&self.failure());
        refused
    }

    /// Waits until the conversation continues on `spare`. Returns the start of its lease.
    fn wait_until_resumed(&self) -> Timestamp {
        let resumed = || self.running.argument_after("--resume");
        wait_until("the session continues", || resumed().is_some());
        assert_eq!(resumed().as_ref(), Some(&self.id));
        let lease = self.running.lease();
        assert_eq!(lease["subscription"], "spare");
        lease["since"].as_str().unwrap().parse().unwrap()
    }

    fn ends(self) {
        self.running.end();
    }
}

impl Running {
    /// The agent's argument that follows this option.
    fn argument_after(&self, option: &str) -> Option<String> {
        let args = self.sandbox.read("work/args");
        args.lines().skip_while(|&arg| arg != option).nth(1).map(str::to_owned)
    }
}

#[test]
fn a_refusal_is_announced_if_the_hook_gets_no_input() {
    let session = Session::begin(&["work"]);
    session.append_row(&limit());
    // The agent sends no input to its hook.
    let called = session.running.call(
        "mkfifo fifo; sleep 60 >fifo & echo $! >sleeper; \"$KAGE\" hook <fifo; status=$?
        kill $(cat sleeper); exit $status",
    );
    assert_eq!(called.status, "0");
    session.shows(REFUSED);
    assert_eq!(session.running.sandbox.status_of("work")["status"], "rate_limited");
    session.ends();
}

#[test]
fn a_refusal_is_announced_if_the_hook_cannot_book_it() {
    let session = Session::begin(&["work"]);
    session.append_row(&limit());
    let sandbox = &session.running.sandbox;
    sandbox.write("work/input", &session.failure().to_string());
    let (pid, lock) = (std::process::id(), sandbox.path("home/.local/state/kage/state.lock"));
    session.running.call(&format!("CLAUDE_PID={pid} flock {} \"$KAGE\" hook <input", lock.display()));
    assert!(sandbox.read("home/.local/state/kage/hook.log").contains("gave up after"));
    session.shows(REFUSED);
    session.ends();
}

#[test]
fn a_session_whose_lease_is_gone_from_the_state_still_continues() {
    let session = Session::begin(&["work", "spare"]);
    // This happens if a kage in a container cannot see this one's process and takes it for dead.
    for file in ["state.json", "state.log"] {
        fs::remove_file(session.running.sandbox.path("home/.local/state/kage").join(file)).unwrap();
    }
    let refused = session.refuse_prompt();
    session.shows(REFUSED);
    assert!(session.wait_until_resumed() >= refused + COUNTDOWN);
    assert_eq!(session.running.sandbox.status_of("work")["status"], "rate_limited");
    session.ends();
}

#[test]
fn a_refusal_that_is_written_late_is_announced() {
    let session = Session::begin(&["work"]);
    let refused = limit();
    session.running.hook(&session.failure());
    thread::sleep(Duration::from_secs(4)); // the agent cannot write for this time
    session.append_row(&refused);
    session.shows(REFUSED);
    session.ends();
}

#[test]
fn a_refusal_during_the_countdown_starts_its_own_countdown() {
    let session = Session::begin(&["work", "spare"]);
    session.refuse_prompt();
    session.shows("continuing on spare in ");
    // kage sees the second refusal only after it has been continued.
    let kage = Pid::from_child(&session.running.child);
    kill_process(kage, Signal::STOP).unwrap();
    let refused = session.refuse_prompt();
    kill_process(kage, Signal::CONT).unwrap();
    assert!(session.wait_until_resumed() >= refused + COUNTDOWN);
    session.ends();
}

#[test]
fn a_refusal_is_announced_if_the_signal_that_wakes_kage_was_ignored() {
    let sandbox = pool(&["work"]);
    let script = "trap '' URG; exec \"$KAGE\" exec -- claude";
    let call = sandbox.call("/bin/sh".as_ref(), ["-c", script]);
    let session = Session::of(sandbox, call);
    session.refuse_prompt();
    session.shows(REFUSED);
    session.ends();
}

#[test]
fn a_refusal_is_announced_in_a_conversation_whose_start_no_hook_reported() {
    let mut session = Session::begin(&["work"]);
    session.running.hook_event("SessionEnd", &session.id);
    // After `/clear` no hook reports the start of the next conversation or the prompt in it.
    session.id = "another".into();
    session.append_row(&limit());
    session.running.hook(&session.failure());
    session.shows(REFUSED);
    session.ends();
}

#[test]
fn a_failing_event_command_is_reported_after_the_agent_has_ended() {
    let sandbox = pool(&["work"]);
    let known = sandbox.read(CONFIG);
    sandbox.config(&format!("{known}\n[events]\ncommand = \"cat >>$HOME/events; exit 3\"\n"));
    let call = sandbox.kage(["exec", "--", "claude"]);
    let session = Session::of(sandbox, call);
    // kage runs the command for each refusal, and then sees that the previous one failed.
    for times in 1..=2 {
        session.refuse_prompt();
        let sent = || session.running.sandbox.read("home/events").matches("all_limited").count();
        wait_until("the event is sent", || sent() == times);
    }
    session.shows(REFUSED);
    let failed = "kage: warning: the event command failed: exit status: 3";
    assert!(!session.shown().contains("event command"), "{}", session.shown());
    session.running.sandbox.write("work/end", "");
    session.shows(failed);
    session.ends();
}
