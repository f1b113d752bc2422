//! The chosen key, and nothing else, says who asks.

use crate::gemini::scene::{ONE_ANSWER, Scene, answer, key, said};

#[test]
fn a_run_asks_with_the_subscriptions_key_alone() {
    let Some(scene) = Scene::of(a_run_asks_with_the_subscriptions_key_alone) else { return };
    scene.add("work", "work--ok");
    scene.sandbox.write(
        "work/.env",
        "GEMINI_API_KEY=AIzaProject\nGEMINI_CLI_CUSTOM_HEADERS=x-goog-api-key: AIzaHeader\n",
    );
    let ran = scene
        .exec(&["-p", "hi"])
        .env("GEMINI_API_KEY", "AIzaMine")
        .env("GOOGLE_API_KEY", "AIzaCloud")
        .env("GOOGLE_GENAI_USE_VERTEXAI", "true")
        .env("GEMINI_API_KEY_AUTH_MECHANISM", "bearer")
        .run();
    let ran = ran.success().prints(&answer("ok"));
    assert_eq!(scene.keys(), [key("work--ok")]);
    assert_eq!(scene.service.asked()[0].authorization, None);
    let told = "not passed on: GEMINI_API_KEY, GEMINI_API_KEY_AUTH_MECHANISM, GOOGLE_API_KEY, \
                GOOGLE_GENAI_USE_VERTEXAI (--keep-env NAME keeps one); switched off in the agent's settings \
                for this run: `GEMINI_CLI_CUSTOM_HEADERS`";
    let mut told: Vec<_> = told.split([' ', ',']).collect();
    let mut heard = said(&ran);
    assert_eq!(heard.len(), 1, "{heard:?}");
    let heard = heard.remove(0);
    let mut heard: Vec<_> = heard.split([' ', ',']).collect();
    told.sort_unstable();
    heard.sort_unstable();
    assert_eq!(heard, told);
}

#[test]
fn each_form_counts_the_tokens_of_its_answer() {
    let Some(scene) = Scene::of(each_form_counts_the_tokens_of_its_answer) else { return };
    scene.add("work", "work--ok");
    for (runs, format) in (1..).zip(["text", "json", "stream-json"]) {
        let ran = scene.exec(&["-o", format, "-p", "hi"]).run().success();
        assert!(ran.stdout().contains("the service (ok)."), "{}", ran.stdout());
        assert_eq!(scene.tokens_of("work"), runs * ONE_ANSWER, "{format}");
    }
    let models = &scene.sandbox.ledger()[0]["models"];
    assert_eq!(models["gemini-3.8-flash"]["cache_read_tokens"], 60, "{models}");
}

#[test]
fn another_login_in_the_settings_is_said() {
    let Some(scene) = Scene::of(another_login_in_the_settings_is_said) else { return };
    scene.add("work", "work--ok");
    let settings = r#"{"security":{"auth":{"selectedType":"oauth-personal"}}}"#;
    scene.sandbox.write("home/.gemini/settings.json", settings);
    let ran = scene.exec(&["-p", "hi"]).run().status(41).prints("");
    let warning = "warning: `security.auth.selectedType` in ";
    assert!(said(&ran).iter().any(|line| line.starts_with(warning)), "{}", ran.stderr());
    assert_eq!(scene.keys(), [] as [String; 0]);
}
