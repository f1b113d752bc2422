//! The shell functions: what they run, and that arguments, status and signals pass through them.

use std::fs;

use super::{Shell, check_with, home, kage_at_odd_path, pane, tmux};
use crate::support::{Sandbox, has_all, wait_until};
use crate::tmux::Pane;

/// The last call of the plain agent: its subscription and arguments. Deletes the file.
fn called(sandbox: &Sandbox) -> Vec<String> {
    let file = sandbox.path("work/called");
    wait_until("the agent was called", || file.exists());
    let text = fs::read_to_string(&file).unwrap();
    fs::remove_file(file).unwrap();
    text.strip_suffix('\0').unwrap().split('\0').map(str::to_owned).collect()
}

/// Whether the agent runs in the foreground. Source: proc(5), the fields `state`, `pgrp` and `tpgid`.
fn is_in_the_foreground(sandbox: &Sandbox) -> bool {
    let stat = fs::read_to_string(format!("/proc/{}/stat", sandbox.read("work/pid").trim())).unwrap();
    let fields: Vec<_> = stat.rsplit_once(") ").unwrap().1.split(' ').collect();
    fields[0] != "T" && fields[2] == fields[5]
}

/// Types a line and waits until it has printed `until`.
fn prints(pane: &Pane<'_>, line: &str, until: &str) {
    pane.is_at_the_prompt();
    pane.enter(line);
    pane.shows(until);
    pane.is_at_the_prompt();
}

