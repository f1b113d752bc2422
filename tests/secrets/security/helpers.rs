//! Programs that kage starts for itself get no secret that they do not need.

use std::collections::BTreeSet;
use std::os::unix::net::UnixListener;
use std::process::{Child, Stdio};
use std::{fs, thread};

use jiff::{SignedDuration, Timestamp};
use serde_json::json;

use crate::security::somebody::Somebody;
use crate::support::{CONFIG, Call, Sandbox, has_all, token, wait_until};
use crate::tmux::Tmux;

/// What a user may have around them: kage's secret, the credentials of agents, and one of their own.
const AROUND: [(&str, &str); 9] = [
    ("KAGE_PASSPHRASE", "invented-passphrase"),
    ("ANTHROPIC_API_KEY", "sk-ant-api03-invented"),
    ("CLAUDE_CODE_OAUTH_TOKEN", "sk-ant-oat01-invented"),
    ("OPENAI_API_KEY", "sk-proj-invented"),
    ("ROUTER_KEY", "invented-router-key"),
    ("ROUTER_ORG", "invented-router-org"),
    ("HELPER_LOGIN", "invented-helper-login"),
    ("PATHFINDER", "invented-pathfinder"),
    ("VAULT_SESSION", "invented-session"),
];

/// The variables of these agents are in the config alone. Not each of their names looks like that of a secret.
const OWN_AGENTS: &str = r#"
[agents.router]
credential_env = "ROUTER_KEY"
remove_env = ["ROUTER_ORG"]

[agents.helper]
credential_env = "HELPER_LOGIN"

[agents.finder]
credential_env = "PATHFINDER"
"#;

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
    sandbox.config(&format!("{}\n{OWN_AGENTS}\n{more}", sandbox.read(CONFIG)));
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

/// A sandbox in which the doctor, `init` and `setup` ask many programs, each of which keeps its environment.
fn with_programs_to_ask() -> Sandbox {
    let sandbox = Sandbox::new();
    sandbox.add("work", &[]);
    let pool = ["router", "helper", "codex", "gemini"].map(|agent| {
        format!(
            "[subscriptions.pool.{agent}]\nagent = \"{agent}\"\ncredential = {{ command = \"echo x\" }}\n"
        )
    });
    configure(&sandbox, &format!("{}\n[events]\ncommand = \"beep\"\n", pool.concat()));
    for (name, says) in [
        ("claude", "2.1.330"),
        ("codex", "codex-cli 0.169.0"),
        ("gemini", "0.61.0"),
        ("router", "1.0"),
        ("helper", "1.0"),
        ("tmux", "tmux 3.5a"),
        ("direnv", "Found RC allowed 0"),
        ("zsh", "/nowhere"),
        ("bash", "no"),
        ("fish", "no"),
        ("kage", "kage 0.0.1"),
    ] {
        let keeps = format!("env >\"$HOME/asked.{name}.$$\"");
        sandbox.program(name, &format!("#!/bin/sh\n{keeps}\necho '{says}'\n"));
    }
    sandbox.write("home/.zshenv", "ZDOTDIR=/nowhere\n");
    sandbox.write("home/.config/direnv/lib/kage.sh", "use_kage() { :; }\n");
    sandbox.write("work/.envrc", "use kage backend\n");
    sandbox
}

/// Which programs were asked since the last time, and which of the variables any of them was given.
fn asked(sandbox: &Sandbox) -> (BTreeSet<String>, BTreeSet<String>) {
    let (mut programs, mut given) = (BTreeSet::new(), BTreeSet::new());
    for file in fs::read_dir(sandbox.path("home")).unwrap().flatten().map(|entry| entry.path()) {
        let name = file.file_name().unwrap().to_str().unwrap();
        if let Some(program) = name.strip_prefix("asked.").and_then(|rest| rest.split('.').next()) {
            programs.insert(program.to_owned());
            given.extend(known(&fs::read_to_string(&file).unwrap()).into_iter().map(str::to_owned));
            fs::remove_file(&file).unwrap();
        }
    }
    (programs, given)
}

fn set<const N: usize>(names: [&str; N]) -> BTreeSet<String> {
    names.map(str::to_owned).into()
}

fn doctor(sandbox: &Sandbox) {
    let call = around(sandbox.kage(["doctor"])).env("SHELL", "/bin/zsh").env("DIRENV_DIR", "-/nowhere");
    assert!(call.run().output.status.code().is_some_and(|code| code <= 2));
}

const VISIBLE: [&str; 1] = ["VAULT_SESSION"];

#[test]
fn programs_that_the_doctor_asks_get_no_credential() {
    let sandbox = with_programs_to_ask();
    doctor(&sandbox);
    let (programs, given) = asked(&sandbox);
    let all = ["claude", "codex", "direnv", "gemini", "helper", "kage", "router", "tmux", "zsh"];
    assert_eq!((programs, given), (set(all), set(VISIBLE)));
}

#[test]
fn programs_that_are_asked_under_a_refused_config_get_no_credential() {
    let sandbox = with_programs_to_ask();
    let good = sandbox.read(CONFIG);
    for bad in ["[agents.router]\n", "[events", "[failover]\nno = 1\n", "[agents.other]\n"] {
        sandbox.config(&format!("{good}{bad}"));
        doctor(&sandbox);
        assert_eq!(asked(&sandbox), (set(["direnv", "kage", "tmux", "zsh"]), set(VISIBLE)), "{bad}");
    }
    let place = sandbox.path(CONFIG);
    fs::write(&place, [good.as_bytes(), b"# caf\xe9\n"].concat()).unwrap();
    doctor(&sandbox);
    assert_eq!(asked(&sandbox).1, set(VISIBLE));
    // Of one that cannot be opened nothing is known but how the names of secrets look.
    fs::remove_file(&place).unwrap();
    fs::create_dir(&place).unwrap();
    doctor(&sandbox);
    assert_eq!(asked(&sandbox).1, set(["HELPER_LOGIN", "PATHFINDER", "ROUTER_ORG", "VAULT_SESSION"]));
}

#[test]
fn zsh_gets_no_credential_where_its_directory_is_asked_for() {
    let sandbox = with_programs_to_ask();
    let good = sandbox.read(CONFIG);
    sandbox.write("nowhere/.zshrc", "");
    let dir = sandbox.path("nowhere");
    let keeps = format!("#!/bin/sh\nenv >\"$HOME/asked.zsh.$$\"\necho '{}'\n", dir.display());
    sandbox.program("zsh", &keeps);
    let setup = ["setup", "--yes", "--no-test", "--name", "work", "--shell", "zsh"];
    let install = ["init", "zsh", "--install", "--yes"];
    let uninstall = ["init", "zsh", "--uninstall", "--yes"];
    for words in [&setup[..], &install, &uninstall] {
        around(sandbox.kage(words)).run().success();
        assert_eq!(asked(&sandbox), (set(["zsh"]), set(VISIBLE)), "{words:?}");
    }
    sandbox.config(&format!("{good}[events"));
    for words in [&install[..], &uninstall] {
        around(sandbox.kage(words)).run().success();
        assert_eq!(asked(&sandbox), (set(["zsh"]), set(VISIBLE)), "{words:?} with a refused config");
    }
    sandbox.config(&good);
    for words in [&["init", "zsh"][..], &["shim", "install"], &["shim", "list"], &["shim", "remove"]] {
        around(sandbox.kage(words)).run().success();
        assert_eq!(asked(&sandbox).0, set([]), "{words:?}");
    }
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
