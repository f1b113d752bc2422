//! A home without problems, and how the doctor shows its findings.

use std::path::Path;
use std::time::{Duration, Instant};

use rexpect::session::spawn_command;
use unicode_width::UnicodeWidthStr as _;

use super::fixture::Fixture;
use crate::support::{Sandbox, has_all, kage};

#[test]
fn a_healthy_home_is_reported_in_few_lines_within_seconds_and_not_changed() {
    let fixture = Fixture::healthy();
    fixture.assert_no_problems();
    let all = || {
        let listing = fixture.sandbox.call("find".as_ref(), [".", "-printf", "%p %s %T@ %m\\n"]);
        listing.cwd(fixture.sandbox.path("home")).run().success().stdout()
    };
    let before = all();
    let begun = Instant::now();
    let call = fixture.sandbox.kage(["doctor"]).env("SHELL", "/bin/bash");
    let text = call.run().success().says("").stdout();
    assert!(begun.elapsed() < Duration::from_secs(2), "it took {:?}", begun.elapsed());
    assert!(text.lines().count() <= 25 && text.ends_with("\nNo problems found.\n"), "{text}");
    assert!(
        text.lines().all(|line| line.is_empty() || line.starts_with("ok  ") || line == "No problems found."),
        "{text}"
    );
    let dirs = |listing: &str| {
        // The doctor's test of writing a secret changes only the modification time of this directory.
        listing
            .lines()
            .filter(|line| !line.starts_with("./.local/share/kage "))
            .map(str::to_owned)
            .collect::<Vec<_>>()
    };
    assert_eq!(dirs(&before), dirs(&all()));
}

#[test]
fn in_a_fresh_home_the_first_steps_are_shown_and_no_file_is_written() {
    let sandbox = Sandbox::new();
    let text = sandbox.kage(["doctor"]).run().status(2).stdout();
    assert!(text.contains("\n         fix: kage subscription add work\n"), "{text}");
    assert!(
        text.contains("[agent-missing]\n         fix: npm install -g @anthropic-ai/claude-code\n"),
        "{text}"
    );
    assert!(text.ends_with("1 error, 2 warnings.\n"), "{text}");
    assert_eq!(std::fs::read_dir(sandbox.path("home")).unwrap().count(), 0);
}

#[test]
fn the_real_agents_are_asked_for_their_versions_and_write_nothing() {
    let agents = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/agents/node_modules/.bin");
    let programs = ["claude", "codex", "gemini"].map(|name| agents.join(name).display().to_string());
    if !has_all(&programs.each_ref().map(String::as_str)) || !has_all(&["node"]) {
        return;
    }
    let fixture = Fixture::healthy();
    let path = format!("{}:/usr/bin:/bin", agents.display());
    let sandbox = &fixture.sandbox;
    for (agent, secret) in [("codex", "sk-invented"), ("gemini", "AIza-invented")] {
        let add = ["subscription", "add", agent, "--agent", agent, "--credential", "file"];
        sandbox.kage(add).stdin(secret).run().success();
    }
    let text = sandbox.kage(["doctor"]).env("SHELL", "/bin/bash").env("PATH", &path).run().success().stdout();
    for (name, version) in [("claude", "2.1.332"), ("codex", "0.171.0"), ("gemini", "0.61.0")] {
        assert!(text.contains(&format!("agent {name} {version}: ")), "{text}");
    }
    let homes = std::fs::read_dir(sandbox.path("home")).unwrap().flatten().map(|entry| entry.file_name());
    let mut homes: Vec<_> = homes.collect();
    homes.sort();
    assert_eq!(homes, [".bashrc", ".config", ".local", ".profile"]);
}

/// What the doctor shows on a terminal with this many columns. With 0 the terminal does not report its width.
fn at_a_terminal(fixture: &Fixture, columns: usize) -> String {
    let script = format!("stty -onlcr cols {columns} rows 24; exec '{}' doctor", kage().display());
    let call = fixture.sandbox.call("sh".as_ref(), ["-c", &script]).env("TERM", "xterm").env("NO_COLOR", "1");
    let call = call.env("SHELL", "/bin/bash").env("EDITOR", "editor");
    let shown = spawn_command(call.command, Some(20_000)).unwrap().exp_eof().unwrap();
    // Each of its characters is a byte.
    String::from_utf8(shown.chars().map(|byte| u8::try_from(byte).unwrap()).collect()).unwrap()
}

