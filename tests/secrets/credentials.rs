//! The encrypted credentials file under concurrent changes and on a full disk, and the commands that edit
//! secrets.

#![allow(clippy::unwrap_used)]

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::thread;

use crate::support::{Ran, Sandbox, kage, token};

fn add(sandbox: &Sandbox, name: &str, secret: &str) -> Ran {
    sandbox.kage(["subscription", "add", name, "--credential", "file"]).stdin(secret).run()
}

fn given(sandbox: &Sandbox, name: &str) -> String {
    let script = "printf %s \"$CLAUDE_CODE_OAUTH_TOKEN\"";
    sandbox.kage(["exec", "-s", name, "--", "sh", "-c", script]).run().success().stdout()
}

#[test]
fn concurrent_kages_lose_no_secret() {
    let sandbox = Sandbox::new();
    let names: Vec<_> = (0..8).map(|number| format!("client-{number}")).collect();
    thread::scope(|scope| {
        for name in &names {
            scope.spawn(|| add(&sandbox, name, &token(name)).success());
        }
    });
    for name in &names {
        assert_eq!(given(&sandbox, name), token(name));
    }
    for (dir, kept) in [
        ("home/.local/share/kage", &["credentials", "credentials.lock"][..]),
        ("home/.config/kage", &["config.toml", "identity"][..]),
    ] {
        let mut found: Vec<_> = fs::read_dir(sandbox.path(dir)).unwrap().flatten().collect();
        found.sort_by_key(fs::DirEntry::file_name);
        let names: Vec<_> = found.iter().map(|entry| entry.file_name().into_string().unwrap()).collect();
        assert_eq!(names, kept, "a temporary file was left");
        assert_eq!(fs::metadata(sandbox.path(dir)).unwrap().permissions().mode() & 0o777, 0o700);
        let open = |entry: &fs::DirEntry| entry.metadata().unwrap().permissions().mode() & 0o077 != 0;
        assert!(!found.iter().any(open), "others can read files in {dir}");
    }
}

#[test]
fn only_one_of_several_concurrent_adds_of_a_name_stores_its_secret() {
    for _ in 0..4 {
        let sandbox = Sandbox::new();
        let secrets: Vec<_> = (0..6).map(|number| token(&number.to_string())).collect();
        let winners: Vec<_> = thread::scope(|scope| {
            let adding: Vec<_> =
                secrets.iter().map(|secret| scope.spawn(|| add(&sandbox, "work", secret))).collect();
            let ran = adding.into_iter().map(|one| one.join().unwrap());
            ran.zip(&secrets)
                .filter(|(ran, _)| ran.output.status.success())
                .map(|(_, secret)| secret)
                .collect()
        });
        assert_eq!(winners.len(), 1);
        assert_eq!(given(&sandbox, "work"), *winners[0]);
    }
}

#[test]
fn a_full_disk_leaves_no_incomplete_key() {
    let sandbox = Sandbox::new();
    // If SIGXFSZ is ignored, a write beyond the limit fails, as on a full disk.
    let script = format!(
        "trap '' XFSZ; ulimit -f 0; exec '{}' subscription add work --credential file",
        kage().display()
    );
    let refused = sandbox.call(Path::new("/bin/sh"), ["-c", &script]).stdin(&token("work")).run().status(1);
    refused.mentions("could not write");
    assert!(!sandbox.path("home/.config/kage/identity").exists(), "an incomplete key was left");
    add(&sandbox, "work", &token("work")).success();
    assert_eq!(given(&sandbox, "work"), token("work"));
}

#[test]
fn a_move_that_cannot_be_written_to_the_config_leaves_the_secret_in_place() {
    let sandbox = Sandbox::new();
    let config = "[subscriptions.pool.work]\ncredential = { command = \"echo sk-ant-oat01-printed\" }\n";
    sandbox.config(config);
    // A directory with the name of the temporary file: now not even root can write the config.
    fs::create_dir(sandbox.path("home/.config/kage/config.toml.new")).unwrap();
    let mv = sandbox.kage(["subscription", "credential", "work", "--credential", "file"]);
    mv.stdin(&token("moved")).run().status(1).mentions("could not write");
    let listed = sandbox.kage(["subscription", "credential", "--list"]).run().success().stdout();
    assert!(!listed.contains("work"), "a secret that nothing uses: {listed}");
    assert_eq!(given(&sandbox, "work"), "sk-ant-oat01-printed");
}

#[test]
fn a_subscription_with_a_pipe_can_move_to_a_login_directory() {
    let sandbox = Sandbox::new();
    sandbox.add("work", &[]);
    let config = "home/.config/kage/config.toml";
    let text = sandbox.read(config).replace("from = \"file\"", "from = \"file\", deliver = \"fd\"");
    sandbox.config(&text);
    let location = format!("home:{}", sandbox.path("home").display());
    sandbox.kage(["sub", "credential", "work", "--credential", &location]).run().success();
    assert!(!sandbox.read(config).contains("deliver"), "{}", sandbox.read(config));
}

