//! Problems with the agents' programs and settings.

use std::fs;

use super::fixture::Fixture;
#[cfg(target_os = "linux")]
use crate::support::{has_all, missing_is_failure};

const INSTALL: &str = "npm install -g @anthropic-ai/claude-code";

#[test]
fn a_missing_agent_is_installed() {
    let fixture = Fixture::healthy();
    fs::remove_file(fixture.sandbox.path("bin/claude")).unwrap();
    let problem = fixture.finds("error", "agent-missing").mentions("`claude`").has_fix(INSTALL);
    // npm would use the network.
    problem.fix_manually(|fixture| drop(fixture.install_claude()));
}

#[test]
fn an_agent_that_is_only_a_shim_is_installed() {
    let fixture = Fixture::healthy();
    let shims = super::shell::install_shim(&fixture, "claude");
    fs::remove_file(fixture.sandbox.path("bin/claude")).unwrap();
    let fixture = fixture.with("PATH", format!("{}:{}:/usr/bin:/bin", shims.display(), bin_of(&shims)));
    let problem = fixture.finds("error", "agent-only-shim").has_fix(INSTALL);
    problem.fix_manually(|fixture| drop(fixture.install_claude()));
}

/// The directory of the sandbox's programs, found from the directory of its shims.
fn bin_of(shims: &std::path::Path) -> String {
    let home = shims.ancestors().find(|dir| dir.ends_with("home")).unwrap();
    home.with_file_name("bin").display().to_string()
}

#[test]
fn an_agent_that_is_not_executable_is_made_executable() {
    let fixture = Fixture::healthy();
    fixture.mode("bin/claude", 0o644);
    fixture.finds("error", "agent-not-executable").apply_fix();
}

#[test]
fn an_agent_that_fails_or_never_answers_is_installed_again() {
    for (code, script, message) in [
        (
            "agent-broken",
            "#!/bin/sh\necho 'no such module' >&2\nexit 3\n",
            "failed (exit status: 3): no such module",
        ),
        ("agent-silent", "#!/bin/sh\nexec tail -f /dev/null\n", "did not answer within 15 s"),
        ("agent-broken", "#!/nowhere/node\n", "could not be started"),
    ] {
        let fixture = Fixture::healthy();
        fixture.sandbox.program("claude", script);
        let severity = if code == "agent-silent" { "warning" } else { "error" };
        let problem = fixture.finds(severity, code).mentions(message).has_fix(INSTALL);
        problem.fix_manually(|fixture| drop(fixture.install_claude()));
    }
}

#[test]
fn an_agent_version_in_which_another_login_wins_is_updated() {
    let fixture = Fixture::healthy();
    let file = fixture.install_claude();
    let text = fs::read_to_string(&file).unwrap();
    fixture.sandbox.program("claude", &text.replace("2.1.332", "2.1.224"));
    fixture.finds("warning", "agent-old").mentions("claude 2.1.224").has_fix("claude update").apply_fix();
    assert!(fixture.findings().message("agent").starts_with("agent claude 2.1.331: "));
}

#[test]
fn an_agent_of_the_config_is_opened_at_its_line() {
    let fixture = Fixture::healthy();
    fixture.sandbox.program("aider", "#!/bin/sh\nexit 1\n");
    fixture.config("[subscriptions.pool.router]\nagent = \"aider\"\ncredential = { command = \"echo k\" }\n[agents.aider]\ncredential_env = \"K\"");
    fixture.assert_no_problems();
    fs::rename(fixture.sandbox.path("bin/aider"), fixture.sandbox.path("bin/aider2")).unwrap();
    fixture.finds("error", "agent-missing").apply_fix_by_editing("s/$/\\nprogram = \"aider2\"/");
}

