//! Programs that kage starts for itself get no secret that they do not need.

use std::os::unix::net::UnixListener;
use std::process::{Child, Stdio};
use std::{fs, thread};

use jiff::{SignedDuration, Timestamp};
use serde_json::json;

use crate::security::somebody::Somebody;
use crate::support::{CONFIG, Call, Sandbox, has_all, token, wait_until};
use crate::tmux::Tmux;

/// What a user may have around them: kage's secret, the credentials of agents, and one of their own.
const AROUND: [(&str, &str); 6] = [
    ("KAGE_PASSPHRASE", "invented-passphrase"),
    ("ANTHROPIC_API_KEY", "sk-ant-api03-invented"),
    ("CLAUDE_CODE_OAUTH_TOKEN", "sk-ant-oat01-invented"),
    ("OPENAI_API_KEY", "sk-proj-invented"),
    ("ROUTER_KEY", "invented-router-key"),
    ("VAULT_SESSION", "invented-session"),
];

const ROUTER: &str = "[agents.router]\ncredential_env = \"ROUTER_KEY\"\n";

/// Which of these variables are in an environment that `env` printed.
fn known(environment: &str) -> Vec<&str> {
    let is_set = |name: &str| environment.lines().any(|line| line.starts_with(&format!("{name}=")));
    AROUND.into_iter().map(|(name, _)| name).filter(|name| is_set(name)).collect()
}

fn around(call: Call) -> Call {
    AROUND.into_iter().fold(call, |call, (name, value)| call.env(name, value))
}

/// Writes its environment where nobody reads half of it.
fn tells(name: &str) -> String {
    format!("env >\"$HOME/{name}.$$\"; mv \"$HOME/{name}.$$\" \"$HOME/{name}\"")
}

/// What a helper has told of its environment.
fn told(sandbox: &Sandbox, name: &str) -> String {
    let file = format!("home/{name}");
    wait_until(name, || sandbox.path(&file).exists());
    sandbox.read(&file)
}

fn configure(sandbox: &Sandbox, more: &str) {
    sandbox.config(&format!("{}\n{ROUTER}\n{more}", sandbox.read(CONFIG)));
}

#[test]
fn a_credential_command_has_the_users_environment_without_kages_passphrase() {
    let sandbox = Sandbox::new();
    let command = format!("command:{}; echo {}", tells("credential"), token("printed"));
    let add = around(sandbox.kage(["subscription", "add", "work", "--credential", &command]));
    add.run().success();
    let environment = told(&sandbox, "credential");
    assert!(environment.contains("VAULT_SESSION=invented-session"), "{environment}");
    assert!(!environment.contains("KAGE_PASSPHRASE"), "{environment}");
}

#[test]
fn an_event_command_gets_no_credential() {
    let sandbox = Sandbox::new();
    sandbox.add_with("work", "work--429five", &[]);
    sandbox.stand_in_claude();
    configure(&sandbox, &format!("[events]\ncommand = '{}'\n", tells("event")));
    let ran = around(sandbox.kage(["exec", "--retries", "0", "--", "claude", "-p", "hi"])).run();
    ran.status(1);
    assert_eq!(known(&told(&sandbox, "event")), ["VAULT_SESSION"]);
}

#[test]
fn an_event_command_of_a_running_agent_does_not_get_the_agents_credential() {
    let sandbox = Sandbox::new();
    sandbox.add("work", &[]);
    configure(&sandbox, &format!("[events]\ncommand = '{}'\n", tells("event")));
    let resets = (Timestamp::now() + SignedDuration::from_hours(1)).as_second();
    let row = json!({
        "type": "assistant", "isSidechain": false, "timestamp": Timestamp::now(), "isApiErrorMessage": true,
        "error": "rate_limit", "apiErrorStatus": 429, "apiError": "usage_limit_reached",
        "quotaLimits": { "status": "rejected", "rateLimitType": "five_hour", "resetsAt": resets },
        "message": { "model": "<synthetic>", "content": [{ "type": "text", "text": "You've hit your limit" }] },
    });
    let record = sandbox.write("work/record.jsonl", &format!("{row}\n"));
    let event = json!({ "hook_event_name": "StopFailure", "session_id": "s", "transcript_path": record });
    sandbox.write("work/told", &event.to_string());
    let hook = format!("env >\"$HOME/agent\"; '{}' hook <told", crate::support::kage().display());
    sandbox.kage(["exec", "--", "sh", "-c", &hook]).run().success();
    assert_eq!(known(&sandbox.read("home/agent")), ["CLAUDE_CODE_OAUTH_TOKEN"]);
    let event = told(&sandbox, "event");
    assert_eq!(known(&event), [""; 0]);
    assert!(event.contains("KAGE_SUBSCRIPTION=work"), "the hook has told it: {event}");
}

