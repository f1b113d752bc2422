//! Which subscription a run gets, as a user sees it: namespaces, routes, `why`, `--dry-run`, and the messages
//! when nothing can run.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;

use crate::support::{CONFIG, Sandbox, pool};
use serde_json::{Value, json};

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
fn status_counts_and_lists_the_subscriptions() {
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
        .expect("the table is plain ASCII");
    let running = sandbox.kage([
        "exec",
        "--",
        "sh",
        "-c",
        "kage() { \"$0\" \"$@\"; }; kage status",
        crate::support::kage().to_str().unwrap(),
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
        .expect("an empty pool gets advice");
}

#[test]
fn only_the_status_is_colored_and_only_if_color_is_on() {
    let sandbox = Sandbox::new();
    let words =
        |what: &str| format!("[subscriptions.pool.{what}]\ndescription = \"an active | {what} one\"\n");
    sandbox.config(&format!("{}{}enabled = false\n", words("active"), words("disabled")));
    for locale in ["C", "C.UTF-8"] {
        let list = || sandbox.kage(["sub", "list"]).env("LANG", locale);
        let plain = list().env("NO_COLOR", "1").run().success().stdout();
        let colored = list().env("CLICOLOR_FORCE", "1").run().success().stdout();
        assert!(!plain.contains('\u{1b}') && plain.contains("an active | disabled one"), "{plain}");
        let (on, off) =
            ("claude X \u{1b}[32mactive\u{1b}[0m   X 100", "claude X \u{1b}[2mdisabled\u{1b}[0m X 100");
        let bars = colored.replace("│ ", "X ").replace("| ", "X ");
        assert!(bars.contains(on) && bars.contains(off), "{colored}");
        assert_eq!(colored.matches('\u{1b}').count(), 4, "{colored}");
        let stripped = colored.replace("\u{1b}[32m", "").replace("\u{1b}[2m", "").replace("\u{1b}[0m", "");
        assert_eq!(stripped, plain);
    }
}

#[test]
fn why_names_the_rule_for_each_subscription_and_changes_nothing() {
    let sandbox = pool();
    sandbox.kage(["sub", "route", "--namespace", "ns", "--subscriptions", "personal"]).run().success();
    let before = sandbox.state();
    let text = sandbox.kage(["why", "-n", "ns"]).run().success().stdout();
    assert!(text.contains("namespace ns, level normal, strategy round-robin"), "{text}");
    assert!(text.contains("work-premium  -  route: it is not in the route `ns`"), "{text}");
    assert!(text.ends_with("\nnext: personal\n"), "{text}");
    sandbox.kage(["sub", "route", "--priority", "high", "--subscriptions", "work-premium"]).run().success();
    let text = sandbox.kage(["why", "-n", "ns", "-p", "high"]).run().success().stdout();
    assert!(text.contains("work-premium  -  route: it is not in the route `ns`"), "{text}");
    assert!(text.contains("personal      -  route: it is not in the route `high`"), "{text}");
    let json = sandbox.kage(["why", "-t", "backend", "--json"]).run().success().stdout();
    let json: Value = serde_json::from_str(&json).unwrap();
    assert_eq!((&json["schema"], &json["chosen"]), (&json!(1), &json!("work-premium")));
    assert_eq!(json["candidates"][1]["excluded"]["rule"], "tag");
    let both = sandbox.kage(["why", "-t", "backend,audited"]).run().success().stdout();
    assert!(both.contains("work-premium  -  tag: it is not tagged `audited`"), "{both}");
    assert_eq!(sandbox.state(), before);
}

#[test]
fn why_aligns_names_of_wide_letters() {
    let sandbox = Sandbox::new();
    sandbox.config("[subscriptions.pool.work]\n[subscriptions.pool.\"仕事\"]\n[subscriptions.pool.ab]\n");
    let text = sandbox.kage(["why"]).run().success().stdout();
    let ranks = ["ab    1  ", "work  2  ", "仕事  3  "];
    assert!(ranks.iter().all(|start| text.lines().any(|line| line.starts_with(start))), "{text}");
}

#[test]
fn dry_run_prints_the_plan_and_runs_nothing() {
    let sandbox = pool();
    sandbox.program("claude", "#!/bin/sh\ntouch ran\n");
    sandbox.kage(["sub", "set", "personal", "--env", "GATEWAY_TOKEN=hidden"]).run().success();
    let before = sandbox.state();
    let ran = sandbox.kage(["exec", "--dry-run", "-s", "personal", "--", "claude", "-p", "hi there"]);
    let text = ran.env("ANTHROPIC_API_KEY", "x").run().success().says("").stdout();
    assert!(text.contains("subscription  personal\n") && text.contains("bin/claude\n"), "{text}");
    assert!(text.contains("--session-id") && text.contains("'hi there'"), "{text}");
    assert!(text.contains("credential    CLAUDE_CODE_OAUTH_TOKEN from file\n"), "{text}");
    assert!(text.contains("unset         ANTHROPIC_API_KEY\n"), "{text}");
    assert!(text.contains("set           GATEWAY_TOKEN\n") && !text.contains("hidden"), "{text}");
    assert!(!sandbox.path("work/ran").exists());
    assert_eq!(sandbox.state(), before, "a dry run changed the state");
}

#[test]
fn no_ready_subscription_prints_the_reason_and_the_time() {
    let sandbox = Sandbox::new();
    sandbox
        .kage(["exec", "--", "true"])
        .run()
        .status(75)
        .is_one_line_and_a_hint()
        .mentions("the pool has no subscriptions");
    sandbox.stand_in_claude().add_with("work", "work--429five", &[]);
    sandbox
        .kage(["exec", "--", "claude", "-p", "hi"])
        .run()
        .status(1)
        .mentions("kage: work hit its 5-hour limit (resets ");
    assert_eq!(sandbox.status_of("work")["status"], "rate_limited");
    let said =
        sandbox.kage(["exec", "--", "claude", "-p", "hi"]).run().status(75).is_one_line_and_a_hint().stderr();
    assert!(
        said.contains("no subscription is ready until ") && said.contains("`work` is rate_limited until "),
        "{said}"
    );
    // `-s` uses it anyway, with a warning.
    let insisted = sandbox.kage(["exec", "-s", "work", "--", "claude", "-p", "hi"]).run().status(1);
    insisted.mentions("`work` is rate_limited until ").mentions("using it anyway (-s)");
    sandbox.kage(["sub", "reset", "work"]).run().success();
    assert_eq!(sandbox.status_of("work")["status"], "active");
}

#[test]
fn an_unreadable_secret_stops_the_run_and_the_third_time_makes_the_subscription_unhealthy() {
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
        .mentions("is unhealthy (its credential could not be read)");
    assert!(!sandbox.path("work/ran").exists());
    assert_eq!(sandbox.state()["leases"], Value::Null);
}

#[test]
fn programs_that_cannot_run_get_the_same_statuses_as_in_a_shell() {
    let sandbox = pool();
    sandbox.kage(["exec", "--", "no-such-program"]).run().status(127).is_one_line_and_a_hint();
    sandbox.kage(["exec", "--", "/no/such/program"]).run().status(127).is_one_line_and_a_hint();
    let file = sandbox.write("work/plain", "text");
    sandbox.kage(["exec", "--", file.to_str().unwrap()]).run().status(126).is_one_line_and_a_hint();
    let script = sandbox.write("work/script", "#!/no/such/interpreter\n");
    fs::set_permissions(&script, fs::Permissions::from_mode(0o755)).unwrap();
    sandbox.kage(["exec", "--", "./script"]).run().status(127).mentions("interpreter");
    assert_eq!(sandbox.state()["leases"], Value::Null, "a lease was left");
}

#[test]
fn kage_never_runs_itself() {
    let sandbox = pool();
    std::os::unix::fs::symlink(crate::support::kage(), sandbox.path("bin/claude")).unwrap();
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
    // A wrapper script that calls kage again ends after a few levels.
    fs::remove_file(sandbox.path("bin/claude")).unwrap();
    sandbox.program(
        "claude",
        &format!("#!/bin/sh\nexec '{}' exec -- claude\n", crate::support::kage().display()),
    );
    sandbox.kage(["exec", "--", "claude"]).run().status(125).mentions("kage called itself, 8 levels deep");
}
