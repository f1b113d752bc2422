//! The subscription verbs: what they change, what they print, and what they refuse.

use std::fs;

use crate::support::{CONFIG, Sandbox, pool, token};
use serde_json::{Value, json};

#[test]
fn add_writes_the_definition_and_keeps_the_secret_out_of_it() {
    let sandbox = Sandbox::new();
    let flags = [
        "subscription",
        "add",
        "--name",
        "work-premium",
        "--priority",
        "150",
        "--tags",
        "backend,audited",
        "--description",
        "Work account",
        "--max-parallel",
        "4",
        "--env",
        "A=1",
        "--env",
        "B=x y",
        "--requests-per-window",
        "60",
        "--tokens-per-day",
        "5000",
        "--credential",
        "file",
        "--stdin",
    ];
    sandbox
        .kage(flags)
        .stdin(&format!("{}\n", token("x--ok")))
        .run()
        .success()
        .prints("")
        .mentions("added `work-premium`");
    let expected = "[subscriptions.pool.work-premium]\npriority = 150\ntags = [\"backend\", \"audited\"]\n\
                    description = \"Work account\"\nmax_parallel = 4\nrequests_per_window = 60\n\
                    tokens_per_day = 5000\nenv = { A = \"1\", B = \"x y\" }\ncredential = { from = \"file\" }\n";
    assert_eq!(sandbox.read(CONFIG), expected);
    let ran = sandbox.kage(["exec", "--", "env"]).run().success().stdout();
    assert!(ran.contains(&format!("CLAUDE_CODE_OAUTH_TOKEN={}\n", token("x--ok"))), "{ran}");
    assert!(ran.contains("\nA=1\n") || ran.starts_with("A=1\n"), "{ran}");
}

#[test]
fn add_refuses_an_invalid_credential_and_writes_nothing() {
    let sandbox = Sandbox::new();
    let add = |secret: &str, more: &[&str]| {
        let words = ["sub", "add", "work", "--credential", "file"].into_iter().chain(more.iter().copied());
        sandbox.kage(words).stdin(secret).run()
    };
    add("", &[]).status(2).is_one_line_and_a_hint().mentions("it is empty");
    add("sk-ant-oat01-a\nsk-ant-oat01-b", &[])
        .status(2)
        .is_one_line_and_a_hint()
        .mentions("more than one line");
    let refused = add("hunter2", &[])
        .status(2)
        .is_one_line_and_a_hint()
        .mentions("sk-ant-oat01-")
        .mentions("claude setup-token");
    assert!(!refused.stderr().contains("hunter2"), "the secret was repeated");
    add("sk-ant-oat01-", &[]).status(2).mentions("does not look like");
    assert!(!sandbox.path(CONFIG).exists());
    assert!(!sandbox.path("home/.local/share/kage/credentials").exists());
    add("hunter2", &["--force"]).success();
}

