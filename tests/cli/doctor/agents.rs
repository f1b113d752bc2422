//! Faults of the agents' programs and of their settings.

use std::fs;

use super::clinic::Clinic;
#[cfg(target_os = "linux")]
use crate::support::{has_all, missing_is_failure};

const INSTALL: &str = "npm install -g @anthropic-ai/claude-code";

#[test]
fn an_agent_that_is_not_there_is_installed() {
    let clinic = Clinic::healthy();
    fs::remove_file(clinic.sandbox.path("bin/claude")).unwrap();
    let fault = clinic.finds("error", "agent-missing").saying("`claude`").fixed_by(INSTALL);
    // npm would use the network.
    fault.mended_by_hand(|clinic| drop(clinic.install_claude()));
}

#[test]
fn an_agent_that_is_only_a_shim_is_installed() {
    let clinic = Clinic::healthy();
    let shims = super::shell::install_shim(&clinic, "claude");
    fs::remove_file(clinic.sandbox.path("bin/claude")).unwrap();
    let clinic = clinic.with("PATH", format!("{}:{}:/usr/bin:/bin", shims.display(), clinic_bin(&shims)));
    let fault = clinic.finds("error", "agent-only-shim").fixed_by(INSTALL);
    fault.mended_by_hand(|clinic| drop(clinic.install_claude()));
}

/// The sandbox's own programs, from the directory of its shims.
fn clinic_bin(shims: &std::path::Path) -> String {
    let home = shims.ancestors().find(|dir| dir.ends_with("home")).unwrap();
    home.with_file_name("bin").display().to_string()
}

#[test]
fn an_agent_that_may_not_be_executed_is_made_executable() {
    let clinic = Clinic::healthy();
    clinic.mode("bin/claude", 0o644);
    clinic.finds("error", "agent-not-executable").mended();
}

#[test]
fn an_agent_that_fails_or_never_answers_is_installed_anew() {
    for (code, script, said) in [
        (
            "agent-broken",
            "#!/bin/sh\necho 'no such module' >&2\nexit 3\n",
            "failed (exit status: 3): no such module",
        ),
        ("agent-silent", "#!/bin/sh\nexec tail -f /dev/null\n", "did not answer within 15 s"),
        ("agent-broken", "#!/nowhere/node\n", "cannot be started"),
    ] {
        let clinic = Clinic::healthy();
        clinic.sandbox.program("claude", script);
        let severity = if code == "agent-silent" { "warning" } else { "error" };
        let fault = clinic.finds(severity, code).saying(said).fixed_by(INSTALL);
        fault.mended_by_hand(|clinic| drop(clinic.install_claude()));
    }
}

#[test]
fn an_agent_that_lets_another_login_win_is_updated() {
    let clinic = Clinic::healthy();
    let file = clinic.install_claude();
    let text = fs::read_to_string(&file).unwrap();
    clinic.sandbox.program("claude", &text.replace("2.1.330", "2.1.224"));
    clinic.finds("warning", "agent-old").saying("claude 2.1.224").fixed_by("claude update").mended();
    assert!(clinic.examine().message("agent").starts_with("agent claude 2.1.331: "));
}

#[test]
fn an_agent_of_the_config_is_opened_at_its_line() {
    let clinic = Clinic::healthy();
    clinic.sandbox.program("aider", "#!/bin/sh\nexit 1\n");
    clinic.config("[subscriptions.pool.router]\nagent = \"aider\"\ncredential = { command = \"echo k\" }\n[agents.aider]\ncredential_env = \"K\"");
    clinic.is_well();
    fs::rename(clinic.sandbox.path("bin/aider"), clinic.sandbox.path("bin/aider2")).unwrap();
    clinic.finds("error", "agent-missing").mended_by_editing("s/$/\\nprogram = \"aider2\"/");
}

