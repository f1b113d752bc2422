//! The verbs as a user types them: what they change, what they say, what they refuse.

mod support;

use std::fs;
use std::os::unix::fs::PermissionsExt as _;

use serde_json::{Value, json};
use support::{Sandbox, token};

const CONFIG: &str = "home/.config/kage/config.toml";

fn pool() -> Sandbox {
    let sandbox = Sandbox::new();
    sandbox.add("work-premium", &["--priority", "150", "--tags", "backend"]);
    sandbox.add("personal", &["--priority", "50"]);
    sandbox
}

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
fn add_refuses_what_is_no_credential_and_writes_nothing() {
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
fn add_refuses_names_places_and_agents_that_cannot_be() {
    let sandbox = pool();
    let before = sandbox.read(CONFIG);
    for (words, part) in [
        (vec!["add", ""], "may not be empty"),
        (vec!["add", "a b"], "may not be in a name"),
        (vec!["add", "work-premium"], "already"),
        (vec!["add", "x", "--agent", "clod"], "clod"),
        (vec!["add", "x", "--credential", "air"], "no place for a credential"),
        (vec!["add", "x", "--credential", "home:/nonexistent"], "no login directory"),
        (vec!["add", "x", "--priority", "256"], "256"),
        (vec!["add", "x", "--max-parallel", "0"], "whole number from 1 on"),
        (vec!["add", "x", "--max-parallel", "4294967296"], "expected 4294967295 at most"),
        (vec!["add", "x", "--tokens-per-day", "9223372036854775808"], "whole number from 1 on"),
        (vec!["add", "x", "--env", "novalue"], "NAME=VALUE"),
        (vec!["add", "x", "--credential", "file", "--tags", "a b"], "not a tag"),
        (vec!["add"], "NAME"),
        (vec!["set", "work-premium"], "nothing to set"),
        (vec!["set", "work-premum", "--priority", "1"], "no subscription `work-premum`"),
        (vec!["rename", "personal", "work-premium"], "already"),
        (vec!["remove", "ghost"], "no subscription `ghost`"),
        (vec!["remove", "personal"], "takes its secret with it"),
        (vec!["show", "ghost"], "no subscription"),
        (vec!["route", "--namespace", "high", "--subscriptions", "personal"], "is a level"),
        (vec!["route", "--namespace", "ns", "--subscriptions", "ghost"], "no subscription `ghost`"),
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
fn a_vague_name_is_taken_with_advice() {
    let sandbox = Sandbox::new();
    let add = |name: &str| {
        sandbox.kage(["sub", "add", name, "--credential", "file"]).stdin(&token("x")).run().success()
    };
    add("sub1").mentions("kage subscription rename sub1 NEW");
    assert!(!add("work-premium").stderr().contains("rename"));
}

#[test]
fn a_mistyped_verb_or_flag_is_suggested() {
    let sandbox = Sandbox::new();
    sandbox.kage(["statsu"]).run().status(2).is_one_line_and_a_hint().mentions("'status'");
    let hint = "hint: put `--` in front of the program: kage exec -- claude\n";
    sandbox.kage(["exec", "claude"]).run().status(2).is_one_line_and_a_hint().mentions(hint);
    sandbox.kage(["exec", "-n", "ns", "claude", "-p", "hi"]).run().status(2).mentions(hint);
    let nothing = "kage: the following required arguments were not provided: <COMMAND>...\n";
    sandbox.kage(["exec"]).run().status(2).says(&format!("{nothing}hint: kage exec --help\n"));
    sandbox.kage(["exec", "-p", "urgent", "--", "true"]).run().status(2).mentions("high, normal or batch");
    for (words, hint) in [
        (vec!["sub", "set", "work", "--priority", "256"], "hint: kage subscription set --help\n"),
        (vec!["sub", "list", "--status", "foo"], "hint: kage subscription list --help\n"),
        (vec!["exec", "-p", "urgent", "--", "true"], "hint: kage exec --help\n"),
        (vec!["exec", "--frobnicate", "--", "true"], "hint: "),
    ] {
        sandbox.kage(words).run().status(2).is_one_line_and_a_hint().mentions(hint);
    }
}

#[test]
fn list_and_show_tell_what_is_there() {
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
fn set_enable_disable_and_reset_do_what_they_say() {
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
fn remove_refuses_while_a_route_needs_it_and_takes_the_secret_with_it() {
    let sandbox = pool();
    sandbox.kage(["sub", "route", "--namespace", "ns", "--subscriptions", "personal"]).run().success();
    sandbox
        .kage(["sub", "remove", "personal"])
        .run()
        .status(1)
        .is_one_line_and_a_hint()
        .mentions("needed by the route `ns`");
    sandbox
        .kage(["sub", "remove", "personal", "--force"])
        .run()
        .success()
        .mentions("the route `ns` is empty now");
    let secrets = sandbox.kage(["sub", "credential", "--list"]).run().success().stdout();
    assert!(!secrets.contains("personal"), "{secrets}");
    // The namespace stays closed: its work does not move to the rest of the pool.
    sandbox.kage(["exec", "-n", "ns", "--", "true"]).run().status(75).is_one_line_and_a_hint();
    sandbox.kage(["exec", "--", "true"]).run().success();
}

#[test]
fn credential_replaces_the_secret_and_heals() {
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
    exec().run().status(125).is_one_line_and_a_hint().mentions("sealed with a passphrase");
    exec()
        .env("KAGE_PASSPHRASE", "wrong")
        .run()
        .status(125)
        .is_one_line_and_a_hint()
        .mentions("does not open");
}

#[test]
fn routes_are_set_listed_and_removed() {
    let sandbox = pool();
    sandbox
        .kage([
            "sub",
            "route",
            "--namespace",
            "ns",
            "--subscriptions",
            "tag:backend",
            "--fallback",
            "personal",
        ])
        .run()
        .success();
    sandbox
        .kage(["sub", "route", "--priority", "high", "--subscriptions", "work-premium,personal"])
        .run()
        .success();
    let list = sandbox.kage(["sub", "route", "--list"]).run().success().stdout();
    assert!(list.contains("│ ns   │ tag:backend            │ personal │"), "{list}");
    let list = sandbox.kage(["sub", "route", "--list", "--json"]).run().success().stdout();
    let expected = json!({ "schema": 1, "routes": {
        "high": { "use": ["work-premium", "personal"], "fallback": [] },
        "ns": { "use": ["tag:backend"], "fallback": ["personal"] },
    } });
    assert_eq!(serde_json::from_str::<Value>(&list).unwrap(), expected);
    sandbox.kage(["sub", "route", "--remove", "ns"]).run().success();
    assert!(!sandbox.read(CONFIG).contains("ns ="));
}

#[test]
fn a_broken_config_is_named_with_its_line_by_every_verb_and_left_alone() {
    let sandbox = pool();
    let broken = format!("{}\npriorty = 5\n", sandbox.read(CONFIG));
    sandbox.config(&broken);
    for words in [
        vec!["status"],
        vec!["why"],
        vec!["exec", "--", "true"],
        vec!["sub", "set", "personal", "--priority", "1"],
    ] {
        let said = sandbox.kage(words).run().status(2).is_one_line_and_a_hint().stderr();
        assert!(said.contains("config.toml:10: `subscriptions.pool.personal.priorty`"), "{said}");
    }
    assert_eq!(sandbox.read(CONFIG), broken);
    let other = sandbox.write("other.toml", "");
    sandbox.kage(["status"]).env("KAGE_CONFIG", &other).run().success();
}

#[test]
fn a_config_that_cannot_be_read_is_named_by_every_verb() {
    let sandbox = pool();
    let latin = sandbox.path("latin.toml");
    fs::write(&latin, b"# one\n# caf\xe9\n").unwrap();
    let dir = sandbox.path("work");
    for words in [
        vec!["status"],
        vec!["why"],
        vec!["exec", "--", "true"],
        vec!["sub", "route", "--list"],
        vec!["sub", "add", "work"],
    ] {
        let refused = |file| {
            let call = sandbox.kage(&words).env("KAGE_CONFIG", file).stdin(&token("x"));
            call.run().status(2).is_one_line_and_a_hint()
        };
        refused(&latin).mentions("latin.toml:2: not UTF-8 text");
        refused(&dir).mentions("work: it is a directory\nhint: KAGE_CONFIG names a file, such as ");
    }
}

#[test]
fn a_config_that_was_named_has_to_be_there_unless_it_is_being_made() {
    let sandbox = Sandbox::new();
    let file = sandbox.path("other.toml");
    for words in [vec!["status"], vec!["why"], vec!["exec", "--", "true"], vec!["sub", "route", "--list"]] {
        let refused = sandbox.kage(words).env("KAGE_CONFIG", &file).run().status(2).is_one_line_and_a_hint();
        refused.mentions("other.toml, which does not exist");
    }
    let add = ["sub", "add", "work", "--credential", "file"];
    sandbox.kage(add).env("KAGE_CONFIG", &file).stdin(&token("x")).run().success();
    sandbox.kage(["status"]).env("KAGE_CONFIG", &file).run().success();
}

#[test]
fn the_namespace_comes_from_the_nearest_source() {
    let sandbox = pool();
    let repo = sandbox.path("work/code/api");
    fs::create_dir_all(repo.join("src")).unwrap();
    let text =
        format!("{}\n[namespaces.from-repos]\nrepos = [\"{}\"]\n", sandbox.read(CONFIG), repo.display());
    sandbox.config(&text);
    let namespace = |flags: &[&str], variable: Option<&str>| {
        let words = ["exec"].into_iter().chain(flags.iter().copied()).chain([
            "--",
            "sh",
            "-c",
            "echo $KAGE_NAMESPACE",
        ]);
        let call = sandbox.kage(words).cwd(repo.join("src"));
        let call = if let Some(value) = variable { call.env("KAGE_NAMESPACE", value) } else { call };
        call.run().success().stdout().trim().to_owned()
    };
    assert_eq!(namespace(&[], None), "from-repos");
    sandbox.write("work/code/.kage/config.toml", "namespace = \"from-project\"\npriority = \"batch\"\n");
    assert_eq!(namespace(&[], None), "from-project");
    assert_eq!(namespace(&[], Some("from-variable")), "from-variable");
    assert_eq!(namespace(&["-n", "from-flag"], Some("from-variable")), "from-flag");
    sandbox
        .kage(["exec", "-n", "high", "--", "true"])
        .run()
        .status(2)
        .is_one_line_and_a_hint()
        .mentions("is a level");
}

#[test]
fn a_mistyped_namespace_is_suggested() {
    let sandbox = pool();
    sandbox.kage(["sub", "route", "--namespace", "backend", "--subscriptions", "personal"]).run().success();
    let typo = sandbox.kage(["exec", "-n", "backnd", "--", "true"]).run().success();
    typo.says("kage: warning: the namespace `backnd` has no route; did you mean `backend`?\n");
    sandbox.kage(["exec", "-n", "another", "--", "true"]).run().success().says("");
}

#[test]
fn the_readmes_config_is_one() {
    let readme = include_str!("../README.md");
    let config = readme.split("```toml\n").nth(1).and_then(|rest| rest.split("```").next()).unwrap();
    let sandbox = Sandbox::new();
    sandbox.config(config);
    let shown = sandbox.kage(["status"]).run().success().says("").stdout();
    assert!(shown.contains("Active:       2/2"), "{shown}");
}

#[test]
fn a_project_may_say_its_namespace_and_level_and_nothing_else() {
    let sandbox = pool();
    for text in [
        "namespace = \"x\"\n[subscriptions.pool.evil]\ncredential = { command = \"touch pwned\" }\n",
        "strategy = \"priority\"\n",
        "namespace = \"a b\"\n",
        "priority = \"urgent\"\n",
    ] {
        sandbox.write("work/.kage/config.toml", text);
        let said = sandbox.kage(["exec", "--", "true"]).run().status(2).is_one_line_and_a_hint().stderr();
        assert!(
            said.contains(".kage/config.toml:") && said.contains("only `namespace` and `priority`"),
            "{said}"
        );
    }
    assert!(!sandbox.path("work/pwned").exists());
}

#[test]
fn status_counts_and_shows_what_there_is() {
    let sandbox = pool();
    sandbox.kage(["sub", "disable", "personal"]).run().success();
    let expected = "\
Subscription Pool Status
========================

Active:       1/2
Disabled:     1
Total Usage:  0 tokens today

┌──────────────┬──────────┬──────────┬─────────────┐
│ Name         │ Status   │ Priority │ Today Usage │
├──────────────┼──────────┼──────────┼─────────────┤
│ personal     │ disabled │ 50       │ 0 tokens    │
│ work-premium │ active   │ 150      │ 0 tokens    │
└──────────────┴──────────┴──────────┴─────────────┘
";
    sandbox.kage(["status"]).run().success().prints(expected).says("");
    sandbox.kage(["subscription", "status"]).run().success().prints(expected);
    sandbox
        .kage(["status"])
        .env("LC_ALL", "C")
        .run()
        .success()
        .stdout()
        .is_ascii()
        .then_some(())
        .expect("plain ASCII");
    let running = sandbox.kage([
        "exec",
        "--",
        "sh",
        "-c",
        "kage() { \"$0\" \"$@\"; }; kage status",
        support::kage().to_str().unwrap(),
    ]);
    let shown = running.run().success().stdout();
    assert!(shown.contains("│ Running │") && shown.contains("│ 150      │ 1       │"), "{shown}");
    Sandbox::new()
        .kage(["status"])
        .run()
        .success()
        .stdout()
        .contains("kage subscription add")
        .then_some(())
        .expect("advice");
}

#[test]
fn only_the_status_is_painted_and_only_where_colour_shows() {
    let sandbox = Sandbox::new();
    let words =
        |what: &str| format!("[subscriptions.pool.{what}]\ndescription = \"an active | {what} one\"\n");
    sandbox.config(&format!("{}{}enabled = false\n", words("active"), words("disabled")));
    for locale in ["C", "C.UTF-8"] {
        let list = || sandbox.kage(["sub", "list"]).env("LANG", locale);
        let plain = list().env("NO_COLOR", "1").run().success().stdout();
        let colour = list().env("CLICOLOR_FORCE", "1").run().success().stdout();
        assert!(!plain.contains('\u{1b}') && plain.contains("an active | disabled one"), "{plain}");
        let (on, off) =
            ("claude X \u{1b}[32mactive\u{1b}[0m   X 100", "claude X \u{1b}[2mdisabled\u{1b}[0m X 100");
        let bars = colour.replace("│ ", "X ").replace("| ", "X ");
        assert!(bars.contains(on) && bars.contains(off), "{colour}");
        assert_eq!(colour.matches('\u{1b}').count(), 4, "{colour}");
        assert_eq!(colour.replace("\u{1b}[32m", "").replace("\u{1b}[2m", "").replace("\u{1b}[0m", ""), plain);
    }
}

#[test]
fn why_names_the_rule_for_each_and_changes_nothing() {
    let sandbox = pool();
    sandbox.kage(["sub", "route", "--namespace", "ns", "--subscriptions", "personal"]).run().success();
    let before = sandbox.read("home/.local/state/kage/state.json");
    let text = sandbox.kage(["why", "-n", "ns"]).run().success().stdout();
    assert!(text.contains("namespace ns, level normal, strategy round-robin"), "{text}");
    assert!(text.contains("work-premium  -  route: the route `ns` does not name it"), "{text}");
    assert!(text.ends_with("\nnext: personal\n"), "{text}");
    sandbox.kage(["sub", "route", "--priority", "high", "--subscriptions", "work-premium"]).run().success();
    let text = sandbox.kage(["why", "-n", "ns", "-p", "high"]).run().success().stdout();
    assert!(text.contains("work-premium  -  route: the route `ns` does not name it"), "{text}");
    assert!(text.contains("personal      -  route: the route `high` does not name it"), "{text}");
    let json = sandbox.kage(["why", "-t", "backend", "--json"]).run().success().stdout();
    let json: Value = serde_json::from_str(&json).unwrap();
    assert_eq!((&json["schema"], &json["chosen"]), (&json!(1), &json!("work-premium")));
    assert_eq!(json["candidates"][1]["excluded"]["rule"], "tag");
    let both = sandbox.kage(["why", "-t", "backend,audited"]).run().success().stdout();
    assert!(both.contains("work-premium  -  tag: it is not tagged `audited`"), "{both}");
    assert_eq!(sandbox.read("home/.local/state/kage/state.json"), before);
}

#[test]
fn why_lines_up_names_of_wide_letters() {
    let sandbox = Sandbox::new();
    sandbox.config("[subscriptions.pool.work]\n[subscriptions.pool.\"仕事\"]\n[subscriptions.pool.ab]\n");
    let text = sandbox.kage(["why"]).run().success().stdout();
    let ranks = ["ab    1  ", "work  2  ", "仕事  3  "];
    assert!(ranks.iter().all(|start| text.lines().any(|line| line.starts_with(start))), "{text}");
}

#[test]
fn dry_run_tells_and_runs_nothing() {
    let sandbox = pool();
    sandbox.program("claude", "#!/bin/sh\ntouch ran\n");
    sandbox.kage(["sub", "set", "personal", "--env", "GATEWAY_TOKEN=hidden"]).run().success();
    let ran = sandbox.kage(["exec", "--dry-run", "-s", "personal", "--", "claude", "-p", "hi there"]);
    let text = ran.env("ANTHROPIC_API_KEY", "x").run().success().says("").stdout();
    assert!(text.contains("subscription  personal\n") && text.contains("bin/claude\n"), "{text}");
    assert!(text.contains("--session-id") && text.contains("'hi there'"), "{text}");
    assert!(text.contains("credential    CLAUDE_CODE_OAUTH_TOKEN from file\n"), "{text}");
    assert!(text.contains("not passed on ANTHROPIC_API_KEY\n"), "{text}");
    assert!(text.contains("set           GATEWAY_TOKEN\n") && !text.contains("hidden"), "{text}");
    assert!(!sandbox.path("work/ran").exists());
    assert_eq!(sandbox.state(), Value::Null, "a dry run changed the state");
}

#[test]
fn nothing_eligible_says_why_and_when() {
    let sandbox = Sandbox::new();
    sandbox
        .kage(["exec", "--", "true"])
        .run()
        .status(75)
        .is_one_line_and_a_hint()
        .mentions("the pool has no subscription");
    sandbox.stand_in_claude().add_with("work", "work--429five", &[]);
    sandbox
        .kage(["exec", "--", "claude", "-p", "hi"])
        .run()
        .status(1)
        .mentions("kage: `work` hit its 5-hour limit; rate_limited until ");
    assert_eq!(sandbox.status_of("work")["status"], "rate_limited");
    let said =
        sandbox.kage(["exec", "--", "claude", "-p", "hi"]).run().status(75).is_one_line_and_a_hint().stderr();
    assert!(
        said.contains("no subscription is ready before ") && said.contains("`work` is rate_limited until "),
        "{said}"
    );
    // Insisting uses it all the same, and says so.
    let insisted = sandbox.kage(["exec", "-s", "work", "--", "claude", "-p", "hi"]).run().status(1);
    insisted.mentions("`work` is rate_limited until ").mentions("using it all the same (-s)");
    sandbox.kage(["sub", "reset", "work"]).run().success();
    assert_eq!(sandbox.status_of("work")["status"], "active");
}

#[test]
fn a_secret_that_cannot_be_had_fails_before_the_agent_and_after_three_times_rests_the_account() {
    let sandbox = Sandbox::new();
    sandbox.config("[subscriptions.pool.work]\ncredential = { command = \"exit 1\" }\n");
    for _ in 0..3 {
        sandbox
            .kage(["exec", "--", "touch", "ran"])
            .run()
            .status(125)
            .is_one_line_and_a_hint()
            .mentions("`exit 1` failed");
    }
    sandbox
        .kage(["exec", "--", "touch", "ran"])
        .run()
        .status(75)
        .mentions("is unhealthy (its credential cannot be had)");
    assert!(!sandbox.path("work/ran").exists());
    assert_eq!(sandbox.state()["leases"], Value::Null);
}

#[test]
fn programs_that_cannot_run_have_the_shells_statuses() {
    let sandbox = pool();
    sandbox.kage(["exec", "--", "no-such-program"]).run().status(127).is_one_line_and_a_hint();
    sandbox.kage(["exec", "--", "/no/such/program"]).run().status(127).is_one_line_and_a_hint();
    let file = sandbox.write("work/plain", "text");
    sandbox.kage(["exec", "--", file.to_str().unwrap()]).run().status(126).is_one_line_and_a_hint();
    let script = sandbox.write("work/script", "#!/no/such/interpreter\n");
    fs::set_permissions(&script, fs::Permissions::from_mode(0o755)).unwrap();
    sandbox.kage(["exec", "--", "./script"]).run().status(127).mentions("interpreter");
    assert_eq!(sandbox.state()["leases"], Value::Null, "a lease stayed");
}

#[test]
fn kage_never_runs_itself() {
    let sandbox = pool();
    std::os::unix::fs::symlink(support::kage(), sandbox.path("bin/claude")).unwrap();
    sandbox
        .kage(["exec", "--", "claude"])
        .run()
        .status(127)
        .is_one_line_and_a_hint()
        .mentions("is kage itself");
    let real = sandbox.write("real/claude", "#!/bin/sh\necho real\n");
    fs::set_permissions(&real, fs::Permissions::from_mode(0o755)).unwrap();
    let path = format!("{}:{}:/usr/bin:/bin", sandbox.path("bin").display(), sandbox.path("real").display());
    sandbox.kage(["exec", "--", "claude", "--version"]).env("PATH", &path).run().success().prints("real\n");
    sandbox.kage(["exec", "--", real.to_str().unwrap(), "--version"]).run().success().prints("real\n");
    // A wrapper script that calls kage again ends after a few levels instead of never.
    fs::remove_file(sandbox.path("bin/claude")).unwrap();
    sandbox.program("claude", &format!("#!/bin/sh\nexec '{}' exec -- claude\n", support::kage().display()));
    sandbox.kage(["exec", "--", "claude"]).run().status(125).mentions("kage runs itself, 8 levels deep");
}

#[test]
fn no_secret_is_in_anything_that_kage_wrote() {
    let sandbox = Sandbox::new();
    sandbox.stand_in_claude();
    sandbox
        .add_with("limited", "limited--429five", &["--priority", "200"])
        .add("work", &[])
        .add("spare", &[]);
    let mut said = String::new();
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
        said += &(ran.stdout() + &ran.stderr());
    }
    assert!(!said.contains("sk-ant-oat01-invented"), "{said}");
    let grep =
        sandbox.call("/usr/bin/grep".as_ref(), ["-rl", "invented-", sandbox.path("home").to_str().unwrap()]);
    grep.run().status(1).prints("");
}

#[test]
fn the_demo_tells_the_whole_story_and_leaves_nothing() {
    let sandbox = Sandbox::new();
    let ran = sandbox.kage(["demo"]).env("TMPDIR", sandbox.path("work")).run().success();
    let story = ran.stdout();
    let mut from = 0;
    for part in [
        "$ kage subscription add work-premium",
        "$ kage subscription route --namespace backend",
        "$ kage exec -n backend -- claude -p",
        "You've hit your 5-hour limit",
        "$ kage exec -n backend -- claude -p",
        "freeze the clock",
        "$ kage status",
        "rate_limited until",
        "$ kage why -n backend",
        "limited: it is rate_limited until",
        "next: work-basic",
        "For real use:",
        "claude setup-token",
    ] {
        let at = story[from..].find(part).unwrap_or_else(|| panic!("no `{part}` behind {from} in {story}"));
        from += at;
    }
    ran.mentions("`work-premium` hit its 5-hour limit; rate_limited until");
    assert_eq!(fs::read_dir(sandbox.path("work")).unwrap().count(), 0, "the demo left something behind");
    assert_eq!(fs::read_dir(sandbox.path("home")).unwrap().count(), 0, "the demo used the real home");
}

#[test]
fn a_reader_that_goes_away_is_no_failure() {
    let sandbox = pool();
    let line =
        format!("'{}' sub list --json | head -c 1; echo ${{PIPESTATUS[0]}}", support::kage().display());
    sandbox.call("/bin/bash".as_ref(), ["-c", &line]).run().success().prints("{0\n");
}
