//! A kage that has a secret is protected: it leaves no core dump, and no other process of the user can read
//! its memory. The programs that it starts keep the user's settings.

#![cfg(target_os = "linux")]

use std::io::Write as _;
use std::os::unix::process::ExitStatusExt as _;
use std::process::{Child, Stdio};

use rustix::io::ioctl_fionread;
use rustix::process::{Pid, Resource, Rlimit, Signal, getrlimit, kill_process, setrlimit};

use crate::security::unprivileged_user::UnprivilegedUser;
use crate::support::{Call, Sandbox, pool, token, wait_until};

/// Prints 128 if an aborting child leaves a core dump, else 0; then the size limit of core dumps.
const DUMPS: &str = r#"if (!fork) { kill "ABRT", $$; sleep 60 } wait; print $? & 128, " ", `ulimit -c`"#;

/// Raises the size limit of core dumps as far as the system allows.
fn allow_dumps() {
    let is_root = rustix::process::geteuid().is_root();
    let maximum = if is_root { None } else { getrlimit(Resource::Core).maximum };
    let limit = Rlimit { current: maximum, maximum };
    setrlimit(Resource::Core, limit).unwrap();
}

fn spawned(call: Call) -> Child {
    let mut command = call.command;
    command.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap()
}

/// Kills a process by signals that normally cause a core dump, and checks that there is none.
fn check_no_dump(sandbox: &Sandbox, mut child: Child, what: &str) {
    for signal in [Signal::SEGV, Signal::SEGV, Signal::ABORT] {
        // Rust's handler takes the first SEGV: it only finds that the stack did not overflow.
        let _ = kill_process(Pid::from_child(&child), signal);
    }
    let status = child.wait().unwrap();
    assert!(status.signal().is_some() && !status.core_dumped(), "{what}: {status}");
    let files = std::fs::read_dir(sandbox.path("work")).unwrap().flatten();
    let dumps = files.filter(|file| file.file_name().to_string_lossy().starts_with("core"));
    assert_eq!(dumps.count(), 0, "{what}");
}

#[test]
fn a_kage_that_has_a_secret_leaves_no_core_dump() {
    allow_dumps();
    let sandbox = pool();
    let is_there = |file: &str| wait_until(file, || sandbox.path(&format!("work/{file}")).exists());
    let wait = "touch agent; exec cat";
    let running = spawned(sandbox.kage(["exec", "-s", "personal", "--", "sh", "-c", wait]));
    is_there("agent");
    check_no_dump(&sandbox, running, "while its agent runs");

    let adding = ["subscription", "add", "third", "--credential", "file"];
    let mut reading = spawned(sandbox.kage(adding));
    let mut pipe = reading.stdin.take().unwrap();
    pipe.write_all(token("typed").as_bytes()).unwrap();
    wait_until("the secret is read", || ioctl_fionread(&pipe).unwrap() == 0);
    check_no_dump(&sandbox, reading, "while it reads a secret");

    let prints = format!("echo {}; echo $$ >new; mv new printed; exec sleep 60", token("printed"));
    let command = format!("command:{prints}");
    let adding = ["subscription", "add", "fourth", "--credential", &command];
    let printing = spawned(sandbox.kage(adding));
    is_there("printed");
    check_no_dump(&sandbox, printing, "while a command prints a secret");
    end(sandbox.read("work/printed").trim());

    sandbox.config("[subscriptions.pool.login]\ncredential = { home = \"/\" }\n");
    let wait = ["exec", "--", "sh", "-c", "touch login; exec cat"];
    let with_passphrase = spawned(sandbox.kage(wait).env("KAGE_PASSPHRASE", "invented"));
    is_there("login");
    check_no_dump(&sandbox, with_passphrase, "with a passphrase in its environment");
}

/// Kills a process that outlived its kage.
fn end(pid: &str) {
    kill_process(Pid::from_raw(pid.parse().unwrap()).unwrap(), Signal::KILL).unwrap();
}

#[test]
fn core_dumps_of_an_agent_follow_the_users_settings() {
    allow_dumps();
    let sandbox = pool();
    let perl = ["-e", DUMPS];
    let alone = sandbox.call("perl".as_ref(), perl).run().success().stdout();
    let run = sandbox.kage(["exec", "--", "perl"].into_iter().chain(perl)).run().success().stdout();
    assert_eq!(run, alone);
    // Also a program that replaces a protected kage.
    let replaced = sandbox.kage(["statusline", "--", "perl"].into_iter().chain(perl));
    let replaced = replaced.env("KAGE_PASSPHRASE", "invented").run().success().stdout();
    assert_eq!(replaced, alone);
    if !alone.starts_with("128 ") {
        eprintln!("no core dumps are written here: {alone}");
    }
}

