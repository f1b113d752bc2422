//! Completion in real shells at a terminal, the help, the checked-in scripts and man pages, and the files
//! that a completion opens.

// A failed unwrap is a failed test.
#![allow(clippy::unwrap_used)]

mod files;
mod help;
mod shells;

use crate::support::{Ran, Sandbox, has_all, kage, pool};

/// kage's completions for a line whose cursor is in the last of these words.
fn complete(sandbox: &Sandbox, words: &[&str]) -> Ran {
    let line = ["--", "kage"].iter().chain(words);
    sandbox.kage(line).env("KAGE_COMPLETE", words.len().to_string()).run().success().says("")
}

fn words(answer: &Ran) -> Vec<String> {
    answer.stdout().lines().map(|line| line.split('\t').next().unwrap_or_default().to_owned()).collect()
}

fn named() -> Sandbox {
    let sandbox = pool();
    sandbox.add("client-x", &["--description", "The client's account"]);
    sandbox.kage(["sub", "route", "-n", "frontend", "-s", "personal"]).run().success();
    sandbox.kage(["sub", "route", "-p", "high", "-s", "work-premium"]).run().success();
    sandbox
}

#[test]
fn names_come_from_the_config_with_descriptions() {
    let sandbox = named();
    let config = sandbox.read(crate::support::CONFIG);
    sandbox.config(&format!("{config}[namespaces.research]\nrepos = []\n"));
    for (line, expected) in [
        ("exec -s", "client-x\tThe client's account\npersonal\tclaude\nwork-premium\tclaude backend\n"),
        (
            "subscription show",
            "client-x\tThe client's account\npersonal\tclaude\nwork-premium\tclaude backend\n",
        ),
        ("exec -n", "frontend\tpersonal\nresearch\n"),
        ("exec -t", "backend\twork-premium\n"),
        ("exec -p", "high\twork-premium\nnormal\nbatch\n"),
        ("why --agent", "claude\ncodex\ngemini\n"),
        ("init bash --alias", "claude\ncodex\ngemini\n"),
        ("subscription route --remove", "frontend\tpersonal\nhigh\twork-premium\n"),
        ("usage --html", "complete files\n"),
        ("subscription list --status", "active\nrate_limited\nexhausted\ndisabled\nunhealthy\n"),
    ] {
        let line: Vec<_> = line.split(' ').chain([""]).collect();
        complete(&sandbox, &line).prints(expected);
    }
}

#[test]
fn each_item_of_a_list_is_completed() {
    let sandbox = named();
    complete(&sandbox, &["exec", "-t", "audited,b"]).prints("audited,backend\twork-premium\n");
    let route = ["subscription", "route", "--subscriptions", "personal,tag:"];
    complete(&sandbox, &route).prints("personal,tag:backend\twork-premium\n");
    complete(&sandbox, &["usage", "--by", "model,da"]).prints("model,day\n");
}

#[test]
fn hidden_commands_are_not_offered_and_flags_only_after_a_dash() {
    let sandbox = named();
    for hidden in ["gen", "stand", "fetch"] {
        complete(&sandbox, &[hidden]).prints("");
    }
    let verbs = words(&complete(&sandbox, &[""]));
    assert!(verbs.contains(&"exec".into()) && verbs.iter().all(|verb| !verb.starts_with('-')), "{verbs:?}");
    let flags = words(&complete(&sandbox, &["subscription", "show", "--"]));
    assert!(flags.contains(&"--json".into()), "{flags:?}");
    assert_eq!(words(&complete(&sandbox, &["exec", ""]))[0], "--");
}

#[test]
fn a_broken_config_gives_no_names_and_no_message() {
    let sandbox = named();
    sandbox.config("[subscriptions\n");
    complete(&sandbox, &["exec", "-s", ""]).prints("");
    complete(&sandbox, &["wh"]).prints("why\tShow which subscription a run would get, and why\n");
    sandbox.config("");
    complete(&sandbox, &["exec", "-s", ""]).prints("");
    sandbox.kage(["--", "kage"]).env("KAGE_COMPLETE", "18446744073709551615").run().success().says("");
}

#[test]
fn the_variable_alone_does_not_prevent_a_run() {
    let sandbox = named();
    let exec = sandbox.kage(["exec", "-q", "--", "echo", "ran"]).env("KAGE_COMPLETE", "1");
    exec.run().success().prints("ran\n");
}

#[test]
fn completion_opens_the_config_but_no_state_or_secrets() {
    if !has_all(&["strace"]) {
        return;
    }
    let sandbox = named();
    let log = sandbox.path("trace");
    let trace = ["-f", "-e", "trace=file,network,desc", "-o", log.to_str().expect("the path is UTF-8")];
    let line = ["--", "kage", "exec", "-s", ""].map(str::to_owned);
    let program = kage().display().to_string();
    let args = trace.map(str::to_owned).into_iter().chain([program]).chain(line);
    let answer = sandbox.call("strace".as_ref(), args).env("KAGE_COMPLETE", "3").run().success();
    assert_eq!(words(&answer), ["client-x", "personal", "work-premium"]);
    let trace = sandbox.read("trace");
    assert!(trace.contains(".config/kage/config.toml"), "the config was not read: {trace}");
    for none in
        [".local/state", ".local/share", "identity", "socket(", "connect(", "O_WRONLY", "O_RDWR", "O_CREAT"]
    {
        assert!(!trace.contains(none), "`{none}` in {trace}");
    }
}
