//! `kage` without arguments, and `kage setup` with answers from flags or from a terminal.

// A failed unwrap is a failed test.
#![allow(clippy::unwrap_used)]

use crate::support::{CONFIG, Sandbox, has_all, kage, token};
use crate::tmux::Tmux;

/// An empty home with kage and an agent in `PATH`.
fn fresh() -> Sandbox {
    let sandbox = Sandbox::new();
    std::os::unix::fs::symlink(kage(), sandbox.path("bin/kage")).unwrap();
    sandbox.stand_in_claude();
    sandbox
}

fn tmux(sandbox: &Sandbox, shell: &str) -> Tmux {
    Tmux::start(sandbox.kage(["ps"]).env("SHELL", shell), sandbox.path("tmux"))
}

#[test]
fn without_arguments_kage_explains_itself_and_with_a_pool_prints_its_usage() {
    let sandbox = fresh();
    let text = sandbox.kage::<&str>([]).run().success().says("").stdout();
    assert_eq!(text.lines().count(), 10, "{text}");
    assert!(text.lines().all(|line| line.chars().count() <= 100), "{text}");
    assert!(text.contains("start with `kage setup`"));
    assert!(!sandbox.path("home/.config").exists(), "it writes nothing");
    sandbox.add("work", &[]);
    sandbox.kage::<&str>([]).run().status(2).mentions("Usage: kage <COMMAND>");
}

#[test]
fn every_step_can_be_answered_by_flags() {
    let sandbox = fresh();
    let flags = ["setup", "--yes", "--name", "acme", "--credential", "file", "--shell", "zsh"];
    let done = sandbox.kage(flags).stdin(&token("acme--ok")).run().success();
    // Standard output is the agent's answer. kage writes to standard error only.
    assert_eq!(done.stdout(), "The test compares a local time with UTC; freeze the clock and it passes.\n");
    let done = done.mentions("$ kage subscription add acme --credential file").mentions("added `acme`");
    done.mentions("added one line to")
        .mentions("$ kage exec -s acme -- claude -p ")
        .mentions("setup is complete");
    assert_eq!(sandbox.status_of("acme")["runs_today"], 1);
    assert_eq!(sandbox.read("home/.zshrc").lines().count(), 1);

    let again = sandbox.kage(flags).run().success().mentions("subscription `acme` already exists");
    assert!(!again.stderr().contains("kage init"));
    assert_eq!(sandbox.status_of("acme")["runs_today"], 2);
    assert_eq!(sandbox.read("home/.zshrc").lines().count(), 1);
}

#[test]
fn it_skips_unwanted_steps() {
    let sandbox = fresh();
    let flags = ["setup", "--yes", "--credential", "file", "--shell", "none", "--no-test"];
    let done = sandbox.kage(flags).stdin(&token("work--ok")).run().success().prints("");
    assert!(!done.stderr().contains("kage init") && !done.stderr().contains("kage exec -s"));
    assert_eq!(sandbox.status_of("work")["runs_today"], 0);
}

#[test]
fn every_flag_of_the_credential_is_used() {
    let sandbox = fresh();
    let flags = ["setup", "--yes", "--credential", "file", "--shell", "none", "--no-test", "--force"];
    let minted = |day: &str| sandbox.kage(flags.iter().chain(&["--minted", day])).stdin("odd-looking").run();
    minted("2999-01-01").status(2).mentions("is in the future");
    minted("2026-01-05").success();
    let shown = sandbox.kage(["subscription", "show", "work"]).run().success().stdout();
    assert!(shown.contains("2026-01-05"), "{shown}");
}

#[test]
fn nothing_is_stored_for_an_agent_that_is_not_installed() {
    let sandbox = fresh();
    let flags = ["setup", "--yes", "--agent", "codex", "--credential", "file", "--shell", "bash"];
    let refused = sandbox.kage(flags).stdin("sk-invented").run().status(1);
    refused.mentions("`codex` was not found").mentions("hint: npm install -g @openai/codex");
    assert!(!sandbox.path(CONFIG).exists() && !sandbox.path("home/.bashrc").exists());
}

#[test]
fn it_uses_the_file_if_no_keychain_answers() {
    let sandbox = fresh();
    let flags = ["setup", "--yes", "--shell", "none", "--no-test"];
    let done = sandbox.kage(flags).stdin(&token("work--ok")).run().success();
    done.mentions("no keychain is available");
    assert!(sandbox.read(CONFIG).contains("{ from = \"file\" }"), "{}", sandbox.read(CONFIG));
}

