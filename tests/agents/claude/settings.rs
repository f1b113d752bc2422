//! Variables and settings that compete with the chosen subscription do not win.

use std::fs;

use serde_json::{Value, json};

use crate::claude::scene::{DISABLED, ONE_ANSWER, Scene, answer, assert_one_line, hook};
use crate::support::{Call, token};

const KEY: &str = "sk-ant-api03-invented-other";
const TOKEN: &str = "sk-ant-oat01-invented-other";
/// An address where nothing listens.
const ELSEWHERE: &str = "http://127.0.0.1:9";

/// Settings with every key that beats the environment of a process.
pub(crate) fn competing() -> Value {
    json!({
        "env": {
            "ANTHROPIC_API_KEY": KEY,
            "ANTHROPIC_AUTH_TOKEN": TOKEN,
            "CLAUDE_CODE_OAUTH_TOKEN": TOKEN,
            "ANTHROPIC_BASE_URL": ELSEWHERE,
            "ANTHROPIC_CUSTOM_HEADERS": format!("Authorization: Bearer {TOKEN}\nx-api-key: {KEY}"),
        },
        "apiKeyHelper": format!("echo {KEY}"),
    })
}

fn competing_environment(call: Call) -> Call {
    call.env("ANTHROPIC_API_KEY", KEY)
        .env("ANTHROPIC_AUTH_TOKEN", TOKEN)
        .env("CLAUDE_CODE_OAUTH_TOKEN", TOKEN)
        .env("ANTHROPIC_BASE_URL", ELSEWHERE)
        .env("ANTHROPIC_CUSTOM_HEADERS", format!("x-api-key: {KEY}"))
}

/// Writes competing settings to the user's file and to both files of the project.
fn compete_everywhere(scene: &Scene) {
    for inside in ["home/.claude/settings.json", "work/.claude/settings.json"] {
        scene.settings(inside, &competing());
    }
    scene.settings("work/.claude/settings.local.json", &competing());
}

#[test]
fn the_request_carries_only_the_chosen_token() {
    let Some(scene) = Scene::of(the_request_carries_only_the_chosen_token) else { return };
    scene.add("work", "work--ok");
    compete_everywhere(&scene);
    let ran = competing_environment(scene.exec(&["-p", "hi"])).run().success().prints(&answer("ok"));
    assert_one_line(&ran, "not passed to the agent: ");
    scene.assert_only_token(&token("work--ok"));
    assert_eq!(scene.tokens_of("work"), ONE_ANSWER);
    let ledger = scene.ledger();
    let models = ledger[0]["models"].as_object().unwrap();
    assert_eq!(models.len(), 1, "{ledger:?}");
    let count = models.values().next().unwrap();
    assert_eq!(
        (&count["cache_read_tokens"], &count["cache_write_5m_tokens"], &count["cache_write_1h_tokens"]),
        (&json!(2000), &json!(1000), &json!(0)),
        "{count}"
    );
    scene.assert_no_leftover();
}

#[test]
fn without_kage_the_settings_would_win() {
    let Some(scene) = Scene::of(without_kage_the_settings_would_win) else { return };
    let mut settings = competing();
    settings["env"]["ANTHROPIC_BASE_URL"] = scene.provider.url().into();
    scene.settings("home/.claude/settings.json", &settings);
    scene.bare(&["-p", "hi"]).env("CLAUDE_CODE_OAUTH_TOKEN", token("work--ok")).run();
    let bearer = format!("Bearer {}", token("work--ok"));
    for request in scene.some_requests() {
        assert_ne!(request.authorization.as_ref(), Some(&bearer), "{request:?}");
    }
}

#[test]
fn a_variable_named_by_keep_env_is_kept() {
    let Some(scene) = Scene::of(a_variable_named_by_keep_env_is_kept) else { return };
    scene.add("work", "work--ok");
    let settings = json!({ "env": { "ANTHROPIC_CUSTOM_HEADERS": "x-trace: mine" } });
    scene.settings("home/.claude/settings.json", &settings);
    let args = ["exec", "--keep-env", "ANTHROPIC_CUSTOM_HEADERS", "--", "claude", "-p", "hi"];
    scene.kage(&args).run().success().prints(&answer("ok"));
    scene.assert_only_token(&token("work--ok"));
    let traced = ("x-trace".to_owned(), "mine".to_owned());
    assert!(scene.provider.messages()[0].headers.contains(&traced));
}

