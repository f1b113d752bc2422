//! A session at the terminal whose subscription hits its limit: kage says so and goes on, however badly the agent's
//! hooks have fared. The agent is a script that does what the test asks.

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

/// As long as the user has to stay where they are.
const MOMENT: SignedDuration = SignedDuration::from_secs(3);
const REFUSED: &str = "kage: work hit its 5-hour limit";

/// A session, and what its terminal was sent.
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
    /// In a pool of these subscriptions, of which `work` is taken first.
    fn begin(names: &[&str]) -> Self {
        let sandbox = pool(names);
        let call = sandbox.kage(["exec", "--", "claude"]);
        Self::of(sandbox, call)
    }

    fn of(sandbox: Sandbox, call: Call) -> Self {
        let mut command = call.env("KAGE", kage()).env("TERM", "xterm").command;
        let (terminal, child) = on_a_terminal(&mut command);
        drop(command); // holds the other end as well
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
        let id = running.after("--session-id").expect("the conversation has an id");
        let session = Self { running, id, written, _terminal: terminal };
        session.running.tell_event("SessionStart", &session.id);
        session
    }

    fn shown(&self) -> String {
        String::from_utf8_lossy(&self.written.lock().unwrap()).into_owned()
    }

    fn shows(&self, part: &str) {
        wait_until(&format!("`{part}` on the terminal"), || self.shown().contains(part));
    }

    /// The transcript, where the agent has it.
    fn transcript(&self) -> PathBuf {
        let work = self.running.sandbox.path("work");
        let folder = work.to_str().unwrap().replace(|letter: char| !letter.is_ascii_alphanumeric(), "-");
        self.running.sandbox.path("home/.claude/projects").join(folder).join(format!("{}.jsonl", self.id))
    }

    /// The agent writes a row; the answer is when it did.
    fn records(&self, row: &Value) -> Timestamp {
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

    /// The user asks something, which is refused; the answer is when.
    fn asks_in_vain(&self) -> Timestamp {
        self.running.tell_event("UserPromptSubmit", &self.id);
        let prompt = json!({ "type": "user", "timestamp": Timestamp::now(), "message": { "content": "hi" } });
        self.records(&prompt);
        let refused = self.records(&limit());
        self.running.tell(&self.failure());
        refused
    }

    /// Waits until the conversation goes on under `spare`; the answer is since when its place is taken.
    fn goes_on(&self) -> Timestamp {
        let resumed = || self.running.after("--resume");
        wait_until("the session goes on", || resumed().is_some());
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
    /// The argument of the agent's that comes after this one.
    fn after(&self, option: &str) -> Option<String> {
        let args = self.sandbox.read("work/args");
        args.lines().skip_while(|&arg| arg != option).nth(1).map(str::to_owned)
    }
}

#[test]
fn a_refusal_whose_hook_heard_nothing_is_announced() {
    let session = Session::begin(&["work"]);
    session.records(&limit());
    // The agent is too busy to tell its hook anything.
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
fn a_refusal_whose_hook_cannot_book_it_is_announced() {
    let session = Session::begin(&["work"]);
    session.records(&limit());
    let sandbox = &session.running.sandbox;
    sandbox.write("work/told", &session.failure().to_string());
    let (pid, lock) = (std::process::id(), sandbox.path("home/.local/state/kage/state.lock"));
    session.running.call(&format!("CLAUDE_PID={pid} flock {} \"$KAGE\" hook <told", lock.display()));
    assert!(sandbox.read("home/.local/state/kage/hook.log").contains("gave up after"));
    session.shows(REFUSED);
    session.ends();
}

#[test]
fn a_session_whose_place_is_not_in_the_state_any_more_goes_on_all_the_same() {
    let session = Session::begin(&["work", "spare"]);
    // As where a kage in a container, which does not see this one's process, takes it for dead.
    for file in ["state.json", "state.log"] {
        fs::remove_file(session.running.sandbox.path("home/.local/state/kage").join(file)).unwrap();
    }
    let refused = session.asks_in_vain();
    session.shows(REFUSED);
    assert!(session.goes_on() >= refused + MOMENT);
    assert_eq!(session.running.sandbox.status_of("work")["status"], "rate_limited");
    session.ends();
}

#[test]
fn a_refusal_that_is_recorded_late_is_announced() {
    let session = Session::begin(&["work"]);
    let refused = limit();
    session.running.tell(&session.failure());
    thread::sleep(Duration::from_secs(4)); // the agent is kept from writing for so long
    session.records(&refused);
    session.shows(REFUSED);
    session.ends();
}

#[test]
fn a_refusal_in_the_users_moment_has_a_moment_of_its_own() {
    let session = Session::begin(&["work", "spare"]);
    session.asks_in_vain();
    session.shows("continuing on spare in ");
    // kage is too busy to see more of the next one than that it is there.
    let kage = Pid::from_child(&session.running.child);
    kill_process(kage, Signal::STOP).unwrap();
    let refused = session.asks_in_vain();
    kill_process(kage, Signal::CONT).unwrap();
    assert!(session.goes_on() >= refused + MOMENT);
    session.ends();
}

#[test]
fn a_refusal_is_announced_where_the_signal_that_wakes_kage_was_ignored() {
    let sandbox = pool(&["work"]);
    let script = "trap '' URG; exec \"$KAGE\" exec -- claude";
    let call = sandbox.call("/bin/sh".as_ref(), ["-c", script]);
    let session = Session::of(sandbox, call);
    session.asks_in_vain();
    session.shows(REFUSED);
    session.ends();
}

#[test]
fn a_refusal_in_a_conversation_whose_beginning_was_not_heard_is_announced() {
    let mut session = Session::begin(&["work"]);
    session.running.tell_event("SessionEnd", &session.id);
    // After `/clear` neither the next one's beginning nor the prompt in it is heard.
    session.id = "another".into();
    session.records(&limit());
    session.running.tell(&session.failure());
    session.shows(REFUSED);
    session.ends();
}

#[test]
fn a_failing_event_command_is_reported_when_the_screen_is_free_again() {
    let sandbox = pool(&["work"]);
    let known = sandbox.read(CONFIG);
    sandbox.config(&format!("{known}\n[events]\ncommand = \"cat >>$HOME/events; exit 3\"\n"));
    let call = sandbox.kage(["exec", "--", "claude"]);
    let session = Session::of(sandbox, call);
    // kage tells the command of each refusal, and sees then that the one before has failed.
    for times in 1..=2 {
        session.asks_in_vain();
        let told = || session.running.sandbox.read("home/events").matches("all_limited").count();
        wait_until("the event is told", || told() == times);
    }
    session.shows(REFUSED);
    let failed = "kage: warning: the event command failed: exit status: 3";
    assert!(!session.shown().contains("event command"), "{}", session.shown());
    session.running.sandbox.write("work/end", "");
    session.shows(failed);
    session.ends();
}