#[test]
fn settings_that_would_win_are_not_a_problem_because_kage_disables_them() {
    let fixture = Fixture::healthy();
    let settings = r#"{ "env": { "ANTHROPIC_API_KEY": "sk-x" }, "apiKeyHelper": "echo k" }"#;
    fixture.sandbox.write("home/.claude/settings.json", settings);
    fixture
        .sandbox
        .write("work/.claude/settings.local.json", r#"{ "env": { "CLAUDE_CODE_USE_BEDROCK": "1" } }"#);
    let found = fixture.findings();
    found.assert_no_problems("with such settings");
    let shown: Vec<_> = found
        .0
        .iter()
        .filter(|one| one["code"] == "setting-switched-off")
        .map(|one| one["message"].as_str().unwrap())
        .collect();
    assert_eq!(shown.len(), 3, "{shown:#?}");
    assert!(shown[0].contains("`ANTHROPIC_API_KEY` in ~/.claude/settings.json"), "{shown:#?}");
    assert!(
        shown[2].contains("`CLAUDE_CODE_USE_BEDROCK`") && shown[2].contains("settings.local.json"),
        "{shown:#?}"
    );
}

#[test]
fn settings_of_other_agents_that_would_win_are_reported() {
    let fixture = Fixture::healthy();
    for (agent, version, secret) in
        [("codex", "codex-cli 0.171.0", "sk-invented"), ("gemini", "0.61.0", "AIza-invented")]
    {
        fixture.sandbox.program(agent, &format!("#!/bin/sh\necho {version}\n"));
        let add = ["subscription", "add", agent, "--agent", agent, "--credential", "file"];
        fixture.sandbox.kage(add).stdin(secret).run().success();
    }
    fixture.sandbox.write("home/.codex/config.toml", "model_provider = \"mine\"\n");
    fixture.sandbox.write("home/.env", "GOOGLE_API_KEY=x\n");
    let found = fixture.findings();
    found.assert_no_problems("with such settings");
    let shown = format!("{:?}", found.0);
    assert!(shown.contains("`model_provider` in ~/.codex/config.toml"), "{shown}");
    assert!(shown.contains("`GOOGLE_API_KEY` in ~/.env"), "{shown}");
    let settings = "{ \"security\": { \"auth\": {\n  \"selectedType\": \"oauth-personal\" } } }\n";
    fixture.sandbox.write("home/.gemini/settings.json", settings);
    let problem =
        fixture.finds("warning", "setting-wins").mentions("`selectedType` in ~/.gemini/settings.json");
    problem.apply_fix_by_editing("s/oauth-personal/gemini-api-key/");
}

#[test]
fn settings_that_disable_hooks_are_opened_at_their_line() {
    let fixture = Fixture::healthy();
    fixture.sandbox.write("home/.claude/settings.json", "{\n  \"disableAllHooks\": true\n}\n");
    let file = fixture.sandbox.path("home/.claude/settings.json");
    let fix = format!("editor +2 {}", file.display());
    fixture.finds("warning", "hooks-off").has_fix(&fix).apply_fix_by_editing("s/true/false/");
}

/// The administrator's settings are in `/etc`. The test replaces it in a mount namespace.
#[cfg(target_os = "linux")]
#[test]
fn settings_of_the_administrator_are_opened_at_their_line() {
    let fixture = Fixture::healthy();
    let file = "/etc/claude-code/managed-settings.json";
    let script = format!(
        "mount -t tmpfs none /etc && mkdir /etc/claude-code && printf '{{\\n\"apiKeyHelper\": \"x\"\\n}}' >{file}\n\
         kage doctor\neditor +2 {file}\nkage doctor"
    );
    let options = if rustix::process::getuid().is_root() { "-m" } else { "-rm" };
    let unshare = |words: &[&str]| {
        let call = fixture.sandbox.call("unshare".as_ref(), [&[options][..], words].concat());
        call.env("EDITOR", "editor").env("EDIT", "d").env("SHELL", "/bin/bash").run()
    };
    if !has_all(&["unshare"]) {
        return;
    }
    if !unshare(&["sh", "-c", "mount -t tmpfs none /etc"]).output.status.success() {
        return missing_is_failure("no mount namespace can be made here");
    }
    let shown = unshare(&["sh", "-c", &script]).success().stdout();
    let problem = format!(
        "`apiKeyHelper` in {file} overrides the subscription, and kage cannot disable it [setting-wins]\n         \
         fix: editor +2 {file}\n"
    );
    assert!(shown.contains(&problem) && shown.contains("\n1 warning.\n"), "{shown}");
    assert!(shown.ends_with("\nNo problems found.\n"), "{shown}");
}