#[test]
fn a_new_subscription_does_not_inherit_the_limits_of_an_old_one() {
    let sandbox = Sandbox::new();
    sandbox.stand_in_claude().add_with("work", "work--429five", &[]);
    sandbox.kage(["exec", "--", "claude", "-p", "hi"]).run().status(1);
    sandbox.config("");
    sandbox.add("work", &[]);
    assert_eq!(sandbox.status_of("work")["status"], "active");
}

#[test]
fn an_unused_passphrase_is_reported() {
    let sandbox = Sandbox::new();
    sandbox.add("work", &[]);
    let add = sandbox.kage(["sub", "add", "other", "--credential", "file"]).env("KAGE_PASSPHRASE", "x");
    add.stdin(&crate::support::token("other")).run().success().mentions("the passphrase is not used");
}

#[test]
fn stored_secrets_are_listed_as_a_table_and_as_json() {
    let sandbox = Sandbox::new();
    sandbox.add("work", &[]);
    let list = sandbox.kage(["sub", "credential", "--list"]).run().success().stdout();
    assert!(list.contains("│ work   │ file     │ yes    │"), "{list}");
    let list = sandbox.kage(["sub", "credential", "--list", "--json"]).run().success().stdout();
    let expected = serde_json::json!({
        "schema": 1, "secrets": [{ "name": "work", "where": "file", "in_use": true }],
    });
    assert_eq!(serde_json::from_str::<serde_json::Value>(&list).unwrap(), expected);
}

#[test]
fn the_day_of_a_secret_is_kept_on_rename_and_reset_for_a_new_secret() {
    let sandbox = Sandbox::new();
    let minted = |name: &str| {
        let shown = sandbox.kage(["subscription", "show", name, "--json"]).run().success();
        let shown: serde_json::Value = serde_json::from_str(&shown.stdout()).unwrap();
        shown["minted"].as_str().map(|time| time[..10].to_owned())
    };
    let today = || jiff::Timestamp::now().to_string()[..10].to_owned();
    let before = today();
    sandbox.add("work", &[]);
    assert!([before, today()].map(Some).contains(&minted("work")));

    let say = ["subscription", "credential", "work", "--minted", "2026-01-31"];
    sandbox.kage(say).stdin(&token("second")).run().success();
    assert_eq!(minted("work").as_deref(), Some("2026-01-31"));
    let text = sandbox.kage(["subscription", "show", "work"]).run().success().stdout();
    assert!(text.contains("Minted          2026-01-31\n"), "{text}");

    sandbox.kage(["subscription", "rename", "work", "client"]).run().success();
    assert_eq!(minted("client").as_deref(), Some("2026-01-31"));
    sandbox.kage(["subscription", "remove", "client", "--force"]).run().success();
    sandbox.add("client", &["--minted", "2026-02-28"]);
    assert_eq!(minted("client").as_deref(), Some("2026-02-28"));

    let printed = format!("command:echo {}", token("third"));
    sandbox.kage(["subscription", "credential", "client", "--credential", &printed]).run().success();
    assert_eq!(minted("client"), None, "kage does not know its day");
}

#[test]
fn an_impossible_day_is_refused_and_nothing_is_stored() {
    let sandbox = Sandbox::new();
    let add = |day: &str, location: &str| {
        let words = ["subscription", "add", "work", "--minted", day, "--credential", location];
        sandbox.kage(words).stdin(&token("x")).run().status(2)
    };
    add("2199-01-01", "file").is_one_line_and_a_hint().mentions("2199-01-01 is in the future");
    add("last May", "file").is_one_line_and_a_hint().mentions("expected a date such as 2026-11-23");
    let home = format!("home:{}", sandbox.path("home").display());
    add("2026-01-01", &home).is_one_line_and_a_hint().mentions("a login directory has no token");
    assert_eq!(sandbox.read("home/.config/kage/config.toml"), "");
}

#[test]
fn only_a_secret_that_no_subscription_uses_can_be_forgotten() {
    let sandbox = Sandbox::new();
    sandbox.add("work", &[]).add("old", &[]);
    let config = "home/.config/kage/config.toml";
    let text = sandbox.read(config);
    sandbox.config(text.split("[subscriptions.pool.old]").next().unwrap());
    let forget = |name: &str| sandbox.kage(["subscription", "credential", name, "--forget"]).run();
    forget("old").success().says("kage: removed the secret `old` from the file\n");
    forget("old").status(2).is_one_line_and_a_hint().mentions("no secret named `old`");
    forget("work").status(2).is_one_line_and_a_hint().mentions("`work` still uses its secret in the file");
    assert_eq!(given(&sandbox, "work"), token("work--ok"));
}