#[test]
fn invalid_arguments_are_refused_and_change_nothing() {
    let sandbox = pool();
    let before = sandbox.read(CONFIG);
    for (words, part) in [
        (vec!["add", ""], "must not be empty"),
        (vec!["add", "a b"], "is not allowed in a name"),
        (vec!["add", "work-premium"], "already"),
        (vec!["add", "x", "--agent", "clod"], "clod"),
        (vec!["add", "x", "--credential", "air"], "not a valid credential location"),
        (
            vec!["add", "x", "--credential", "home:/nonexistent"],
            "login directory /nonexistent does not exist",
        ),
        (vec!["add", "x", "--priority", "256"], "256"),
        (vec!["add", "x", "--max-parallel", "0"], "positive whole number"),
        (vec!["add", "x", "--max-parallel", "4294967296"], "expected at most 4294967295"),
        (vec!["add", "x", "--tokens-per-day", "9223372036854775808"], "positive whole number"),
        (vec!["add", "x", "--env", "novalue"], "NAME=VALUE"),
        (vec!["add", "x", "--credential", "file", "--tags", "a b"], "not a valid tag"),
        (vec!["add"], "NAME"),
        (vec!["set", "work-premium"], "no settings given"),
        (vec!["set", "work-premum", "--priority", "1"], "no subscription named `work-premum`"),
        (vec!["rename", "personal", "work-premium"], "already"),
        (vec!["remove", "ghost"], "no subscription named `ghost`"),
        (vec!["remove", "personal"], "cannot ask whether to remove"),
        (vec!["show", "ghost"], "no subscription"),
        (vec!["route", "--namespace", "high", "--subscriptions", "personal"], "is a level"),
        (vec!["route", "--namespace", "ns", "--subscriptions", "ghost"], "no subscription named `ghost`"),
        (vec!["route", "--namespace", "ns"], "--subscriptions"),
        (vec!["route", "--remove", "ns"], "no route for `ns`"),
        (vec!["credential", "personal", "--json"], "--json"),
        (vec!["frobnicate"], "frobnicate"),
    ] {
        let line = ["subscription"].into_iter().chain(words);
        sandbox
            .kage(line)
            .stdin(&token("x--ok"))
            .run()
            .status(2)
            .is_one_line_and_a_hint()
            .mentions(part)
            .prints("");
    }
    assert_eq!(sandbox.read(CONFIG), before);
    let secrets = sandbox.kage(["sub", "credential", "--list"]).run().success().stdout();
    assert!(!secrets.contains(" x "), "a refused add left its secret behind: {secrets}");
}

#[test]
fn a_vague_name_is_accepted_with_a_hint() {
    let sandbox = Sandbox::new();
    let add = |name: &str| {
        sandbox.kage(["sub", "add", name, "--credential", "file"]).stdin(&token("x")).run().success()
    };
    add("sub1").mentions("kage subscription rename sub1 NEW");
    assert!(!add("work-premium").stderr().contains("rename"));
}

#[test]
fn list_and_show_print_the_pool() {
    let sandbox = pool();
    let list = sandbox.kage(["subscription", "list"]).run().success().stdout();
    assert!(list.contains("│ work-premium │ claude │ active │ 150      │ backend │ file       │"), "{list}");
    let ascii = sandbox.kage(["sub", "list"]).env("LANG", "C").run().success().stdout();
    assert!(ascii.is_ascii() && ascii.contains("| work-premium | claude | active |"), "{ascii}");
    let one = sandbox.kage(["sub", "list", "--json", "--status", "active"]).run().success().stdout();
    let one: Value = serde_json::from_str(&one).unwrap();
    assert_eq!((&one["schema"], one["subscriptions"].as_array().unwrap().len()), (&json!(1), 2));
    let none = sandbox.kage(["sub", "list", "--json", "--status", "disabled"]).run().success().stdout();
    assert_eq!(serde_json::from_str::<Value>(&none).unwrap()["subscriptions"], json!([]));
    let show = sandbox.kage(["sub", "show", "work-premium"]).run().success().stdout();
    for line in [
        "Name            work-premium",
        "Credential      file",
        "Priority        150",
        "Max parallel    none",
    ] {
        assert!(show.lines().any(|known| known == line), "no `{line}` in {show}");
    }
    let show = sandbox.kage(["sub", "show", "work-premium", "--json"]).run().success().stdout();
    let show: Value = serde_json::from_str(&show).unwrap();
    assert_eq!(
        (&show["name"], &show["credential"], &show["schema"]),
        (&json!("work-premium"), &json!("file"), &json!(1))
    );
}

