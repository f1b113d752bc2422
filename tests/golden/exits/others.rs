//! All other verbs: those that report, those that agents and shells call, those that set something up.

use std::os::unix::fs::symlink;

use super::{Row, Table};
use crate::support::{CONFIG, Sandbox, kage, token};

pub(super) fn rows() -> Vec<Row> {
    let parts = [general, report, usage, detect, doctor, callbacks, broken_files, set_up];
    parts.into_iter().flat_map(|part| part()).collect()
}

/// A pool of one subscription with the stand-in agent.
fn pool() -> Sandbox {
    let sandbox = Sandbox::new();
    let secret = "{ command = \"echo sk-ant-oat01-invented\" }";
    sandbox.config(&format!("[subscriptions.pool]\nwork = {{ credential = {secret} }}\n"));
    sandbox.stand_in_claude();
    sandbox
}

fn general() -> Vec<Row> {
    let empty = Sandbox::new();
    let mut first = Table::of(&empty);
    first.kage("no verb, in a new home", "");
    let sandbox = pool();
    let mut table = Table::of(&sandbox);
    for (situation, line) in [
        ("no verb", ""),
        ("--version", "--version"),
        ("--help", "--help"),
        ("--help of a verb", "exec --help"),
        ("help", "help status"),
        ("unknown verb", "frobnicate"),
        ("mistyped verb", "statsu"),
        ("verb of another wrapper", "run -- claude"),
        ("unknown flag", "--frob"),
        ("unknown flag of a verb", "ps --frob"),
        ("stand-in-agent: no token", "stand-in-agent -p hi"),
        ("generate", "generate made"),
        ("generate: cannot write", "generate /dev/null/made"),
    ] {
        table.kage(situation, line);
    }
    table.run("demo", sandbox.kage(["demo"]).env("TMPDIR", sandbox.path("work")));
    table.bash("the reader is gone", "\"$0\" subscription list --json | :; exit \"${PIPESTATUS[0]}\"");
    table.bash("the disk is full", "\"$0\" status >/dev/full");
    first.rows.into_iter().chain(table.rows).collect()
}

fn report() -> Vec<Row> {
    let sandbox = pool();
    let mut table = Table::of(&sandbox);
    for (situation, line) in [
        ("status", "status"),
        ("status --json", "status --json"),
        ("status, by its longer name", "subscription status"),
        ("status: unknown form", "status --format xml"),
        ("status: two forms", "status --json --format tmux"),
        ("status: -s without tmux", "status -s work"),
        ("status for tmux: unknown subscription", "status --format tmux -s wrok"),
        ("status --watch: no terminal", "status --watch"),
        ("ps", "ps"),
        ("metrics", "metrics"),
        ("why", "why"),
        ("why: nothing is ready", "why -t gpu"),
        ("why: unknown agent", "why --agent clod"),
        ("why: unknown level", "why -p urgent"),
        ("prompt", "prompt"),
    ] {
        table.kage(situation, line);
    }
    for verb in ["why", "prompt"] {
        let call = sandbox.kage([verb]).env("KAGE_NAMESPACE", "a b");
        table.run(&format!("{verb}: invalid namespace"), call);
    }
    table.rows
}

fn usage() -> Vec<Row> {
    let sandbox = pool();
    let line = "{\"time\":\"2024-03-05T10:00:00Z\",\"subscription\":\"former\"}";
    sandbox.write("home/.local/state/kage/usage/2024-03.jsonl", &format!("{line}\nnot a line\n"));
    let mut table = Table::of(&sandbox);
    for (situation, line) in [
        ("usage, with a damaged line", "usage"),
        ("usage, by its longer name", "subscription usage"),
        ("usage --csv", "usage --period all --csv"),
        ("usage: removed subscription", "usage --period all -s former"),
        ("usage: unknown subscription", "usage -s wrok"),
        ("usage: unknown period", "usage --period year"),
        ("usage: unknown --by", "usage --by colour"),
        ("usage: invalid day", "usage --since yesterday"),
        ("usage: ends before it starts", "usage --since 2024-03-02 --until 2024-03-01"),
        ("usage: two forms", "usage --json --csv"),
        ("usage --html", "usage --html page.html"),
        ("usage --html: no directory", "usage --html absent/page.html"),
        ("usage --html: a directory", "usage --html ."),
        ("usage --prune-before", "usage --prune-before 2024-03-06"),
        ("usage --prune-before with --json", "usage --prune-before 2024-03-06 --json"),
    ] {
        table.kage(situation, line);
    }
    table.rows
}

fn detect() -> Vec<Row> {
    let sandbox = pool();
    let mut table = Table::of(&sandbox);
    for (situation, text) in [
        ("detect: usage limit", "You've hit your 5-hour limit · resets 1pm (UTC)"),
        ("detect: throttled", "API Error: Request rejected (429) · slow down"),
        ("detect: overloaded", "API Error: 529 Overloaded. This is a server-side issue, usually temporary."),
        ("detect: credential refused", "Invalid API key · Fix external API key"),
        (
            "detect: organization refused",
            "Your organization has disabled Claude subscription access for Claude Code",
        ),
        ("detect: billing refused", "Credit balance is too low"),
        ("detect: timeout", "Request timed out."),
        ("detect: no error", "Hello"),
        ("detect: no input", ""),
    ] {
        table.run(situation, sandbox.kage(["detect"]).stdin(text));
    }
    for (situation, line) in [
        ("detect: no such file", "detect absent"),
        ("detect: a directory", "detect ."),
        ("detect: unknown agent", "detect --agent clod"),
        ("detect: invalid time", "detect --at noon"),
        ("detect: invalid exit status", "detect --exit bad"),
    ] {
        table.kage(situation, line);
    }
    table.rows
}