#[test]
fn settings_that_would_win_are_named_and_no_fault_since_kage_switches_them_off() {
    let clinic = Clinic::healthy();
    let settings = r#"{ "env": { "ANTHROPIC_API_KEY": "sk-x" }, "apiKeyHelper": "echo k" }"#;
    clinic.sandbox.write("home/.claude/settings.json", settings);
    clinic
        .sandbox
        .write("work/.claude/settings.local.json", r#"{ "env": { "CLAUDE_CODE_USE_BEDROCK": "1" } }"#);
    let found = clinic.examine();
    found.are_well("nothing");
    let told: Vec<_> = found
        .0
        .iter()
        .filter(|one| one["code"] == "setting-switched-off")
        .map(|one| one["message"].as_str().unwrap())
        .collect();
    assert_eq!(told.len(), 3, "{told:#?}");
    assert!(told[0].contains("`ANTHROPIC_API_KEY` in ~/.claude/settings.json"), "{told:#?}");
    assert!(
        told[2].contains("`CLAUDE_CODE_USE_BEDROCK`") && told[2].contains("settings.local.json"),
        "{told:#?}"
    );
}

#[test]
fn settings_of_other_agents_that_would_win_are_told() {
    let clinic = Clinic::healthy();
    for (agent, version, secret) in
        [("codex", "codex-cli 0.169.0", "sk-invented"), ("gemini", "0.61.0", "AIza-invented")]
    {
        clinic.sandbox.program(agent, &format!("#!/bin/sh\necho {version}\n"));
        let add = ["subscription", "add", agent, "--agent", agent, "--credential", "file"];
        clinic.sandbox.kage(add).stdin(secret).run().success();
    }
    clinic.sandbox.write("home/.codex/config.toml", "model_provider = \"mine\"\n");
    clinic.sandbox.write("home/.env", "GOOGLE_API_KEY=x\n");
    let found = clinic.examine();
    found.are_well("nothing");
    let told = format!("{:?}", found.0);
    assert!(told.contains("`model_provider` in ~/.codex/config.toml"), "{told}");
    assert!(told.contains("`GOOGLE_API_KEY` in ~/.env"), "{told}");
    let settings = "{ \"security\": { \"auth\": {\n  \"selectedType\": \"oauth-personal\" } } }\n";
    clinic.sandbox.write("home/.gemini/settings.json", settings);
    let fault = clinic.finds("warning", "setting-wins").saying("`selectedType` in ~/.gemini/settings.json");
    fault.mended_by_editing("s/oauth-personal/gemini-api-key/");
}

#[test]
fn settings_that_silence_the_hooks_are_opened_at_their_line() {
    let clinic = Clinic::healthy();
    clinic.sandbox.write("home/.claude/settings.json", "{\n  \"disableAllHooks\": true\n}\n");
    let file = clinic.sandbox.path("home/.claude/settings.json");
    let fix = format!("editor +2 {}", file.display());
    clinic.finds("warning", "hooks-off").fixed_by(&fix).mended_by_editing("s/true/false/");
}

/// The administrator's settings are in /etc, of which a mount namespace has its own.
#[cfg(target_os = "linux")]
#[test]
fn settings_of_the_administrator_are_opened_at_their_line() {
    let clinic = Clinic::healthy();
    let file = "/etc/claude-code/managed-settings.json";
    let script = format!(
        "mount -t tmpfs none /etc && mkdir /etc/claude-code && printf '{{\\n\"apiKeyHelper\": \"x\"\\n}}' >{file}\n\
         kage doctor\neditor +2 {file}\nkage doctor"
    );
    let options = if rustix::process::getuid().is_root() { "-m" } else { "-rm" };
    let unshare = |words: &[&str]| {
        let call = clinic.sandbox.call("unshare".as_ref(), [&[options][..], words].concat());
        call.env("EDITOR", "editor").env("EDIT", "d").env("SHELL", "/bin/bash").run()
    };
    if !has_all(&["unshare"]) {
        return;
    }
    if !unshare(&["sh", "-c", "mount -t tmpfs none /etc"]).output.status.success() {
        return missing_is_failure("no mount namespace can be made here");
    }
    let told = unshare(&["sh", "-c", &script]).success().stdout();
    let fault = format!(
        "`apiKeyHelper` in {file} wins over the subscription, and kage cannot switch it off [setting-wins]\n         \
         mend: editor +2 {file}\n"
    );
    assert!(told.contains(&fault) && told.contains("\n1 warning.\n"), "{told}");
    assert!(told.ends_with("\nAll is well.\n"), "{told}");
}
