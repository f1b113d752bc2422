//! What a `config.toml` does against a key from the environment. Measured on 0.169.0: a provider of the
//! user's own takes its own credential; a required plan's login makes an agent that got a key log the user
//! out, which deletes the login; a project's `.codex/config.toml` may set neither.

use std::fs;
use std::path::Path;

use toml::{Table, Value};

use super::arguments::Conversation;
use crate::agent::{Effect, LaunchPlan, Setting};

/// The provider that takes the key.
const OPENAI: &str = "openai";
/// What lets a provider have another credential than the agent's login.
const OWN_CREDENTIALS: [&str; 5] =
    ["env_key", "experimental_bearer_token", "auth", "http_headers", "env_http_headers"];

/// Makes the key count: in front of the user's own options, of which the later one wins.
pub(super) fn neutralise(conversation: &Conversation, home: &Path, plan: &mut LaunchPlan) {
    if !conversation.prints {
        plan.warnings.push(format!(
            "codex takes a key in `codex exec` only; this session runs on the login in {}",
            home.display()
        ));
        return;
    }
    // Always, since more files than one may hold the setting, and what it costs is a login.
    let mut settings = vec!["forced_login_method=api".to_owned()];
    if !conversation.local && other_provider(&read(home)).is_some() {
        settings.push(format!("model_provider={OPENAI}"));
        plan.switched_off.push("model_provider".into());
    }
    let options = settings.into_iter().flat_map(|setting| ["-c".into(), setting.into()]);
    let at = conversation.options_at;
    plan.args.splice(at..at, options.collect::<Vec<_>>());
}

/// A program that may start the agent gets no arguments, so kage can only say what will happen.
pub(super) fn guard_other_program(home: &Path, plan: &mut LaunchPlan) {
    let config = read(home);
    let login = config.get("forced_login_method").and_then(Value::as_str);
    let wrong = match other_provider(&config) {
        _ if login.is_some_and(|method| method != "api") => {
            "its `forced_login_method` makes codex delete the login there when it gets a key".to_owned()
        }
        Some(provider) => format!("its `model_provider` is `{provider}`, which would beat this subscription"),
        None => return,
    };
    plan.warnings.push(format!(
        "{}: {wrong}; run codex itself through kage exec, which switches that off",
        home.join("config.toml").display()
    ));
}

/// The provider of the config that would win over the key.
pub(super) fn that_matters(home: &Path) -> Option<Setting> {
    let file = home.join("config.toml");
    other_provider(&read(home)).is_some().then(|| Setting {
        file,
        key: "model_provider".into(),
        effect: Effect::SwitchedOff,
    })
}

/// The provider of the config, where it would not take the key.
fn other_provider(config: &Table) -> Option<&str> {
    let name = config.get("model_provider")?.as_str().filter(|name| *name != OPENAI)?;
    let provider = config.get("model_providers").and_then(|providers| providers.get(name));
    let says = |key: &str| provider.and_then(|provider| provider.get(key));
    let takes_login = says("requires_openai_auth").and_then(Value::as_bool) == Some(true);
    let has_own = OWN_CREDENTIALS.iter().any(|key| says(key).is_some());
    (!takes_login || has_own).then_some(name)
}

/// The user's settings; a file that is missing or broken has none, and the agent names what is wrong in it.
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
    fn a_provider_beats_the_key_unless_it_takes_the_agents_login() {
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
    fn a_key_comes_with_a_login_method_that_leaves_the_users_login_alone() {
        let home = tempfile::tempdir().unwrap();
        let mut plan = LaunchPlan { args: vec!["exec".into(), "hi".into()], ..LaunchPlan::default() };
        let conversation = Conversation { prints: true, options_at: 1, ..Conversation::default() };
        neutralise(&conversation, home.path(), &mut plan);
        assert_eq!(plan.args, ["exec", "-c", "forced_login_method=api", "hi"]);
        assert_eq!((plan.switched_off.len(), plan.warnings.len()), (0, 0));
    }
}
