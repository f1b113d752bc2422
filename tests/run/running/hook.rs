//! `kage hook` below a running agent: what it records, and that it never fails or delays the agent.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};

use crate::running::Running;

/// The longest time that the agent may have to wait.
const AT_MOST: Duration = Duration::from_millis(200);

impl Running {
    /// Calls the hook with this input, as the agent's process `pid`.
    fn hook_as(&self, pid: u32, input: &Value) {
        self.sandbox.write("work/input", &input.to_string());
        let called = self.call(&format!("CLAUDE_PID={pid} \"$KAGE\" hook <input"));
        assert_eq!((called.out.as_str(), called.err.as_str(), called.status.as_str()), ("", "", "0"));
    }

    pub(crate) fn hook(&self, input: &Value) {
        self.hook_as(std::process::id(), input);
    }

    pub(crate) fn hook_event(&self, event: &str, session: &str) {
        self.hook(&json!({ "hook_event_name": event, "session_id": session }));
    }

    /// A turn ended with the error in the transcript.
    fn hook_failure(&self, session: &str) {
        let record = self.sandbox.path("work/record.jsonl");
        self.hook(
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

    /// The shortest time of three runs of a script, because the machine may be busy with other tests.
    fn time_of(&self, script: &str) -> Duration {
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
fn sessions_are_recorded_on_the_lease() {
    let running = Running::start();
    running.hook_event("SessionStart", "one");
    running.hook_event("SessionEnd", "one");
    running.hook_event("SessionStart", "two");
    assert_eq!(running.sessions(), ["one", "two"]);
    let visits = running.lease()["visits"].clone();
    assert!(visits[0]["until"].is_string() && visits[1]["until"].is_null(), "{visits}");
    // A session that another process reports is not the agent's.
    let mut other = std::process::Command::new("sleep").arg("600").spawn().unwrap();
    running.hook_as(other.id(), &json!({ "hook_event_name": "SessionStart", "session_id": "three" }));
    other.kill().unwrap();
    other.wait().unwrap();
    assert_eq!(running.sessions(), ["one", "two"]);
    running.end();
}

#[test]
fn a_limit_is_booked_once_while_the_agent_runs() {
    let running = Running::start();
    running.hook_event("SessionStart", "one");
    write_record(&running, &[limit()]);
    running.hook_failure("one");
    assert_eq!(running.sandbox.status_of("work")["status"], "rate_limited");
    assert_eq!(running.lease()["refused"]["verdict"], "usage_limit");
    running.hook_failure("one");
    let changes = |sandbox: &crate::support::Sandbox| {
        sandbox.state()["subscriptions"]["work"]["changes"].as_array().unwrap().len()
    };
    assert_eq!(changes(&running.sandbox), 1);
    running.hook_event("UserPromptSubmit", "one");
    assert_eq!(running.lease()["refused"], Value::Null);
    assert_eq!(running.sandbox.status_of("work")["status"], "rate_limited");
    running.end();
}

#[test]
fn only_a_recent_error_of_the_main_conversation_counts() {
    let running = Running::start();
    running.hook_event("SessionStart", "one");
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
        running.hook_failure("one");
        assert_eq!(running.sandbox.status_of("work")["status"], "active", "{rows:?}");
    }
    write_record(&running, &[limit()]);
    // Another conversation, and a subagent's turn.
    running.hook_failure("another");
    let record = running.sandbox.path("work/record.jsonl");
    let subagent = json!({ "hook_event_name": "StopFailure", "session_id": "one", "transcript_path": record, "agent_id": "x" });
    running.hook(&subagent);
    assert_eq!(running.sandbox.status_of("work")["status"], "active");
    running.end();
}

#[test]
fn it_never_delays_the_agent_or_fails() {
    let running = Running::start();
    running.hook_event("SessionStart", "one");
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
        // The row with the error is never written.
        "\"$KAGE\" hook <failure".to_owned(),
        "KAGE_RUN=nobody \"$KAGE\" hook <another".to_owned(),
        "KAGE_CONFIG=/dev/full \"$KAGE\" hook <another".to_owned(),
        "KAGE_STATE_DIR=/dev/null/no \"$KAGE\" hook <another".to_owned(),
        "HOME=$PWD/another \"$KAGE\" hook <another".to_owned(),
        "\"$KAGE\" hook <fifo".to_owned(),
        format!("flock {} \"$KAGE\" hook <another", lock.display()),
    ];
    // An input that stays open and sends nothing.
    running.call("mkfifo fifo; sleep 60 >fifo & echo $! >sleeper");
    for script in cases {
        let took = running.time_of(&script);
        assert!(took < AT_MOST, "{took:?}: {script}");
    }
    running.call("kill $(cat sleeper)");
    assert_eq!(running.sessions(), ["one"]);
    let log = running.log();
    assert!(log.contains("there is no run nobody") && log.contains("gave up after"), "{log}");
    running.end();
}

#[test]
fn outside_a_run_of_kage_it_does_nothing() {
    let running = Running::start();
    let before = running.sandbox.state();
    running.sandbox.write("work/input", r#"{"hook_event_name":"SessionStart","session_id":"one"}"#);
    let called = running.call("env -u KAGE_RUN \"$KAGE\" hook <input");
    assert_eq!((called.status.as_str(), called.err.as_str()), ("0", ""));
    assert_eq!(running.sandbox.state(), before);
    running.end();
}