#[test]
fn tmux_gets_no_credential() {
    if !has_all(&["tmux"]) {
        return;
    }
    let sandbox = Sandbox::new();
    sandbox.add("work", &[]);
    configure(&sandbox, "");
    sandbox.program("claude", "#!/bin/sh\necho running; read -r _\n");
    let server = Tmux::start(around(sandbox.kage([""; 0])), sandbox.path("tmux"));
    let real = std::env::split_paths("/usr/local/bin:/usr/bin:/bin").map(|dir| dir.join("tmux"));
    let real = real.into_iter().find(|path| path.exists()).unwrap();
    let wrapper = format!("#!/bin/sh\n{}\nexec '{}' \"$@\"\n", tells("tmux"), real.display());
    sandbox.program("tmux", &wrapper);
    let pane = server.first();
    pane.enter(&format!("'{}' exec -- claude", crate::support::kage().display()));
    pane.shows("running");
    wait_until("the pane is marked", || pane.option("@kage_subscription") == "work");
    assert_eq!(known(&told(&sandbox, "tmux")), ["VAULT_SESSION"]);
    pane.press("Enter");
    wait_until("the marks are gone", || pane.option("@kage_subscription").is_empty());
    pane.is_at_the_prompt();
    fs::remove_file(sandbox.path("bin/tmux")).unwrap();
}

#[test]
fn programs_that_the_doctor_asks_get_no_credential() {
    let sandbox = Sandbox::new();
    sandbox.add("work", &[]);
    sandbox.program("claude", &format!("#!/bin/sh\n{}\necho 2.1.330\n", tells("asked")));
    let _ = around(sandbox.kage(["doctor"])).run();
    assert_eq!(known(&told(&sandbox, "asked")), ["ROUTER_KEY", "VAULT_SESSION"]);
}

#[test]
fn a_command_behind_the_status_line_does_not_get_kages_passphrase() {
    let sandbox = Sandbox::new();
    let script = tells("line");
    let call = around(sandbox.kage(["statusline", "--", "sh", "-c", &script]));
    call.run().success();
    assert!(!told(&sandbox, "line").contains("KAGE_PASSPHRASE"));
}

/// The process that kage starts to ask the keychain, while it waits for an answer.
fn asking() -> Option<u32> {
    let processes = fs::read_dir("/proc").unwrap().flatten();
    let mut pids = processes.filter_map(|process| process.file_name().to_str()?.parse::<u32>().ok());
    pids.find(|pid| {
        let words = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
        let wanted = b"\0fetch-from-keychain\0asked-by-this-test\0";
        words.windows(wanted.len()).any(|part| part == wanted)
    })
}

#[test]
fn the_process_that_asks_the_keychain_is_closed_and_has_no_passphrase() {
    let sandbox = Sandbox::new();
    sandbox.config("[subscriptions.pool.asked-by-this-test]\n");
    let bus = UnixListener::bind(sandbox.path("bus")).unwrap();
    let Some(somebody) = Somebody::new(sandbox) else { return };
    let address = format!("unix:path={}", somebody.sandbox.path("bus").display());
    let call = around(somebody.kage(["exec", "--", "true"])).env("DBUS_SESSION_BUS_ADDRESS", address);
    let mut command = call.command;
    let mut kage: Child = command.stdin(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    // kage itself asks first, and is told nothing.
    drop(bus.accept().unwrap());
    // Nothing is said to the process either, so that it waits until the bus goes away.
    let connection = bus.accept().unwrap();
    let pid = asking().unwrap();
    let look = somebody.call("cat", [format!("/proc/{pid}/environ")]).run();
    assert!(!look.output.status.success(), "another process of the user's reads its environment");
    if let Ok(environment) = fs::read(format!("/proc/{pid}/environ")) {
        let environment = String::from_utf8(environment).unwrap().replace('\0', "\n");
        assert!(!known(&environment).contains(&"KAGE_PASSPHRASE"), "{environment}");
        assert!(known(&environment).contains(&"VAULT_SESSION"), "{environment}");
    }
    // It may try again.
    let more = thread::spawn(move || while bus.accept().is_ok() {});
    drop(connection);
    assert_eq!(kage.wait().unwrap().code(), Some(125));
    drop(more);
}