#[test]
fn a_failure_is_reported_with_the_next_command() {
    let sandbox = fresh();
    sandbox.kage(["setup"]).run().status(2).is_one_line_and_a_hint();
    let flags = ["setup", "--yes", "--credential", "file", "--shell", "none"];
    sandbox.kage(flags).stdin("nonsense").run().status(2).mentions("does not look like a credential");
    assert!(!sandbox.read(CONFIG).contains("pool.work"));
    sandbox.program("claude", "#!/bin/sh\nexit 3\n");
    let failed = sandbox.kage(flags).stdin(&token("work--ok")).run().status(1);
    failed.mentions("the test run on `work` ended with exit status 3").mentions("hint: kage doctor");
    let bare = Sandbox::new();
    bare.kage(flags)
        .stdin(&token("work--ok"))
        .run()
        .status(1)
        .mentions("no known agent was found on PATH")
        .mentions("hint: npm install");
}

#[test]
fn it_asks_at_the_terminal() {
    if !has_all(&["tmux"]) {
        return;
    }
    let sandbox = fresh();
    sandbox.program("codex", "#!/bin/sh\nexit 0\n");
    let tmux = tmux(&sandbox, "/usr/bin/fish");
    let pane = tmux.first();
    pane.is_at_the_prompt();
    pane.enter("kage setup; echo it ended with $?");
    pane.shows("Which agent is the subscription for?");
    pane.press("Enter");
    pane.shows("What should the subscription be called? (work)");
    pane.types("a b");
    pane.press("Enter");
    pane.shows("` ` is not allowed in a name");
    pane.press("BSpace");
    pane.press("BSpace");
    pane.types("cme");
    pane.press("Enter");
    pane.shows("> kage's encrypted file");
    pane.press("Enter");
    pane.shows("Credential for acme (not shown):");
    pane.enter(&token("acme--ok"));
    pane.shows("Run your agents through kage in new fish shells? (Y/n)");
    pane.press("Enter");
    pane.shows("added one line to");
    pane.shows("Test it with one short question to claude? (Y/n)");
    pane.press("Enter");
    let screen = pane.shows("it ended with 0");
    assert!(!screen.contains("sk-ant-"), "{screen}");
    assert_eq!(sandbox.status_of("acme")["runs_today"], 1);
    assert_eq!(sandbox.read("home/.config/fish/config.fish").lines().count(), 1);
    pane.is_at_the_prompt();
    pane.enter("kage setup; echo it ended again with $?");
    pane.shows("Add another subscription? (y/N)");
    pane.press("Enter");
    pane.shows("Test it with one short question to claude? (Y/n)");
    pane.types("n");
    pane.press("Enter");
    pane.shows("it ended again with 0");
}

#[test]
fn leaving_at_a_question_restores_the_terminal() {
    if !has_all(&["tmux"]) {
        return;
    }
    let sandbox = fresh();
    let tmux = tmux(&sandbox, "/bin/bash");
    for (key, status) in [("C-c", "130"), ("Escape", "1")] {
        let pane = tmux.another();
        pane.enter("stty -a >before; kage setup; echo it ended with $?; stty -a >after");
        pane.shows("What should the subscription be called? (work)");
        pane.press(key);
        if key == "C-c" {
            // A loop or list around it ends as well, so the rest of the line is not run.
            pane.is_at_the_prompt();
            pane.enter("echo it ended with $?; stty -a >after");
        }
        pane.shows(&format!("\nit ended with {status}"));
        pane.is_at_the_prompt();
        assert_eq!(sandbox.read("work/before"), sandbox.read("work/after"), "{key}");
        assert_eq!(pane.cursor(), "1");
        assert!(!sandbox.path(CONFIG).exists());
    }
}

#[test]
fn a_signal_at_a_question_restores_the_terminal() {
    if !has_all(&["tmux", "pgrep"]) {
        return;
    }
    let sandbox = fresh();
    let tmux = tmux(&sandbox, "/bin/bash");
    let pane = tmux.first();
    pane.is_at_the_prompt();
    pane.enter("stty -a >before; kage setup; echo it ended with $?; stty -a >after");
    pane.shows("What should the subscription be called? (work)");
    let found = std::process::Command::new("pgrep").args(["-P", &pane.pid().to_string()]).output().unwrap();
    let pid = String::from_utf8(found.stdout).unwrap().trim().parse().unwrap();
    let pid = rustix::process::Pid::from_raw(pid).unwrap();
    rustix::process::kill_process(pid, rustix::process::Signal::TERM).unwrap();
    pane.shows("it ended with 143");
    pane.is_at_the_prompt();
    assert_eq!(sandbox.read("work/before"), sandbox.read("work/after"));
}