#[test]
fn set_enable_disable_and_reset_change_a_subscription() {
    let sandbox = pool();
    let set =
        ["sub", "set", "personal", "--priority", "0", "--tags", "a,b", "--max-parallel", "2", "--env", "X=1"];
    sandbox.kage(set).run().success();
    sandbox
        .kage([
            "sub",
            "set",
            "personal",
            "--tokens-per-day",
            "5000000000",
            "--requests-per-window",
            "5000000000",
        ])
        .run()
        .success();
    let show = sandbox.kage(["sub", "show", "personal"]).run().success().stdout();
    assert!(show.contains("Requests/window 5,000,000,000\nTokens/day      5,000,000,000\n"), "{show}");
    for flag in ["--tokens-per-day", "--requests-per-window"] {
        sandbox.kage(["sub", "set", "personal", flag, "none"]).run().success();
    }
    sandbox
        .kage(["sub", "set", "personal", "--max-parallel", "none", "--tags", "", "--env", "X="])
        .run()
        .success();
    let text = sandbox.read(CONFIG);
    assert!(
        text.ends_with("[subscriptions.pool.personal]\npriority = 0\ncredential = { from = \"file\" }\n"),
        "{text}"
    );
    sandbox.kage(["sub", "disable", "personal"]).run().success();
    assert_eq!(sandbox.status_of("personal")["status"], "disabled");
    sandbox
        .kage(["exec", "-s", "personal", "--", "true"])
        .run()
        .status(75)
        .is_one_line_and_a_hint()
        .mentions("`personal` is disabled");
    sandbox.kage(["sub", "enable", "personal"]).run().success();
    sandbox.kage(["exec", "-s", "personal", "--", "true"]).run().success();
    sandbox.kage(["sub", "reset", "personal"]).run().success();
}

#[test]
fn rename_moves_secret_routes_and_totals() {
    let sandbox = pool();
    sandbox.kage(["sub", "route", "--namespace", "ns", "--subscriptions", "personal"]).run().success();
    sandbox.kage(["exec", "-n", "ns", "--", "true"]).run().success();
    sandbox.kage(["sub", "rename", "personal", "private"]).run().success();
    let ran = sandbox.kage(["exec", "-n", "ns", "--", "env"]).run().success().stdout();
    assert!(ran.contains("KAGE_SUBSCRIPTION=private") && ran.contains(&token("personal--ok")), "{ran}");
    assert_eq!(sandbox.status_of("private")["runs_today"], 2);
    let secrets = sandbox.kage(["sub", "credential", "--list"]).run().success().stdout();
    assert!(secrets.contains("private") && !secrets.contains("personal"), "{secrets}");
}

#[test]
fn remove_refuses_while_a_route_needs_it_and_removes_the_secret() {
    let sandbox = pool();
    sandbox.kage(["sub", "route", "--namespace", "ns", "--subscriptions", "personal"]).run().success();
    sandbox
        .kage(["sub", "remove", "personal"])
        .run()
        .status(1)
        .is_one_line_and_a_hint()
        .mentions("still used by routes: `ns`");
    sandbox
        .kage(["sub", "remove", "personal", "--force"])
        .run()
        .success()
        .mentions("the route `ns` is now empty");
    let secrets = sandbox.kage(["sub", "credential", "--list"]).run().success().stdout();
    assert!(!secrets.contains("personal"), "{secrets}");
    // The namespace stays closed: its work does not move to the rest of the pool.
    sandbox.kage(["exec", "-n", "ns", "--", "true"]).run().status(75).is_one_line_and_a_hint();
    sandbox.kage(["exec", "--", "true"]).run().success();
}

#[test]
fn credential_replaces_the_secret_and_its_source() {
    let sandbox = pool();
    sandbox.kage(["sub", "credential", "personal"]).stdin(&token("fresh--ok")).run().success();
    let ran = sandbox.kage(["exec", "-s", "personal", "--", "env"]).run().success().stdout();
    assert!(ran.contains(&token("fresh--ok")), "{ran}");
    let moved = format!("command:echo {}", token("printed--ok"));
    sandbox.kage(["sub", "credential", "personal", "--credential", &moved]).run().success();
    let ran = sandbox.kage(["exec", "-s", "personal", "--", "env"]).run().success().stdout();
    assert!(ran.contains(&token("printed--ok")), "{ran}");
    let secrets = sandbox.kage(["sub", "credential", "--list"]).run().success().stdout();
    assert!(!secrets.contains("personal"), "the old secret stayed: {secrets}");
    sandbox.kage(["sub", "credential", "personal"]).run().status(2).is_one_line_and_a_hint();
}

