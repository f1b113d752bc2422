//! `kage hook`, below a running agent: what it notes, and that it never fails nor holds up.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};

use crate::running::Running;

/// As long as the agent may have to wait.
const AT_MOST: Duration = Duration::from_millis(200);

impl Running {
    /// Tells the hook something, as the agent's process `pid`.
    fn tell_as(&self, pid: u32, told: &Value) {
        self.sandbox.write("work/told", &told.to_string());
        let called = self.call(&format!("CLAUDE_PID={pid} \"$KAGE\" hook <told"));
        assert_eq!((called.out.as_str(), called.err.as_str(), called.status.as_str()), ("", "", "0"));
    }

    pub(crate) fn tell(&self, told: &Value) {
        self.tell_as(std::process::id(), told);
    }

    pub(crate) fn tell_event(&self, event: &str, session: &str) {
        self.tell(&json!({ "hook_event_name": event, "session_id": session }));
    }

    /// A turn has ended with the error that the record tells.
    fn tell_failure(&self, session: &str) {
        let record = self.sandbox.path("work/record.jsonl");
        self.tell(
            &json!({ "hook_event_name": "StopFailure", "session_id": session, "transcript_path": record }),
        );
    }

    pub(crate) fn lease(&self) -> Value {
        self.sandbox.state()["leases"][0].clone()
    }

    fn sessions(&self) -> Vec<Value> {
        let visits = self.lease()["visits"].as_array().cloned().unwrap_or_default();
        visits.iter().map(|visit| visit["session"].clone()).collect()
    }

    /// How long a script takes, at the best of some tries: the machine may be busy with other tests.
    fn takes(&self, script: &str) -> Duration {
        let timed = format!("date +%s%N; {script}; status=$?; date +%s%N; exit $status");
        let once = |_| {
            let called = self.call(&timed);
            assert_eq!((called.status.as_str(), called.err.as_str()), ("0", ""), "{script}");
            let [begun, ended] = [0, 1].map(|at| called.out.lines().nth(at).unwrap().parse::<u64>().unwrap());
            Duration::from_nanos(ended - begun)
        };
        (0..3).map(once).min().unwrap()
    }

    fn log(&self) -> String {
        self.sandbox.read("home/.local/state/kage/hook.log")
    }
}

/// The row of a usage limit that resets in an hour.
pub(crate) fn limit() -> Value {
    let resets = (Timestamp::now() + SignedDuration::from_hours(1)).as_second();
    json!({
        "type": "assistant", "isSidechain": false, "timestamp": Timestamp::now(), "isApiErrorMessage": true,
        "error": "rate_limit", "apiErrorStatus": 429, "apiError": "usage_limit_reached",
        "quotaLimits": { "status": "rejected", "rateLimitType": "five_hour", "resetsAt": resets },
        "message": { "model": "<synthetic>", "content": [{ "type": "text", "text": "You've hit your 5-hour limit" }] },
    })
}

fn write_record(running: &Running, rows: &[Value]) {
    let rows: Vec<_> = rows.iter().map(Value::to_string).collect();
    running.sandbox.write("work/record.jsonl", &(rows.join("\n") + "\n"));
}

#[test]
fn what_is_told_is_noted_on_the_lease() {
    let running = Running::start();
    running.tell_event("SessionStart", "one");
    running.tell_event("SessionEnd", "one");
    running.tell_event("SessionStart", "two");
    assert_eq!(running.sessions(), ["one", "two"]);
    let visits = running.lease()["visits"].clone();
    assert!(visits[0]["until"].is_string() && visits[1]["until"].is_null(), "{visits}");
    // A session that the agent started beside itself is not the one.
    let mut other = std::process::Command::new("sleep").arg("600").spawn().unwrap();
    running.tell_as(other.id(), &json!({ "hook_event_name": "SessionStart", "session_id": "three" }));
    other.kill().unwrap();
    other.wait().unwrap();
    assert_eq!(running.sessions(), ["one", "two"]);
    running.end();
}

#[test]
fn a_limit_is_booked_while_the_agent_runs_and_once() {
    let running = Running::start();
    running.tell_event("SessionStart", "one");
    write_record(&running, &[limit()]);
    running.tell_failure("one");
    assert_eq!(running.sandbox.status_of("work")["status"], "rate_limited");
    assert_eq!(running.lease()["refused"]["verdict"], "usage_limit");
    running.tell_failure("one");
    let changes = |sandbox: &crate::support::Sandbox| {
        sandbox.state()["subscriptions"]["work"]["changes"].as_array().unwrap().len()
    };
    assert_eq!(changes(&running.sandbox), 1);
    running.tell_event("UserPromptSubmit", "one");
    assert_eq!(running.lease()["refused"], Value::Null);
    assert_eq!(running.sandbox.status_of("work")["status"], "rate_limited");
    running.end();
}

