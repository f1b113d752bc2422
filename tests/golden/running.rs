//! Running agents: how `ps`, `status`, `why` and `metrics` report them, and what their hooks and status line
//! report.

use std::fs;
use std::process::{Child, Stdio};

use jiff::Timestamp;
use serde_json::{Value, json};

use crate::golden_file::{GoldenFile, check, within_an_hour};
use crate::support::{Sandbox, kage, wait_until};

const CONFIG: &str = r#"
[subscriptions.pool]
personal = { credential = { command = "echo sk-ant-oat01-invented-personal--ok" }, priority = 50 }
spare = { credential = { command = "echo sk-ant-oat01-invented-spare--ok" } }
team = { credential = { command = "echo sk-ant-oat01-invented-team--ok" }, max_parallel = 1 }
work = { credential = { command = "echo sk-ant-oat01-invented-work--ok" } }

[subscriptions.routing]
backend = ["work"]
"#;

/// Runs the script NAME.call each time that it exists; NAME is the subscription. Ends when NAME.end exists or
/// when the sandbox is removed.
const AGENT: &str = r"#!/bin/sh
me=$KAGE_SUBSCRIPTION
: >$me.started
while [ -e $me.started ] && [ ! -e $me.end ]; do
  if [ -e $me.call ]; then
    sh ./$me.call >$me.out 2>$me.err
    rm $me.call
  fi
  sleep 0.01
done
";

const SESSION: &str = "11111111-2222-4333-8444-555555555555";

struct Running<'a> {
    sandbox: &'a Sandbox,
    name: &'static str,
    child: Child,
}

impl<'a> Running<'a> {
    /// Starts an agent with `kage exec` and waits until it runs.
    fn start(sandbox: &'a Sandbox, name: &'static str, flags: &str, command: &str) -> Self {
        let line = format!("exec -q -s {name} {flags} -- {command}");
        let call = sandbox.kage(line.split_whitespace()).env("KAGE", kage()).env("TMUX_PANE", "%7");
        let mut command = call.command;
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let child = command.spawn().unwrap();
        wait_until("the agent to run", || sandbox.path(&format!("work/{name}.started")).exists());
        Self { sandbox, name, child }
    }

    /// The output of a script that the agent runs. `$KAGE` is kage.
    fn call(&self, script: &str) -> String {
        let file = |end: &str| format!("work/{}.{end}", self.name);
        let new = self.sandbox.write(&file("new"), script);
        fs::rename(new, self.sandbox.path(&file("call"))).unwrap();
        wait_until("the end of the script", || !self.sandbox.path(&file("call")).exists());
        self.sandbox.read(&file("out"))
    }

    /// Calls the hook until the state shows it, because a hook stops at its time limit on a busy machine.
    fn hook(&self, input: &Value, is_shown: impl Fn(&Value) -> bool) {
        self.sandbox.write("work/input", &input.to_string());
        let pid = std::process::id();
        wait_until("the report of the hook in the state", || {
            self.call(&format!("CLAUDE_PID={pid} \"$KAGE\" hook <input"));
            is_shown(&self.sandbox.state())
        });
    }

    fn end(self) -> i32 {
        self.sandbox.write(&format!("work/{}.end", self.name), "");
        self.child.wait_with_output().unwrap().status.code().unwrap()
    }
}

/// The input of a status line.
fn windows() -> String {
    let at = |minutes: i64| Timestamp::now().as_second() + minutes * 60;
    let five = json!({ "used_percentage": 42, "resets_at": at(72) });
    let seven = json!({ "used_percentage": 95.5, "resets_at": at(3 * 24 * 60) });
    json!({ "session_id": SESSION, "rate_limits": { "five_hour": five, "seven_day": seven } }).to_string()
}

/// The transcript row of a usage limit that resets in an hour.
fn limit() -> String {
    let resets = Timestamp::now().as_second() + 3600;
    let row = json!({
        "type": "assistant", "isSidechain": false, "timestamp": Timestamp::now(), "isApiErrorMessage": true,
        "error": "rate_limit", "apiErrorStatus": 429, "apiError": "usage_limit_reached",
        "quotaLimits": { "status": "rejected", "rateLimitType": "five_hour", "resetsAt": resets },
        "message": { "model": "<synthetic>",
            "content": [{ "type": "text", "text": "You've hit your 5-hour limit" }] },
    });
    format!("{row}\n")
}

/// The session starts, reports its windows, and is refused.
fn report(file: &mut GoldenFile, work: &Running<'_>) {
    let began = json!({ "hook_event_name": "SessionStart", "session_id": SESSION });
    work.hook(&began, |state| state["leases"][0]["visits"][0]["session"] == SESSION);
    work.sandbox.write("work/windows", &windows());
    let mut drawn = String::new();
    wait_until("the windows in the state", || {
        drawn = work.call("\"$KAGE\" statusline <windows");
        work.sandbox.state()["subscriptions"]["work"]["utilization"]["five_hour"].is_object()
    });
    file.add("$ kage statusline", &drawn);
    file.add("$ kage statusline -- echo mine", &work.call("\"$KAGE\" statusline -- echo mine <windows"));
    let record = work.sandbox.path("work/record.jsonl");
    let failed =
        json!({ "hook_event_name": "StopFailure", "session_id": SESSION, "transcript_path": record });
    // Only a recent refusal counts.
    work.sandbox.write("work/record.jsonl", &limit());
    work.hook(&failed, |state| {
        work.sandbox.write("work/record.jsonl", &limit());
        state["leases"][0]["refused"].is_object()
    });
    // A hook writes its problems to a log.
    let logged = || {
        let log = work.sandbox.read("home/.local/state/kage/hook.log");
        log.lines().find(|line| line.contains(" nobody: there is")).map(str::to_owned)
    };
    wait_until("the problem in the log", || {
        work.call("KAGE_RUN=nobody \"$KAGE\" hook <input");
        logged().is_some()
    });
    file.add("== hook.log", &format!("{}\n", logged().unwrap()));
}

fn scenario() -> Vec<GoldenFile> {
    let sandbox = Sandbox::new();
    sandbox.config(CONFIG);
    sandbox.program("agent", AGENT);
    sandbox.program("claude", AGENT);
    let mut file = GoldenFile::new("running", &sandbox);
    // A plain program, a print form, and a kage that was replaced by the agent.
    let work = Running::start(&sandbox, "work", "-n backend -p high", "agent");
    let personal = Running::start(&sandbox, "personal", "-p batch", "claude -p hi");
    let team = Running::start(&sandbox, "team", "--replace", "agent");
    file.kage(&sandbox, "ps --json");
    report(&mut file, &work);
    for line in [
        "ps --json",
        "status --json",
        "subscription show work --json",
        "why --json",
        "why -n backend --json",
        "metrics",
        "status --format tmux",
        "status --format tmux -s work",
        "status --format tmux -s personal",
    ] {
        file.kage(&sandbox, line);
    }
    file.run(sandbox.kage(["prompt"]).env("KAGE_NAMESPACE", "backend").env("KAGE_PRIORITY", "high"));
    file.stored(&sandbox);
    assert_eq!([work, personal, team].map(Running::end), [0; 3]);
    file.kage(&sandbox, "ps --json");
    file.add("== the ledger at the end", &crate::golden_file::ledger(&sandbox));
    vec![file]
}

#[test]
fn running_agents_are_reported_as_before() {
    check(&within_an_hour(scenario));
}