#[test]
fn findings_fit_the_terminal_and_lose_no_text() {
    let fixture = Fixture::healthy();
    let long =
        "Entwicklung/プロジェクト/バックエンド/services/authentication/production-eu-central-1/👩‍👩‍👧/checkouts";
    fixture.config(&format!("[namespaces.backend]\nrepos = [\"~/{long}/one\", \"~/{long}/two\"]"));
    fixture.config(&format!("[subscriptions.pool.login]\ncredential = {{ home = \"~/{long}\" }}"));
    let unbroken = "x".repeat(200);
    fixture.config(&format!("[events]\ncommand = \"{unbroken}\""));
    let whole =
        fixture.sandbox.kage(["doctor"]).env("SHELL", "/bin/bash").env("EDITOR", "editor").run().stdout();
    assert_eq!(whole.matches("[repo-missing]").count(), 2, "{whole}");
    let letters = |text: &str| text.split_whitespace().collect::<String>();
    for columns in [40, 60, 80, 120] {
        let shown = at_a_terminal(&fixture, columns);
        assert_eq!(letters(&shown), letters(&whole), "at {columns}");
        for line in shown.lines() {
            // A fix is not wrapped, so that it can be copied.
            let fits = line.width() <= columns || line.starts_with("         fix: ");
            assert!(fits, "at {columns}: {line}");
            assert!(!line.starts_with(' ') || line.starts_with("         "), "at {columns}: {line}");
        }
        assert_eq!(shown.matches("[repo-missing]\n         fix: ").count(), 2, "at {columns}: {shown}");
        let begins = shown.lines().filter(|line| !line.is_empty() && !line.starts_with(' ')).count();
        let expected = whole.lines().filter(|line| !line.is_empty() && !line.starts_with(' ')).count();
        assert_eq!(begins, expected, "at {columns}: {shown}");
    }
    assert_eq!(at_a_terminal(&fixture, 0), at_a_terminal(&fixture, 80));
    assert_eq!(at_a_terminal(&fixture, 500), whole);
}

#[test]
fn no_secret_is_in_the_output_of_the_doctor() {
    let fixture = Fixture::healthy().with("ANTHROPIC_API_KEY", "sk-ant-api03-invented-secret");
    fixture.config("[subscriptions.pool.x]\ncredential = { command = \"echo sk-bad-invented-secret\" }");
    let found = fixture.findings();
    assert_eq!(found.problems().len(), 2, "{:#?}", found.0);
    let text = format!("{:?}", found.0);
    assert!(!text.contains("sk-bad-invented") && !text.contains("sk-ant-api03-invented"), "{text}");
}

#[test]
fn the_doctor_continues_after_any_broken_file() {
    let garbage = "\u{0}\u{1b}[2J{[\u{feff}=";
    let locations = [
        "home/.config/kage/config.toml",
        "home/.config/kage/identity",
        "home/.local/state/kage/state.json",
        "home/.local/state/kage/state.log",
        "home/.local/state/kage/state.lock",
        "home/.local/state/kage/hook.log",
        "home/.local/share/kage/credentials",
        "home/.local/share/kage/credentials.lock",
        "home/.local/share/kage/shims",
        "home/.bashrc",
        "home/.claude/settings.json",
        "work/.kage/config.toml",
        "work/.envrc",
        "bin/claude",
    ];
    for location in locations {
        for is_directory in [false, true] {
            let fixture = Fixture::healthy();
            let path = fixture.sandbox.path(location);
            let _ = std::fs::remove_file(&path);
            if is_directory {
                std::fs::create_dir_all(&path).unwrap();
            } else {
                fixture.sandbox.write(location, garbage);
            }
            let found = fixture.findings();
            let codes: Vec<_> = found.0.iter().map(|one| one["code"].as_str().unwrap()).collect();
            assert!(codes.contains(&"tmux") || !has_all(&["tmux"]), "{location}: {codes:?}");
            let text = format!("{:?}", found.0);
            assert!(!text.contains("\\u{1b}"), "{location}: {text}");
        }
    }
    let fixture = Fixture::healthy();
    let gone = fixture.sandbox.path("gone");
    let script = format!(
        "mkdir {0} && cd {0} && rmdir {0} && PATH= exec {1} doctor",
        gone.display(),
        kage().display()
    );
    let text = fixture.sandbox.call("bash".as_ref(), ["-c", &script]).run().status(2).stdout();
    assert!(text.contains("[agent-missing]"), "{text}");
}
