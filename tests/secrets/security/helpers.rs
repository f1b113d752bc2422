//! Programs that kage starts for its own purposes get no secret that they do not need.

use std::collections::BTreeSet;
use std::os::unix::net::UnixListener;
use std::process::{Child, Stdio};
use std::{fs, thread};

use jiff::{SignedDuration, Timestamp};
use serde_json::json;

use crate::security::unprivileged_user::UnprivilegedUser;
use crate::support::{CONFIG, Call, Sandbox, has_all, token, wait_until};
use crate::tmux::Tmux;

/// Variables in a user's environment: kage's secret, credentials of agents, and the user's own session.
const ENVIRONMENT: [(&str, &str); 9] = [
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

/// The variables of these agents are only in the config. Not all of their names look like names of secrets.
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
    ENVIRONMENT.into_iter().map(|(name, _)| name).filter(|name| is_set(name)).collect()
}

/// Adds these variables to a call.
fn with_env(call: Call) -> Call {
    ENVIRONMENT.into_iter().fold(call, |call, (name, value)| call.env(name, value))
}

/// A shell command that writes its environment to a file atomically.
fn save_environment(name: &str) -> String {
    format!("env >\"$HOME/{name}.$$\"; mv \"$HOME/{name}.$$\" \"$HOME/{name}\"")
}

/// The environment that a helper has saved.
fn saved(sandbox: &Sandbox, name: &str) -> String {
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
    let command = format!("command:{}; echo {}", save_environment("credential"), token("printed"));
    let add = with_env(sandbox.kage(["subscription", "add", "work", "--credential", &command]));
    add.run().success();
    let environment = saved(&sandbox, "credential");
    assert!(environment.contains("VAULT_SESSION=invented-session"), "{environment}");
    assert!(!environment.contains("KAGE_PASSPHRASE"), "{environment}");
}

#[test]
fn an_event_command_gets_no_credential() {
    let sandbox = Sandbox::new();
    sandbox.add_with("work", "work--429five", &[]);
    sandbox.stand_in_claude();
    configure(&sandbox, &format!("[events]\ncommand = '{}'\n", save_environment("event")));
    let ran = with_env(sandbox.kage(["exec", "--retries", "0", "--", "claude", "-p", "hi"])).run();
    ran.status(1);
    assert_eq!(known(&saved(&sandbox, "event")), ["VAULT_SESSION"]);
}

#[test]
fn an_event_command_of_a_running_agent_does_not_get_the_agents_credential() {
    let sandbox = Sandbox::new();
    sandbox.add("work", &[]);
    configure(&sandbox, &format!("[events]\ncommand = '{}'\n", save_environment("event")));
    let resets = (Timestamp::now() + SignedDuration::from_hours(1)).as_second();
    let row = json!({
        "type": "assistant", "isSidechain": false, "timestamp": Timestamp::now(), "isApiErrorMessage": true,
        "error": "rate_limit", "apiErrorStatus": 429, "apiError": "usage_limit_reached",
        "quotaLimits": { "status": "rejected", "rateLimitType": "five_hour", "resetsAt": resets },
        "message": { "model": "<synthetic>", "content": [{ "type": "text", "text": "You've hit your limit" }] },
    });
    let record = sandbox.write("work/record.jsonl", &format!("{row}\n"));
    let event = json!({ "hook_event_name": "StopFailure", "session_id": "s", "transcript_path": record });
    sandbox.write("work/input", &event.to_string());
    let hook = format!("env >\"$HOME/agent\"; '{}' hook <input", crate::support::kage().display());
    sandbox.kage(["exec", "--", "sh", "-c", &hook]).run().success();
    assert_eq!(known(&sandbox.read("home/agent")), ["CLAUDE_CODE_OAUTH_TOKEN"]);
    let event = saved(&sandbox, "event");
    assert_eq!(known(&event), [""; 0]);
    assert!(event.contains("KAGE_SUBSCRIPTION=work"), "the hook ran the event command: {event}");
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
    let server = Tmux::start(with_env(sandbox.kage([""; 0])), sandbox.path("tmux"));
    let real = std::env::split_paths("/usr/local/bin:/usr/bin:/bin").map(|dir| dir.join("tmux"));
    let real = real.into_iter().find(|path| path.exists()).unwrap();
    let wrapper = format!("#!/bin/sh\n{}\nexec '{}' \"$@\"\n", save_environment("tmux"), real.display());
    sandbox.program("tmux", &wrapper);
    let pane = server.first();
    pane.enter(&format!("'{}' exec -- claude", crate::support::kage().display()));
    pane.shows("running");
    wait_until("the pane's options are set", || pane.option("@kage_subscription") == "work");
    assert_eq!(known(&saved(&sandbox, "tmux")), ["VAULT_SESSION"]);
    pane.press("Enter");
    wait_until("the pane's options are removed", || pane.option("@kage_subscription").is_empty());
    pane.is_at_the_prompt();
    fs::remove_file(sandbox.path("bin/tmux")).unwrap();
}

