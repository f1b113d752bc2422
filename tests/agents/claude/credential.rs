//! How the credential reaches the agent, and where it must not remain.

use std::fs;
use std::path::PathBuf;

use serde_json::json;

use crate::claude::scene::{DISABLED, ONE_ANSWER, Scene, answer, assert_one_line, files_below};
use crate::claude::settings::competing;
use crate::support::token;

/// A tool call that counts how often a token is in the agent's environment and in its arguments.
const COUNT_TOKENS: &str = "for of in environ cmdline; do \
                            tr '\\0' '\\n' < /proc/$PPID/$of | grep -c sk-ant-oat01 > seen-in-$of; done; true";

/// Adds a subscription with this `deliver` setting. Its token makes the provider ask for the tool call.
fn add_delivered(scene: &Scene, deliver: &str) {
    scene.add("work", "work--tool+ok");
    scene.sandbox.config(&format!(
        "[subscriptions.pool.work]\ncredential = {{ from = \"file\", deliver = \"{deliver}\" }}\n\
         env = {{ ANTHROPIC_BASE_URL = \"{}\" }}\n",
        scene.provider.url()
    ));
}

/// Runs the agent. Returns how often the token was in its environment and in its arguments.
fn count_tokens(scene: &Scene) -> [String; 2] {
    let ran = scene.exec(&["-p", "--dangerously-skip-permissions", "hi"]).run();
    assert_one_line(&ran.success().prints(&answer("ok")), DISABLED);
    scene.assert_only_token(&token("work--tool+ok"));
    ["environ", "cmdline"].map(|of| scene.sandbox.read(&format!("work/seen-in-{of}")).trim().to_owned())
}

#[test]
fn a_token_through_a_pipe_is_not_in_the_agents_environment() {
    let test = a_token_through_a_pipe_is_not_in_the_agents_environment;
    let Some(scene) = Scene::with_tool(COUNT_TOKENS, test) else { return };
    add_delivered(&scene, "fd");
    scene.settings("home/.claude/settings.json", &competing());
    assert_eq!(count_tokens(&scene), ["0", "0"]);
}

#[test]
fn a_token_in_the_environment_is_in_no_argument_and_no_file() {
    let test = a_token_in_the_environment_is_in_no_argument_and_no_file;
    let Some(scene) = Scene::with_tool(COUNT_TOKENS, test) else { return };
    add_delivered(&scene, "env");
    let key = json!({ "env": { "CLAUDE_CODE_OAUTH_TOKEN": "x", "ANTHROPIC_API_KEY": "x" } });
    scene.settings("home/.claude/settings.json", &key);
    assert_eq!(count_tokens(&scene), ["1", "0"]);
    let dirs = ["home/.config/kage", "home/.local/state/kage", "home/.local/share/kage"];
    let files = dirs.map(|dir| files_below(&scene.sandbox.path(dir))).concat();
    for kept in ["config.toml", "state.json", "credentials"] {
        assert!(files.iter().any(|file| file.to_string_lossy().contains(kept)), "no {kept} in {files:?}");
    }
    for file in files {
        let text = String::from_utf8_lossy(&fs::read(&file).unwrap()).into_owned();
        assert!(!text.contains("sk-ant-"), "a token in {}", file.display());
    }
}

#[test]
fn an_api_key_is_sent_as_an_api_key() {
    let Some(scene) = Scene::of(an_api_key_is_sent_as_an_api_key) else { return };
    let key = "sk-ant-api03-invented-work--plain";
    let add = ["subscription", "add", "work", "--credential", "file", "--env", &scene.address()];
    scene.sandbox.kage(add).stdin(key).run().success();
    scene.settings("home/.claude/settings.json", &competing());
    assert_one_line(&scene.exec(&["-p", "hi"]).run().success().prints(&answer("plain")), DISABLED);
    for request in scene.some_requests() {
        assert_eq!(request.api_key.as_deref(), Some(key), "{request:?}");
        assert_eq!(request.authorization, None, "{request:?}");
    }
}

/// Adds a subscription on the agent's own login in `home/.claude-work`. Returns the file with the login.
fn add_login(scene: &Scene) -> PathBuf {
    let login = json!({ "claudeAiOauth": {
        "accessToken": token("home--ok"),
        "refreshToken": "x",
        "expiresAt": 4_102_444_800_000_i64,
        "scopes": ["user:inference"],
        "subscriptionType": "max",
    }});
    let file = scene.settings("home/.claude-work/.credentials.json", &login);
    let add = ["subscription", "add", "work", "--credential", "home:~/.claude-work", "--env"];
    scene.sandbox.kage(add.into_iter().chain([scene.address().as_str()])).run().success();
    file
}

#[test]
fn a_login_directory_is_used_as_it_is() {
    let Some(scene) = Scene::of(a_login_directory_is_used_as_it_is) else { return };
    let credentials = add_login(&scene);
    let settings = json!({ "env": { "SETTING_OF_THE_LOGIN": "1" } });
    let settings = scene.settings("home/.claude-work/settings.json", &settings);
    let files = || [&credentials, &settings].map(|file| fs::read(file).unwrap());
    let before = files();
    let ran = scene.exec(&["-p", "hi"]).env("CLAUDE_CODE_OAUTH_TOKEN", "x").run();
    ran.success()
        .prints(&answer("ok"))
        .says("kage: not passed to the agent: CLAUDE_CODE_OAUTH_TOKEN (keep one with --keep-env NAME)\n");
    scene.assert_only_token(&token("home--ok"));
    assert_eq!(scene.tokens_of("work"), ONE_ANSWER);
    assert_eq!(files(), before);
}

#[test]
fn a_login_wins_over_the_projects_settings() {
    let Some(scene) = Scene::of(a_login_wins_over_the_projects_settings) else { return };
    add_login(&scene);
    scene.settings("work/.claude/settings.json", &competing());
    assert_one_line(&scene.exec(&["-p", "hi"]).run().success().prints(&answer("ok")), DISABLED);
    scene.assert_only_token(&token("home--ok"));
    scene.assert_no_leftover();
}

#[test]
fn project_settings_that_beat_a_login_cause_a_warning_when_a_script_starts_the_agent() {
    let test = project_settings_that_beat_a_login_cause_a_warning_when_a_script_starts_the_agent;
    let Some(scene) = Scene::of(test) else { return };
    add_login(&scene);
    let key = json!({ "env": { "ANTHROPIC_API_KEY": "x" } });
    scene.settings("work/.claude/settings.json", &key);
    let ran = scene.kage_exec(&["sh", "-c", "claude -p hi"]).run();
    let warning = "warning: `ANTHROPIC_API_KEY` in the project's settings would override this subscription";
    assert_one_line(&ran, warning);
}
