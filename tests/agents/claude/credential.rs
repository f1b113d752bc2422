//! How the credential reaches the agent, and where it does not stay.

use std::fs;
use std::path::PathBuf;

use serde_json::json;

use crate::claude::scene::{ONE_ANSWER, SWITCHED_OFF, Scene, answer, files_below, said_once};
use crate::claude::settings::competing;
use crate::support::token;

/// A tool call that counts the tokens in the agent's environment and in its arguments.
const LOOK: &str = "for of in environ cmdline; do \
                    tr '\\0' '\\n' < /proc/$PPID/$of | grep -c sk-ant-oat01 > seen-in-$of; done; true";

/// Adds a subscription of this definition, whose token makes the agent call the tool.
fn add_delivered(scene: &Scene, deliver: &str) {
    scene.add("work", "work--tool+ok");
    scene.sandbox.config(&format!(
        "[subscriptions.pool.work]\ncredential = {{ from = \"file\", deliver = \"{deliver}\" }}\n\
         env = {{ ANTHROPIC_BASE_URL = \"{}\" }}\n",
        scene.provider.url()
    ));
}

/// How often the token was in the agent's environment and in its arguments.
fn look(scene: &Scene) -> [String; 2] {
    let ran = scene.exec(&["-p", "--dangerously-skip-permissions", "hi"]).run();
    said_once(&ran.success().prints(&answer("ok")), SWITCHED_OFF);
    scene.bears_only(&token("work--tool+ok"));
    ["environ", "cmdline"].map(|of| scene.sandbox.read(&format!("work/seen-in-{of}")).trim().to_owned())
}

#[test]
fn a_token_through_a_pipe_is_not_in_the_agents_environment() {
    let test = a_token_through_a_pipe_is_not_in_the_agents_environment;
    let Some(scene) = Scene::with_tool(LOOK, test) else { return };
    add_delivered(&scene, "fd");
    scene.settings("home/.claude/settings.json", &competing());
    assert_eq!(look(&scene), ["0", "0"]);
}

#[test]
fn a_token_in_the_environment_is_in_no_argument_and_no_file() {
    let test = a_token_in_the_environment_is_in_no_argument_and_no_file;
    let Some(scene) = Scene::with_tool(LOOK, test) else { return };
    add_delivered(&scene, "env");
    let key = json!({ "env": { "CLAUDE_CODE_OAUTH_TOKEN": "x", "ANTHROPIC_API_KEY": "x" } });
    scene.settings("home/.claude/settings.json", &key);
    assert_eq!(look(&scene), ["1", "0"]);
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
fn an_api_key_arrives_as_one() {
    let Some(scene) = Scene::of(an_api_key_arrives_as_one) else { return };
    let key = "sk-ant-api03-invented-work--plain";
    let add = ["subscription", "add", "work", "--credential", "file", "--env", &scene.address()];
    scene.sandbox.kage(add).stdin(key).run().success();
    scene.settings("home/.claude/settings.json", &competing());
    said_once(&scene.exec(&["-p", "hi"]).run().success().prints(&answer("plain")), SWITCHED_OFF);
    for request in scene.some_requests() {
        assert_eq!(request.api_key.as_deref(), Some(key), "{request:?}");
        assert_eq!(request.authorization, None, "{request:?}");
    }
}

/// Adds the agent's own login in `home/.claude-work`; these are its credentials.
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
        .says("kage: not passed on: CLAUDE_CODE_OAUTH_TOKEN (--keep-env NAME keeps one)\n");
    scene.bears_only(&token("home--ok"));
    assert_eq!(scene.tokens_of("work"), ONE_ANSWER);
    assert_eq!(files(), before);
}

#[test]
fn a_login_wins_over_the_projects_settings() {
    let Some(scene) = Scene::of(a_login_wins_over_the_projects_settings) else { return };
    add_login(&scene);
    scene.settings("work/.claude/settings.json", &competing());
    said_once(&scene.exec(&["-p", "hi"]).run().success().prints(&answer("ok")), SWITCHED_OFF);
    scene.bears_only(&token("home--ok"));
    scene.has_no_leftover();
}

#[test]
fn project_settings_against_a_login_are_warned_of_where_a_script_calls_the_agent() {
    let test = project_settings_against_a_login_are_warned_of_where_a_script_calls_the_agent;
    let Some(scene) = Scene::of(test) else { return };
    add_login(&scene);
    let key = json!({ "env": { "ANTHROPIC_API_KEY": "x" } });
    scene.settings("work/.claude/settings.json", &key);
    let ran = scene.kage_exec(&["sh", "-c", "claude -p hi"]).run();
    said_once(&ran, "warning: `ANTHROPIC_API_KEY` of the project's settings would beat this subscription");
}
