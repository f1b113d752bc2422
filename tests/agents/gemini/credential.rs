//! A request carries the chosen key and no other credential.

use crate::gemini::scene::{ONE_ANSWER, Scene, answer, key, said};

#[test]
fn a_run_sends_only_the_subscriptions_key() {
    let Some(scene) = Scene::of(a_run_sends_only_the_subscriptions_key) else { return };
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
    assert_eq!(scene.service.turns()[0].authorization, None);
    let expected = "not passed to the agent: GEMINI_API_KEY, GEMINI_API_KEY_AUTH_MECHANISM, GOOGLE_API_KEY, \
                GOOGLE_GENAI_USE_VERTEXAI (keep one with --keep-env NAME); disabled in the agent's settings \
                for this run: `GEMINI_CLI_CUSTOM_HEADERS`";
    let mut expected: Vec<_> = expected.split([' ', ',']).collect();
    let mut printed = said(&ran);
    assert_eq!(printed.len(), 1, "{printed:?}");
    let printed = printed.remove(0);
    let mut printed: Vec<_> = printed.split([' ', ',']).collect();
    expected.sort_unstable();
    printed.sort_unstable();
    assert_eq!(printed, expected);
}

#[test]
fn tokens_are_counted_in_each_output_format() {
    let Some(scene) = Scene::of(tokens_are_counted_in_each_output_format) else { return };
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
fn another_login_in_the_settings_causes_a_warning() {
    let Some(scene) = Scene::of(another_login_in_the_settings_causes_a_warning) else { return };
    scene.add("work", "work--ok");
    let settings = r#"{"security":{"auth":{"selectedType":"oauth-personal"}}}"#;
    scene.sandbox.write("home/.gemini/settings.json", settings);
    let ran = scene.exec(&["-p", "hi"]).run().status(41).prints("");
    let warning = "warning: `security.auth.selectedType` in ";
    assert!(said(&ran).iter().any(|line| line.starts_with(warning)), "{}", ran.stderr());
    assert_eq!(scene.keys(), [] as [String; 0]);
}