#[test]
fn only_a_fresh_error_of_the_main_conversation_counts() {
    let running = Running::start();
    running.tell_event("SessionStart", "one");
    let with = |change: fn(&mut Value)| {
        let mut row = limit();
        change(&mut row);
        row
    };
    let prompt = json!({ "type": "user", "timestamp": Timestamp::now(), "message": { "content": "go on" } });
    let cases = [
        vec![],
        vec![with(|row| row["isSidechain"] = true.into())],
        vec![with(|row| row["timestamp"] = "2026-01-01T00:00:00Z".into())],
        vec![with(|row| row["isApiErrorMessage"] = false.into())],
        vec![limit(), prompt],
    ];
    for rows in cases {
        write_record(&running, &rows);
        running.tell_failure("one");
        assert_eq!(running.sandbox.status_of("work")["status"], "active", "{rows:?}");
    }
    write_record(&running, &[limit()]);
    // A helper's conversation, and a subagent's turn.
    running.tell_failure("another");
    let record = running.sandbox.path("work/record.jsonl");
    let subagent = json!({ "hook_event_name": "StopFailure", "session_id": "one", "transcript_path": record, "agent_id": "x" });
    running.tell(&subagent);
    assert_eq!(running.sandbox.status_of("work")["status"], "active");
    running.end();
}

#[test]
fn it_never_holds_up_the_agent_nor_fails() {
    let running = Running::start();
    running.tell_event("SessionStart", "one");
    let long = json!({ "hook_event_name": "UserPromptSubmit", "session_id": "one", "prompt": "x".repeat(5_000_000) });
    running.sandbox.write("work/long", &long.to_string());
    let another = json!({ "hook_event_name": "SessionStart", "session_id": "locked" });
    running.sandbox.write("work/another", &another.to_string());
    write_record(&running, &[]);
    let record = running.sandbox.path("work/record.jsonl");
    let failure = json!({ "hook_event_name": "StopFailure", "session_id": "one", "transcript_path": record });
    running.sandbox.write("work/failure", &failure.to_string());
    let lock = running.sandbox.path("home/.local/state/kage/state.lock");
    let cases = [
        "\"$KAGE\" hook <long".to_owned(),
        "\"$KAGE\" hook </dev/null".to_owned(),
        "echo '{\"hook' | \"$KAGE\" hook".to_owned(),
        "head -c 100000 /dev/urandom | \"$KAGE\" hook".to_owned(),
        // The row of the error never comes.
        "\"$KAGE\" hook <failure".to_owned(),
        "KAGE_RUN=nobody \"$KAGE\" hook <another".to_owned(),
        "KAGE_CONFIG=/dev/full \"$KAGE\" hook <another".to_owned(),
        "KAGE_STATE_DIR=/dev/null/no \"$KAGE\" hook <another".to_owned(),
        "HOME=$PWD/another \"$KAGE\" hook <another".to_owned(),
        "\"$KAGE\" hook <fifo".to_owned(),
        format!("flock {} \"$KAGE\" hook <another", lock.display()),
    ];
    // An input that stays open and says nothing.
    running.call("mkfifo fifo; sleep 60 >fifo & echo $! >sleeper");
    for script in cases {
        let took = running.takes(&script);
        assert!(took < AT_MOST, "{took:?}: {script}");
    }
    running.call("kill $(cat sleeper)");
    assert_eq!(running.sessions(), ["one"]);
    let log = running.log();
    assert!(log.contains("there is no run nobody") && log.contains("gave up after"), "{log}");
    running.end();
}

#[test]
fn without_kage_around_it_does_nothing() {
    let running = Running::start();
    let before = running.sandbox.state();
    running.sandbox.write("work/told", r#"{"hook_event_name":"SessionStart","session_id":"one"}"#);
    let called = running.call("env -u KAGE_RUN \"$KAGE\" hook <told");
    assert_eq!((called.status.as_str(), called.err.as_str()), ("0", ""));
    assert_eq!(running.sandbox.state(), before);
    running.end();
}
