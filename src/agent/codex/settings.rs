//! Settings in `config.toml` that compete with a key from the environment. Measured on 0.171.0: a provider
//! that the user defines uses its own credential; if the config requires the login of a plan and the agent
//! gets a key, it logs the user out, which deletes the login; a project's `.codex/config.toml` can set
//! neither.

use std::fs;
use std::path::Path;

use toml::{Table, Value};

use super::arguments::Conversation;
use crate::agent::{Effect, LaunchPlan, Setting};

/// The provider that uses the key.
const OPENAI: &str = "openai";
/// Keys that give a provider a credential other than the agent's login.
const OWN_CREDENTIALS: [&str; 5] =
    ["env_key", "experimental_bearer_token", "auth", "http_headers", "env_http_headers"];

/// Adds options that make the agent use the key. They come before the user's own options, because the last
/// one wins.
pub(super) fn override_config(conversation: &Conversation, home: &Path, plan: &mut LaunchPlan) {
    if !conversation.prints {
        plan.warnings.push(format!(
            "codex accepts a key only in `codex exec`; this session uses the login in {}",
            home.display()
        ));
        return;
    }
    // Always set: `forced_login_method` can be in any of several files, and it would delete the user's login.
    let mut settings = vec!["forced_login_method=api".to_owned()];
    if !conversation.local && other_provider(&read(home)).is_some() {
        settings.push(format!("model_provider={OPENAI}"));
        plan.switched_off.push("model_provider".into());
    }
    let options = settings.into_iter().flat_map(|setting| ["-c".into(), setting.into()]);
    let at = conversation.options_at;
    plan.args.splice(at..at, options.collect::<Vec<_>>());
}

/// Warns about a program that may start the agent. kage adds no arguments to such a program, so it can only
/// report what will happen.
pub(super) fn guard_other_program(home: &Path, plan: &mut LaunchPlan) {
    let config = read(home);
    let login = config.get("forced_login_method").and_then(Value::as_str);
    let wrong = match other_provider(&config) {
        _ if login.is_some_and(|method| method != "api") => {
            "`forced_login_method` makes codex delete its login when it gets a key".to_owned()
        }
        Some(provider) => format!("`model_provider` is `{provider}`, which would override this subscription"),
        None => return,
    };
    plan.warnings.push(format!(
        "{}: {wrong}; run codex itself with `kage exec`, which disables that",
        home.join("config.toml").display()
    ));
}

/// Returns the setting of a provider that would override the key.
pub(super) fn competing_setting(home: &Path) -> Option<Setting> {
    let file = home.join("config.toml");
    other_provider(&read(home)).is_some().then(|| Setting {
        file,
        key: "model_provider".into(),
        effect: Effect::SwitchedOff,
    })
}

/// Returns the provider of the config if it would not use the key.
fn other_provider(config: &Table) -> Option<&str> {
    let name = config.get("model_provider")?.as_str().filter(|name| *name != OPENAI)?;
    let provider = config.get("model_providers").and_then(|providers| providers.get(name));
    let field = |key: &str| provider.and_then(|provider| provider.get(key));
    let uses_login = field("requires_openai_auth").and_then(Value::as_bool) == Some(true);
    let has_own = OWN_CREDENTIALS.iter().any(|key| field(key).is_some());
    (!uses_login || has_own).then_some(name)
}

/// Reads the user's settings. A missing or broken file counts as empty; the agent reports the error.
fn read(home: &Path) -> Table {
    fs::read_to_string(home.join("config.toml")).ok().and_then(|text| text.parse().ok()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn provider(config: &str) -> Option<String> {
        other_provider(&config.parse().unwrap()).map(str::to_owned)
    }

    #[test]
    fn a_provider_overrides_the_key_unless_it_uses_the_agents_login() {
        let defined = "model_provider = \"mine\"\n[model_providers.mine]\nbase_url = \"http://x\"\n";
        for (config, other) in [
            (String::new(), false),
            ("model_provider = \"openai\"".into(), false),
            ("model_provider = \"unknown\"".into(), true),
            (defined.to_owned(), true),
            (format!("{defined}requires_openai_auth = true"), false),
            (format!("{defined}requires_openai_auth = true\nenv_key = \"K\""), true),
        ] {
            assert_eq!(provider(&config).is_some(), other, "{config}");
        }
    }

    #[test]
    fn a_key_comes_with_a_login_method_that_keeps_the_users_login() {
        let home = tempfile::tempdir().unwrap();
        let mut plan = LaunchPlan { args: vec!["exec".into(), "hi".into()], ..LaunchPlan::default() };
        let conversation = Conversation { prints: true, options_at: 1, ..Conversation::default() };
        override_config(&conversation, home.path(), &mut plan);
        assert_eq!(plan.args, ["exec", "-c", "forced_login_method=api", "hi"]);
        assert_eq!((plan.switched_off.len(), plan.warnings.len()), (0, 0));
    }
}