#[test]
fn a_passphrase_opens_the_file_and_does_not_reach_the_agent() {
    let sandbox = Sandbox::new();
    let add = ["sub", "add", "work", "--credential", "file"];
    sandbox.kage(add).env("KAGE_PASSPHRASE", "correct horse").stdin(&token("work")).run().success();
    assert!(!sandbox.path("home/.config/kage/identity").exists());
    let exec = || sandbox.kage(["exec", "--quiet", "--", "env"]);
    let ran = exec().env("KAGE_PASSPHRASE", "correct horse").run().success().stdout();
    assert!(ran.contains(&token("work")) && !ran.contains("correct horse"), "{ran}");
    let file = sandbox.write("home/passphrase", "correct horse\n");
    exec().env("KAGE_PASSPHRASE_FILE", &file).run().success();
    exec().env("KAGE_PASSPHRASE_COMMAND", "echo correct horse").run().success();
    exec().run().status(125).is_one_line_and_a_hint().mentions("encrypted with a passphrase");
    exec()
        .env("KAGE_PASSPHRASE", "wrong")
        .run()
        .status(125)
        .is_one_line_and_a_hint()
        .mentions("does not decrypt");
}

#[test]
fn no_secret_is_in_anything_that_kage_wrote() {
    let sandbox = Sandbox::new();
    sandbox.stand_in_claude();
    sandbox
        .add_with("limited", "limited--429five", &["--priority", "200"])
        .add("work", &[])
        .add("spare", &[]);
    let mut output = String::new();
    for words in [
        vec!["exec", "--", "claude", "-p", "hi"],
        vec!["exec", "--", "claude", "-p", "hi"],
        vec!["exec", "--dry-run", "--", "claude"],
        vec!["status"],
        vec!["why"],
        vec!["sub", "list", "--json"],
        vec!["sub", "show", "work"],
        vec!["sub", "rename", "spare", "other"],
        vec!["sub", "credential", "--list"],
        vec!["sub", "remove", "other", "--force"],
        vec!["exec", "-s", "other", "--", "true"],
    ] {
        let ran = sandbox.kage(words).run();
        output += &(ran.stdout() + &ran.stderr());
    }
    assert!(!output.contains("sk-ant-oat01-invented"), "{output}");
    let grep =
        sandbox.call("/usr/bin/grep".as_ref(), ["-rl", "invented-", sandbox.path("home").to_str().unwrap()]);
    grep.run().status(1).prints("");
}

#[test]
fn the_demo_shows_a_whole_failover_and_leaves_nothing_behind() {
    let sandbox = Sandbox::new();
    let ran = sandbox.kage(["demo"]).env("TMPDIR", sandbox.path("work")).run().success();
    let output = ran.stdout();
    let mut from = 0;
    for part in [
        "$ kage subscription add work-premium",
        "$ kage subscription route --namespace backend",
        "$ kage exec -n backend -- claude -p",
        "freeze the clock",
        "$ kage status",
        "rate_limited until",
        "$ kage why -n backend",
        "limited: it is rate_limited until",
        "next: work-basic",
        "To use kage with your own subscriptions:",
        "kage setup",
    ] {
        let at = output[from..].find(part).unwrap_or_else(|| panic!("no `{part}` after {from} in {output}"));
        from += at;
    }
    assert!(
        !output.contains("You've hit your 5-hour limit"),
        "the refusal is not part of the answer: {output}"
    );
    ran.mentions("work-premium hit its 5-hour limit (resets").mentions("; continuing on work-basic\n");
    assert_eq!(fs::read_dir(sandbox.path("work")).unwrap().count(), 0, "the demo left something behind");
    assert_eq!(fs::read_dir(sandbox.path("home")).unwrap().count(), 0, "the demo used the real home");
}

#[test]
fn a_closed_pipe_is_not_a_failure() {
    let sandbox = pool();
    let line = format!(
        "'{}' sub list --json | head -c 1; echo ${{PIPESTATUS[0]}}",
        crate::support::kage().display()
    );
    sandbox.call("/bin/bash".as_ref(), ["-c", &line]).run().success().prints("{0\n");
}