/// Prints the files of a process in /proc that can be opened.
const LOOK: &str = r#"
    for file in environ mem maps stat cmdline; do
        if true <"/proc/$1/$file"; then echo "$file"; fi
    done 2>/dev/null
"#;

#[test]
fn other_processes_of_the_user_cannot_read_the_memory_of_a_kage_that_has_a_secret() {
    let Some(user) = UnprivilegedUser::new(pool()) else { return };
    let look = format!("look() {{ {LOOK} }}; look $PPID; echo; look $$");
    let ran = user.kage(["exec", "--", "sh", "-c", &look]).run().success();
    assert_eq!(ran.stdout(), "stat\ncmdline\n\nenviron\nmem\nmaps\nstat\ncmdline\n");
    let ran = user.kage(["exec", "-s", "personal", "--", "cat", "/proc/self/environ"]).run().success();
    assert!(ran.stdout().contains(&token("personal--ok")), "the agent has its own environment");
}

#[test]
fn a_kage_that_an_agent_calls_is_protected_too() {
    let Some(user) = UnprivilegedUser::new(pool()) else { return };
    // `kage detect` reads until the other end of the fifo is closed.
    let inside = format!(
        "look() {{ {LOOK} }}; mkfifo fifo; kage detect fifo >said & kage=$!; exec 3>fifo; look $kage; exec 3>&-; wait"
    );
    let ran = user.kage(["exec", "--", "sh", "-c", &inside]).run().success();
    assert_eq!(ran.stdout(), "stat\ncmdline\n");
}

#[test]
fn others_can_see_whether_a_protected_kage_is_running() {
    let Some(user) = UnprivilegedUser::new(pool()) else { return };
    let running = || -> serde_json::Value {
        serde_json::from_str(&user.kage(["ps", "--json"]).run().success().stdout()).unwrap()
    };
    let wait = "kage statusline </dev/null >line; echo $$ >pid.new; mv pid.new pid; exec sleep 60";
    let mut kage = spawned(user.kage(["exec", "-s", "personal", "--", "sh", "-c", wait]));
    wait_until("the agent runs", || user.sandbox.path("work/pid").exists());
    assert_eq!(user.sandbox.read("work/line"), "personal\n", "the status line knows its kage");
    let leases = running();
    assert_eq!(leases["leases"][0]["subscription"], "personal", "{leases}");
    assert_eq!(leases["leases"][0]["pid"], kage.id(), "{leases}");
    kill_process(Pid::from_child(&kage), Signal::KILL).unwrap();
    kage.wait().unwrap();
    assert_eq!(running()["leases"], serde_json::json!([]));
    end(user.sandbox.read("work/pid").trim());
}

/// A program with the agent's name that calls kage again without kage's variables. It stops after 20 calls if
/// kage does not stop it.
const AGAIN: &str = r#"#!/bin/sh
echo once >>"$HOME/times"
[ "$(wc -l <"$HOME/times")" -lt 20 ] || exit 9
exec env -i HOME="$HOME" PATH="$PATH" claude "$@"
"#;

#[test]
fn protected_kages_that_start_each_other_end() {
    let sandbox = pool();
    sandbox.program("claude", AGAIN);
    sandbox.kage(["shim", "install", "claude"]).run().success();
    let link = sandbox.write("link/claude", "");
    std::fs::remove_file(&link).unwrap();
    let Some(user) = UnprivilegedUser::new(sandbox) else { return };
    let sandbox = &user.sandbox;
    std::os::unix::fs::symlink(sandbox.path("bin/kage"), link).unwrap();
    for dir in ["home/.local/share/kage/shims", "link"] {
        let dirs = [sandbox.path(dir), sandbox.path("bin"), "/usr/bin".into(), "/bin".into()];
        let path = std::env::join_paths(dirs).unwrap();
        let ran = user.call("sh", ["-c", "exec claude -p hi"]).env("PATH", path).run().status(125);
        ran.mentions("kage called itself, 8 levels deep");
        assert_eq!(sandbox.read("home/times").lines().count(), 8, "{dir}");
        std::fs::remove_file(sandbox.path("home/times")).unwrap();
    }
}