fn doctor() -> Vec<Row> {
    let sandbox = pool();
    sandbox.program("claude", "#!/bin/sh\necho '2.1.332 (Claude Code)'\n");
    symlink(kage(), sandbox.path("bin/kage")).unwrap();
    sandbox.write("home/.bashrc", "eval \"$(kage init bash)\"\n");
    sandbox.write("home/.profile", "[ -f ~/.bashrc ] && . ~/.bashrc\n");
    let mut table = Table::of(&sandbox);
    let call = || sandbox.kage(["doctor"]).env("PATH", sandbox.path("bin")).env("SHELL", "/bin/bash");
    table.run("doctor: all is well", call());
    table.run("doctor: a warning", call().env("ANTHROPIC_API_KEY", "sk-ant-api03-invented"));
    std::fs::remove_file(sandbox.path("bin/claude")).unwrap();
    table.run("doctor: an error", call());
    table.rows
}

/// Verbs that agents and shells call.
fn callbacks() -> Vec<Row> {
    let sandbox = pool();
    let mut table = Table::of(&sandbox);
    let hook = || sandbox.kage(["hook"]).env("KAGE_RUN", "nobody").env("KAGE_SUBSCRIPTION", "work");
    table.kage("hook: no run", "hook");
    table.run("hook: unknown run", hook());
    table.run("hook: invalid input", hook().stdin("nonsense"));
    for (situation, line) in [
        ("statusline: no run", "statusline"),
        ("statusline: the command exits with 3", "statusline -- sh -c 'exit 3'"),
        ("statusline: the command is killed", "statusline -- sh -c 'kill -TERM $$'"),
        ("statusline: the command was not found", "statusline -- absent"),
        ("statusline: unknown flag", "statusline --frob"),
    ] {
        table.kage(situation, line);
    }
    let complete = |words: &[&str], at: &str| sandbox.kage(words).env("KAGE_COMPLETE", at);
    table.run("completion", complete(&["--", "kage", "exec", "-s", ""], "3"));
    table.run("completion: invalid place", complete(&["--", "kage"], "18446744073709551615"));
    table.rows
}

/// Every verb that reads the config or the state, when the file is not usable.
fn broken_files() -> Vec<Row> {
    let sandbox = pool();
    let mut table = Table::of(&sandbox);
    let config = sandbox.read(CONFIG);
    sandbox.config("[subscriptions\n");
    for line in [
        "status",
        "status --format tmux",
        "usage",
        "ps",
        "metrics",
        "why",
        "prompt",
        "detect",
        "doctor --json",
        "hook",
        "statusline",
        "shim list",
        "init bash",
        "setup --yes",
    ] {
        table.kage(&format!("{line}: the config is not TOML"), line);
    }
    let complete = sandbox.kage(["--", "kage", "exec", "-s", ""]).env("KAGE_COMPLETE", "3");
    table.run("completion: the config is not TOML", complete);
    sandbox.config(&config);
    sandbox.write("home/.local/state/kage/state.json", "{\"version\":99}");
    for line in [
        "status",
        "status --format tmux",
        "usage",
        "ps",
        "metrics",
        "why",
        "prompt",
        "subscription reset work",
    ] {
        table.kage(&format!("{line}: the state has a newer version"), line);
    }
    table.rows
}

fn set_up() -> Vec<Row> {
    let sandbox = pool();
    let mut table = Table::of(&sandbox);
    for (situation, line) in [
        ("init bash", "init bash"),
        ("init fish", "init fish"),
        ("init direnv", "init direnv"),
        ("init tmux", "init tmux"),
        ("init: no shell", "init"),
        ("init: unknown shell", "init tcsh"),
        ("init --alias: unknown agent", "init bash --alias clod"),
        ("init --alias: not a shell", "init direnv --alias claude"),
        ("init --install", "init bash --install --yes"),
        ("init --install, again", "init bash --install --yes"),
        ("init --uninstall", "init bash --uninstall --yes"),
        ("init --install with --uninstall", "init bash --install --uninstall"),
        ("setup: no terminal", "setup"),
    ] {
        table.kage(situation, line);
    }
    let fresh = Sandbox::new();
    fresh.program("claude", "#!/bin/sh\nexit 3\n");
    let mut first = Table::of(&fresh);
    let setup = |more: &str| {
        let line = format!("setup --yes --credential file --shell none{more}");
        fresh.kage(line.split(' ')).stdin(&token("work--ok"))
    };
    let codex = setup(" --agent codex").env("PATH", fresh.path("bin"));
    first.run("setup: the agent was not found", codex);
    first.run("setup: not a secret of the agent", setup(" --no-test").stdin("nonsense"));
    first.run("setup: the test run fails", setup(""));
    first.run("setup --no-test", setup(" --no-test --name other"));
    table.rows.into_iter().chain(first.rows).collect()
}
