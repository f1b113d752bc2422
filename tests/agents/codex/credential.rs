//! Only the chosen credential is used, and the user's own login does not change.

use crate::codex::scene::{ANSWER, Scene, key};

#[test]
fn a_key_in_the_environment_does_not_reach_the_provider() {
    let Some(scene) = Scene::of(a_key_in_the_environment_does_not_reach_the_provider) else { return };
    scene.add("work", "ok");
    let call = scene.exec(&["hi"]).env("CODEX_API_KEY", "sk-stray").env("OPENAI_ORGANIZATION", "org-stray");
    let ran = call.run().success().prints(ANSWER);
    ran.mentions("not passed to the agent: CODEX_API_KEY, OPENAI_ORGANIZATION");
    assert_eq!(scene.keys(), [key("work", "ok")]);
    let headers = &scene.provider.turns()[0].headers;
    assert!(headers.iter().all(|(_, value)| value != "org-stray"), "{headers:?}");
}

#[test]
fn a_provider_in_the_users_settings_does_not_beat_the_key() {
    let Some(scene) = Scene::of(a_provider_in_the_users_settings_does_not_beat_the_key) else { return };
    let url = scene.provider.url();
    let other = format!(
        "model_provider = \"other\"\n[model_providers.other]\nname = \"other\"\nbase_url = \"{url}\"\n\
         wire_api = \"responses\"\nexperimental_bearer_token = \"sk-stray\""
    );
    scene.settings("home/.codex", &other);
    scene.add("work", "ok");
    scene.exec(&["hi"]).run().success().prints(ANSWER).mentions("model_provider");
    assert_eq!(scene.keys(), [key("work", "ok")]);
}

#[test]
fn a_run_with_a_key_does_not_change_the_users_login() {
    let Some(scene) = Scene::of(a_run_with_a_key_does_not_change_the_users_login) else { return };
    scene.settings("home/.codex", "forced_login_method = \"chatgpt\"");
    let login = r#"{"auth_mode":"apikey","OPENAI_API_KEY":"sk-invented-own--ok"}"#;
    scene.sandbox.write("home/.codex/auth.json", login);
    scene.add("work", "ok");
    scene.exec(&["hi"]).run().success().prints(ANSWER);
    assert_eq!(scene.sandbox.read("home/.codex/auth.json"), login);
    assert_eq!(scene.keys(), [key("work", "ok")]);
}

#[test]
fn a_login_directory_is_used_as_it_is() {
    let Some(scene) = Scene::of(a_login_directory_is_used_as_it_is) else { return };
    scene.settings("home/second", "");
    let login = r#"{"auth_mode":"apikey","OPENAI_API_KEY":"sk-invented-second--ok"}"#;
    scene.sandbox.write("home/second/auth.json", login);
    let dir = scene.sandbox.path("home/second");
    let login = format!("home:{}", dir.display());
    let add = ["subscription", "add", "second", "--agent", "codex", "--credential", &login];
    scene.sandbox.kage(add).run().success();
    scene.exec(&["hi"]).run().success().prints(ANSWER);
    assert_eq!(scene.keys(), [key("second", "ok")]);
    assert_eq!(scene.sandbox.status_of("second")["tokens_today"], crate::codex::scene::ONE_ANSWER);
}