/// Runs a test in a pane of each shell, with the functions loaded.
fn in_each(test: impl Fn(&Shell, &Sandbox, &Pane<'_>)) {
    if !has_all(&["tmux"]) {
        return;
    }
    for shell in Shell::all() {
        let sandbox = home();
        shell.set_up(&sandbox, &shell.line());
        let tmux = tmux(&sandbox);
        test(shell, &sandbox, &pane(&tmux, shell));
    }
}

#[test]
fn they_load_twice_without_output_under_strict_options() {
    if !has_all(&["tmux"]) {
        return;
    }
    for shell in Shell::all() {
        let sandbox = home();
        shell.set_up(&sandbox, &shell.line().repeat(2));
        let tmux = tmux(&sandbox);
        let pane = pane(&tmux, shell);
        assert_eq!(pane.history().trim(), "ready>", "{} printed something", shell.name);
        prints(&pane, "claude hello", "claude on work-premium: hello");
    }
}

#[test]
fn commands_that_need_no_subscription_are_not_wrapped() {
    in_each(|shell, sandbox, pane| {
        prints(pane, "command claude a", "claude on its own login: a");
        for word in ["--version", "--help", "update", "doctor", "mcp", "setup-token", "install", "plugin"] {
            prints(pane, &format!("claude {word}"), &format!("claude on its own login: {word}"));
        }
        prints(pane, "KAGE_RUN=1 claude b", "claude on its own login: b");
        prints(pane, "claude", "claude on work-premium: ");
        assert_eq!(sandbox.ledger().len(), 1, "{}", shell.name);
    });
}

#[test]
fn arguments_are_passed_on_unchanged() {
    const ODD: [&str; 17] = [
        "",
        "a b",
        "it's",
        "say \"hi\"",
        "*",
        "[a-z]?",
        "$HOME",
        "`id`",
        "$(id)",
        "!!",
        "~",
        "ünïcödé 漢字 🦀",
        "--",
        "-n",
        "back\\slash\\",
        "{a,b}",
        "; exit #",
    ];
    const ONLY_IN_A_FILE: [&str; 3] = ["two\nlines\n", "a\ttab", "\u{1b}[31m"];
    in_each(|shell, sandbox, pane| {
        let typed: Vec<_> = ODD.iter().map(|word| shell.quoted(word)).collect();
        pane.enter(&format!("plain {}", typed.join(" ")));
        let expected: Vec<_> = ["other"].iter().chain(&ODD).copied().collect();
        assert_eq!(called(sandbox), expected, "{}", shell.name);
        let words: Vec<_> = ONLY_IN_A_FILE.iter().chain(&ODD).copied().collect();
        let quoted: Vec<_> = words.iter().map(|word| shell.quoted(word)).collect();
        sandbox.write("work/call", &format!("plain {}\n", quoted.join(" ")));
        pane.is_at_the_prompt();
        pane.enter("source ./call");
        assert_eq!(called(sandbox)[1..], words, "{}", shell.name);
    });
}

#[test]
fn the_exit_status_is_that_of_the_agent() {
    in_each(|shell, _, pane| {
        for status in [0, 7, 143] {
            let line = format!("plain status {status}; echo it was {}", shell.status);
            prints(pane, &line, &format!("\nit was {status}\n"));
        }
    });
}

#[test]
fn a_typed_interrupt_ends_the_agent_and_the_loop_around_it() {
    in_each(|shell, sandbox, pane| {
        // In fish 3 a loop continues after a ^C inside any function.
        let line = if shell.name == "fish" { "plain sleep" } else { "for i in 1 2 3; do plain sleep; done" };
        pane.enter(line);
        called(sandbox);
        pane.press("C-c");
        prints(pane, &format!("echo left with {}", shell.status), "\nleft with 130\n");
        assert_eq!(sandbox.read("work/starts"), "started\n", "{} started another run", shell.name);
        let running = sandbox.kage(["ps", "--json"]).run().success().stdout();
        assert!(running.contains("\"leases\": []"), "{}: {running}", shell.name);
    });
}

#[test]
fn a_stopped_agent_continues_in_the_foreground_like_any_program() {
    if !has_all(&["tmux"]) {
        return;
    }
    for shell in Shell::all() {
        let sandbox = home();
        sandbox.program("bare", "#!/bin/sh\nexec plain \"$@\"\n");
        shell.set_up(&sandbox, &shell.line());
        let tmux = tmux(&sandbox);
        let status = |program: &str| {
            let pane = pane(&tmux, shell);
            pane.is_at_the_prompt();
            pane.enter(&format!("{program} sleep"));
            let on = called(&sandbox)[0].clone();
            pane.press("C-z");
            pane.is_at_the_prompt();
            prints(&pane, "echo between", "\nbetween\n");
            pane.enter("fg");
            wait_until("the agent runs in the foreground again", || is_in_the_foreground(&sandbox));
            pane.press("C-c");
            prints(&pane, &format!("echo left with {} .", shell.status), " .\n");
            let screen = pane.shows("\nleft with ");
            let status = screen.rsplit_once("\nleft with ").unwrap().1.split(' ').next().unwrap().to_owned();
            (on, status)
        };
        let (on, wrapped) = status("plain");
        assert_eq!(on, "other");
        assert_eq!(("none".to_owned(), wrapped), status("bare"), "{}", shell.name);
    }
}

#[test]
fn the_names_of_the_pool_are_completed() {
    if !has_all(&["tmux"]) {
        return;
    }
    for shell in Shell::all() {
        let sandbox = home();
        shell.set_up(&sandbox, &shell.line());
        let mut text = sandbox.read(shell.startup_file);
        if shell.name == "zsh" {
            text = format!("autoload -Uz compinit\ncompinit -u -D\n{text}");
        }
        sandbox.write(shell.startup_file, &text);
        let tmux = tmux(&sandbox);
        let pane = pane(&tmux, shell);
        pane.is_at_the_prompt();
        for (typed, completed) in [("kage exec -s pers", "-s personal "), ("kage init ba", "init bash ")] {
            pane.types(typed);
            pane.press("Tab");
            pane.shows(completed);
            pane.press("C-u");
            pane.is_at_the_prompt();
        }
    }
}

#[test]
fn loading_them_starts_no_process() {
    if !has_all(&["strace"]) {
        return;
    }
    for shell in Shell::all() {
        let sandbox = home();
        let file = sandbox.write("functions", &shell.rendered(&sandbox, &[]));
        let empty = sandbox.write("empty", "");
        let clean = match shell.name {
            "bash" => "--norc",
            "zsh" => "-f",
            _ => "--no-config",
        };
        let processes = |file: &std::path::Path| {
            let line = format!("source {}", shell.quoted(file.to_str().unwrap()));
            let trace = sandbox.path("trace");
            let flags = ["-f", "-qq", "-e", "trace=execve,fork,vfork,clone,clone3", "-o"];
            let strace = sandbox.call("strace".as_ref(), flags);
            let mut strace = strace.command;
            strace.arg(&trace).args([shell.name, clean, "-c", &line]);
            assert!(strace.status().unwrap().success());
            fs::read_to_string(trace).unwrap().lines().count()
        };
        assert_eq!(processes(&file), processes(&empty), "{}", shell.name);
    }
}

#[test]
fn the_script_passes_linters_even_with_an_odd_path() {
    if !has_all(&["shellcheck", "shfmt", "fish_indent"]) {
        return;
    }
    for shell in Shell::all() {
        let sandbox = home();
        for kage in [sandbox.path("bin/kage"), kage_at_odd_path(&sandbox)] {
            let rendered = sandbox.call(&kage, ["init", shell.name]).run().success().stdout();
            let file = sandbox.write(&format!("kage.{}", shell.name), &rendered);
            if shell.name == "fish" {
                check_with("fish_indent", &["--check"], &file);
                continue;
            }
            check_with(shell.name, &["-n"], &file);
            // Both linters know bash. The functions for zsh are valid bash, its completion is not.
            let (functions, _) = rendered.split_once("#compdef").unwrap_or((&rendered, ""));
            let file = sandbox.write("functions.bash", &format!("{}\n", functions.trim_end()));
            // SC2016: the odd path has a literal `$`.
            check_with("shellcheck", &["-s", "bash", "-e", "SC2016"], &file);
            check_with("shfmt", &["-d", "-i", "2", "-ci", "-ln", "bash"], &file);
        }
    }
}

#[test]
fn a_kage_at_an_odd_path_can_be_called() {
    for shell in Shell::all() {
        let sandbox = home();
        let kage = kage_at_odd_path(&sandbox);
        let rendered = sandbox.call(&kage, ["init", shell.name]).run().success().stdout();
        let file = sandbox.write("functions", &rendered);
        let line = format!("source {}; plain 'a b'", shell.quoted(file.to_str().unwrap()));
        sandbox.call(shell.name.as_ref(), ["-c", &line]).run().success();
        assert_eq!(called(&sandbox), ["other", "a b"], "{}", shell.name);
    }
}

#[test]
fn functions_are_made_for_agents_with_a_subscription_or_named_ones() {
    for shell in Shell::all() {
        let sandbox = home();
        let functions = |flags: &[&str]| {
            let text = shell.rendered(&sandbox, flags);
            let (functions, _) = text.split_once("Completes kage").unwrap();
            let named = functions.lines().filter_map(|line| line.strip_prefix("function "));
            named.map(|name| name.trim_end_matches(" {").to_owned()).collect::<Vec<_>>()
        };
        assert_eq!(functions(&[]), ["claude", "plain"]);
        assert_eq!(functions(&["--alias", "codex,claude"]), ["codex", "claude"]);
        sandbox
            .kage(["init", shell.name, "--alias", "cluade"])
            .run()
            .status(2)
            .prints("")
            .is_one_line_and_a_hint();
        // With an invalid config all agents are wrapped, and the error is reported when one runs.
        sandbox.config("strategy = 1\n");
        assert_eq!(functions(&[]), ["claude", "codex", "gemini"]);
        let file = sandbox.write("functions", &shell.rendered(&sandbox, &[]));
        let line = format!("source {}; claude", shell.quoted(file.to_str().unwrap()));
        let refused = sandbox.call(shell.name.as_ref(), ["-c", &line]).run().status(2).prints("");
        refused.mentions("config.toml:1: ").is_one_line_and_a_hint();
    }
}

#[test]
fn they_also_work_without_a_terminal() {
    for shell in Shell::all() {
        let sandbox = home();
        let file = sandbox.write("functions", &shell.rendered(&sandbox, &[]));
        let line = format!("source {}; plain one; plain two", shell.quoted(file.to_str().unwrap()));
        sandbox.call(shell.name.as_ref(), ["-c", &line]).run().success().prints("");
        assert_eq!(called(&sandbox), ["other", "two"], "{}", shell.name);
    }
}