/// Adds a hook that creates the file `hook-ran`, as in the user's own `--settings`.
fn with_a_hook(mut settings: Value) -> Value {
    settings["hooks"] = hook("Stop", "echo stopped > hook-ran");
    settings
}

#[test]
fn settings_of_the_command_line_still_work() {
    let Some(scene) = Scene::of(settings_of_the_command_line_still_work) else { return };
    scene.add("work", "work--ok");
    compete_everywhere(&scene);
    let file = scene.settings("work/own.json", &with_a_hook(json!({})));
    let competing_file = scene.settings("work/competing.json", &with_a_hook(competing()));
    let inline = with_a_hook(json!({})).to_string();
    let competing_inline = with_a_hook(competing()).to_string();
    let trace = scene.sandbox.path("work/hook-ran");
    for settings in
        [&inline, &competing_inline, "own.json", file.to_str().unwrap(), competing_file.to_str().unwrap()]
    {
        let ran = scene.exec(&["-p", "--settings", settings, "hi"]).run();
        assert_one_line(&ran.success().prints(&answer("ok")), DISABLED);
        fs::remove_file(&trace).unwrap_or_else(|why| panic!("the hook of {settings} did not run: {why}"));
        scene.assert_no_leftover();
    }
    scene.assert_only_token(&token("work--ok"));
}

#[test]
fn settings_with_a_byte_order_mark_do_not_win_either() {
    let Some(scene) = Scene::of(settings_with_a_byte_order_mark_do_not_win_either) else { return };
    scene.add("work", "work--ok");
    let marked = |settings: Value| format!("\u{feff}{settings}");
    scene.sandbox.write("home/.claude/settings.json", &marked(competing()));
    scene.sandbox.write("work/own.json", &marked(with_a_hook(competing())));
    for args in [["-p", "hi"].as_slice(), &["-p", "--settings", "own.json", "hi"]] {
        assert_one_line(&scene.exec(args).run().success().prints(&answer("ok")), DISABLED);
    }
    assert_eq!(scene.sandbox.read("work/hook-ran"), "stopped\n");
    scene.assert_only_token(&token("work--ok"));
}

#[test]
fn the_agent_reports_a_mistake_in_settings_itself() {
    let Some(scene) = Scene::of(the_agent_reports_a_mistake_in_settings_itself) else { return };
    scene.add("work", "work--ok");
    compete_everywhere(&scene);
    let args = ["-p", "--settings", "missing.json", "hi"];
    let (bare, ran) = (scene.bare(&args).run().status(1), scene.exec(&args).run().status(1));
    ran.prints(&bare.stdout()).says(&bare.stderr());
    assert!(scene.provider.requests().is_empty());
}

#[test]
fn a_script_that_calls_the_agent_gets_the_token_too() {
    let Some(scene) = Scene::of(a_script_that_calls_the_agent_gets_the_token_too) else { return };
    scene.add("work", "work--ok");
    scene.sandbox.program("review", "#!/bin/sh\nexec claude -p \"review this\"\n");
    let mut settings = competing();
    settings.as_object_mut().unwrap().remove("apiKeyHelper");
    scene.settings("home/.claude/settings.json", &settings);
    scene.kage_exec(&["review"]).run().success().prints(&answer("ok")).says("");
    scene.assert_only_token(&token("work--ok"));
}

#[test]
fn a_key_helper_causes_a_warning_when_a_script_starts_the_agent() {
    let Some(scene) = Scene::of(a_key_helper_causes_a_warning_when_a_script_starts_the_agent) else { return };
    scene.add("work", "work--ok");
    let helper = json!({ "apiKeyHelper": format!("echo {KEY}") });
    scene.settings("home/.claude/settings.json", &helper);
    let ran = scene.kage_exec(&["sh", "-c", "claude -p hi"]).run();
    assert_one_line(&ran, "warning: `apiKeyHelper` in ");
}
