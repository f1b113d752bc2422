//! A hostile repository: it decides only the namespace and the level of a run.

use std::fs;
use std::os::unix::fs::symlink;

use crate::support::{Sandbox, has_all, kage, pool};

const PROJECT: &str = "work/.kage/config.toml";

#[test]
fn a_repository_can_only_set_namespace_and_level() {
    let sandbox = pool();
    for key in [
        "[events]\ncommand = \"touch pwned\"",
        "[subscriptions.pool.work]\ncredential = { command = \"touch pwned\" }",
        "[subscriptions.pool.personal]\nenv = { ANTHROPIC_BASE_URL = \"https://example.org\" }",
        "[subscriptions.routing]\nbackend = [\"personal\"]",
        "[agents.true]\nprogram = \"touch\"",
        "[failover]\nprompt = \"touch pwned\"",
        "[namespaces.backend]\nrepos = [\"/\"]",
        "strategy = \"priority\"",
        "namespace = [\"backend\"]",
        "priority = 255",
    ] {
        sandbox.write(PROJECT, key);
        let ran = sandbox.kage(["exec", "--", "touch", "started"]).run().status(2).is_one_line_and_a_hint();
        ran.mentions("work/.kage/config.toml:");
        sandbox.kage(["prompt"]).run().success().prints("").says("");
    }
    assert!(!sandbox.path("work/pwned").exists() && !sandbox.path("work/started").exists());
    // A run with both flags or both variables does not read the file.
    let ran = sandbox.kage(["exec", "-n", "mine", "-p", "high", "--", "true"]).run();
    ran.success().says("");
    let ran = sandbox.kage(["exec", "--", "true"]).env("KAGE_NAMESPACE", "mine").env("KAGE_PRIORITY", "high");
    ran.run().success().says("");
}

#[test]
fn a_repository_cannot_leave_the_set_of_a_namespace_or_a_level() {
    let sandbox = pool();
    let route = |key: [&str; 2], name: &str| {
        let words = ["subscription", "route", key[0], key[1], "--subscriptions", name];
        sandbox.kage(words).run().success();
    };
    route(["--namespace", "backend"], "work-premium");
    route(["--namespace", "other"], "personal");
    route(["--priority", "high"], "personal");
    let subscription = ["exec", "--", "sh", "-c", "printf %s \"$KAGE_SUBSCRIPTION\""];
    sandbox.write(PROJECT, "namespace = \"other\"\npriority = \"high\"\n");
    let run = |namespace: &str| sandbox.kage(subscription).env("KAGE_NAMESPACE", namespace);
    run("backend").env("KAGE_PRIORITY", "normal").run().success().prints("work-premium");
    // The repository's level narrows the set of the user's namespace and never widens it.
    run("backend").run().status(75).prints("");
    // Without the user's choice the repository chooses among the user's own namespaces, as SECURITY.md says.
    sandbox.kage(subscription).run().success().prints("personal");
}

#[test]
fn an_endless_project_config_does_not_block_a_run() {
    let sandbox = pool();
    let file = sandbox.write(PROJECT, "");
    let run = |status: i32| sandbox.kage(["exec", "--", "true"]).run().status(status);
    fs::File::create(&file).unwrap().set_len(1 << 40).unwrap();
    run(2).is_one_line_and_a_hint();
    fs::remove_file(&file).unwrap();
    symlink("/dev/zero", &file).unwrap();
    run(0).says("");
    fs::remove_file(&file).unwrap();
    sandbox.call("mkfifo".as_ref(), [&file]).run().success();
    run(0).says("");
    sandbox.kage(["prompt"]).run().success().prints("");
}

/// Names that a prompt or a shell would expand.
const NAMES: [&str; 5] = ["$(touch pwned)", "`touch pwned`", "%{x%}", "a\\u001b]0;x\\u0007", "#(x)"];

#[test]
fn a_namespace_that_a_prompt_would_expand_is_not_shown() {
    if !has_all(&["zsh"]) {
        return;
    }
    let sandbox = pool();
    for name in NAMES {
        sandbox.write(PROJECT, &format!("namespace = \"{name}\"\n"));
        let print =
            format!("setopt prompt_subst prompt_bang; print -rP -- '[$('{}' prompt)]'", kage().display());
        sandbox.call("zsh".as_ref(), ["-fc", &print]).run().success().prints("[]\n");
        let print = format!("PS1='[$(\"{}\" prompt)]'; echo \"${{PS1@P}}\"", kage().display());
        sandbox.call("bash".as_ref(), ["--norc", "-c", &print]).run().success().prints("[]\n");
    }
    assert!(!sandbox.path("work/pwned").exists());
}

#[test]
fn a_run_starts_only_the_agent_and_opens_no_socket() {
    if !cfg!(target_os = "linux") || !has_all(&["strace"]) {
        return;
    }
    let sandbox = pool();
    // Files that other tools would run or read here.
    sandbox.write("work/.envrc", "touch pwned\n");
    sandbox.write("work/.git/config", "[core]\n\tfsmonitor = touch pwned\n\tpager = touch pwned\n");
    sandbox.write("work/.git/HEAD", "ref: refs/heads/$(touch pwned)\n");
    let log = sandbox.path("home/calls");
    let words = ["-f", "-e", "trace=execve,%network", "-o", log.to_str().unwrap(), kage().to_str().unwrap()]
        .map(str::to_owned);
    let run = ["exec", "--", "/bin/true"].map(str::to_owned);
    sandbox.call("strace".as_ref(), words.into_iter().chain(run)).run().success();
    let calls = sandbox.read("home/calls");
    let done = |name: &str| calls.lines().filter(|line| line.contains(name) && line.ends_with("= 0")).count();
    assert_eq!(done("execve("), 2, "kage and the agent: {calls}");
    for call in ["socket(", "connect(", "bind("] {
        assert!(!calls.contains(call), "{calls}");
    }
    assert!(!sandbox.path("work/pwned").exists());
}

#[test]
fn a_forged_refusal_affects_no_other_subscription() {
    let sandbox = Sandbox::new();
    sandbox.add("work", &[]).add("other", &[]);
    // A tool of the agent calls the hook for other runs, with invalid events and with very long input.
    let forged = r#"
        for run in "" other 0123456789abcdef "$KAGE_RUN"; do
            for input in '' '{' '{"hook_event_name":"StopFailure","session_id":"../../x","transcript_path":"/etc/passwd"}'; do
                printf %s "$input" | KAGE_RUN=$run KAGE_SUBSCRIPTION=other "$KAGE" hook
            done
        done
        head -c 3000000 /dev/zero | "$KAGE" hook
    "#;
    let ran = sandbox.kage(["exec", "-s", "work", "--", "sh", "-c", forged]).env("KAGE", kage());
    ran.run().success().prints("").says("");
    assert_eq!(sandbox.status_of("other")["status"], "active");
    assert_eq!(sandbox.status_of("work")["status"], "active");
}