/// A sandbox in which `doctor`, `init` and `setup` run many programs, each of which saves its environment.
fn with_programs_to_run() -> Sandbox {
    let sandbox = Sandbox::new();
    sandbox.add("work", &[]);
    let pool = ["router", "helper", "codex", "gemini"].map(|agent| {
        format!(
            "[subscriptions.pool.{agent}]\nagent = \"{agent}\"\ncredential = {{ command = \"echo x\" }}\n"
        )
    });
    configure(&sandbox, &format!("{}\n[events]\ncommand = \"beep\"\n", pool.concat()));
    for (name, output) in [
        ("claude", "2.1.332"),
        ("codex", "codex-cli 0.171.0"),
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
        let save = format!("env >\"$HOME/ran.{name}.$$\"");
        sandbox.program(name, &format!("#!/bin/sh\n{save}\necho '{output}'\n"));
    }
    sandbox.write("home/.zshenv", "ZDOTDIR=/nowhere\n");
    sandbox.write("home/.config/direnv/lib/kage.sh", "use_kage() { :; }\n");
    sandbox.write("work/.envrc", "use kage backend\n");
    sandbox
}

/// The programs that ran since the last call, and the variables that any of them had.
fn ran(sandbox: &Sandbox) -> (BTreeSet<String>, BTreeSet<String>) {
    let (mut programs, mut given) = (BTreeSet::new(), BTreeSet::new());
    for file in fs::read_dir(sandbox.path("home")).unwrap().flatten().map(|entry| entry.path()) {
        let name = file.file_name().unwrap().to_str().unwrap();
        if let Some(program) = name.strip_prefix("ran.").and_then(|rest| rest.split('.').next()) {
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
    let call = with_env(sandbox.kage(["doctor"])).env("SHELL", "/bin/zsh").env("DIRENV_DIR", "-/nowhere");
    assert!(call.run().output.status.code().is_some_and(|code| code <= 2));
}

const VISIBLE: [&str; 1] = ["VAULT_SESSION"];

#[test]
fn programs_that_doctor_runs_get_no_credential() {
    let sandbox = with_programs_to_run();
    doctor(&sandbox);
    let (programs, given) = ran(&sandbox);
    let all = ["claude", "codex", "direnv", "gemini", "helper", "kage", "router", "tmux", "zsh"];
    assert_eq!((programs, given), (set(all), set(VISIBLE)));
}

#[test]
fn programs_that_run_with_an_invalid_config_get_no_credential() {
    let sandbox = with_programs_to_run();
    let good = sandbox.read(CONFIG);
    for bad in ["[agents.router]\n", "[events", "[failover]\nno = 1\n", "[agents.other]\n"] {
        sandbox.config(&format!("{good}{bad}"));
        doctor(&sandbox);
        assert_eq!(ran(&sandbox), (set(["direnv", "kage", "tmux", "zsh"]), set(VISIBLE)), "{bad}");
    }
    let config = sandbox.path(CONFIG);
    fs::write(&config, [good.as_bytes(), b"# caf\xe9\n"].concat()).unwrap();
    doctor(&sandbox);
    assert_eq!(ran(&sandbox).1, set(VISIBLE));
    // If the config cannot be read, kage only knows what names of secrets look like.
    fs::remove_file(&config).unwrap();
    fs::create_dir(&config).unwrap();
    doctor(&sandbox);
    assert_eq!(ran(&sandbox).1, set(["HELPER_LOGIN", "PATHFINDER", "ROUTER_ORG", "VAULT_SESSION"]));
}

#[test]
fn zsh_gets_no_credential_when_kage_asks_for_its_directory() {
    let sandbox = with_programs_to_run();
    let good = sandbox.read(CONFIG);
    sandbox.write("nowhere/.zshrc", "");
    let dir = sandbox.path("nowhere");
    let zsh = format!("#!/bin/sh\nenv >\"$HOME/ran.zsh.$$\"\necho '{}'\n", dir.display());
    sandbox.program("zsh", &zsh);
    let setup = ["setup", "--yes", "--no-test", "--name", "work", "--shell", "zsh"];
    let install = ["init", "zsh", "--install", "--yes"];
    let uninstall = ["init", "zsh", "--uninstall", "--yes"];
    for words in [&setup[..], &install, &uninstall] {
        with_env(sandbox.kage(words)).run().success();
        assert_eq!(ran(&sandbox), (set(["zsh"]), set(VISIBLE)), "{words:?}");
    }
    sandbox.config(&format!("{good}[events"));
    for words in [&install[..], &uninstall] {
        with_env(sandbox.kage(words)).run().success();
        assert_eq!(ran(&sandbox), (set(["zsh"]), set(VISIBLE)), "{words:?} with a refused config");
    }
    sandbox.config(&good);
    for words in [&["init", "zsh"][..], &["shim", "install"], &["shim", "list"], &["shim", "remove"]] {
        with_env(sandbox.kage(words)).run().success();
        assert_eq!(ran(&sandbox).0, set([]), "{words:?}");
    }
}

#[test]
fn a_command_after_the_status_line_does_not_get_kages_passphrase() {
    let sandbox = Sandbox::new();
    let script = save_environment("line");
    let call = with_env(sandbox.kage(["statusline", "--", "sh", "-c", &script]));
    call.run().success();
    assert!(!saved(&sandbox, "line").contains("KAGE_PASSPHRASE"));
}

/// The process that kage starts to read the keychain, while it waits for an answer.
fn keychain_reader() -> Option<u32> {
    let processes = fs::read_dir("/proc").unwrap().flatten();
    let mut pids = processes.filter_map(|process| process.file_name().to_str()?.parse::<u32>().ok());
    pids.find(|pid| {
        let words = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
        let wanted = b"\0fetch-from-keychain\0read-by-this-test\0";
        words.windows(wanted.len()).any(|part| part == wanted)
    })
}

#[test]
fn the_process_that_reads_the_keychain_is_protected_and_has_no_passphrase() {
    let sandbox = Sandbox::new();
    sandbox.config("[subscriptions.pool.read-by-this-test]\n");
    let bus = UnixListener::bind(sandbox.path("bus")).unwrap();
    let Some(user) = UnprivilegedUser::new(sandbox) else { return };
    let address = format!("unix:path={}", user.sandbox.path("bus").display());
    let call = with_env(user.kage(["exec", "--", "true"])).env("DBUS_SESSION_BUS_ADDRESS", address);
    let mut command = call.command;
    let mut kage: Child = command.stdin(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    // kage itself connects first and gets no answer.
    drop(bus.accept().unwrap());
    // The process gets no answer either, so it waits until the bus is closed.
    let connection = bus.accept().unwrap();
    let pid = keychain_reader().unwrap();
    let look = user.call("cat", [format!("/proc/{pid}/environ")]).run();
    assert!(!look.output.status.success(), "another process of the user can read its environment");
    if let Ok(environment) = fs::read(format!("/proc/{pid}/environ")) {
        let environment = String::from_utf8(environment).unwrap().replace('\0', "\n");
        assert!(!known(&environment).contains(&"KAGE_PASSPHRASE"), "{environment}");
        assert!(known(&environment).contains(&"VAULT_SESSION"), "{environment}");
    }
    // It may connect again.
    let more = thread::spawn(move || while bus.accept().is_ok() {});
    drop(connection);
    assert_eq!(kage.wait().unwrap().code(), Some(125));
    drop(more);
}
