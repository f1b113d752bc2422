//! The variables that make Claude Code use another credential, provider or address.

use std::ffi::OsString;

/// Whether a variable competes with the chosen subscription.
pub(super) fn competes(name: &str) -> bool {
    name.starts_with(RETRY_WATCHDOG) || COMPETING.binary_search(&name).is_ok()
}

/// Returns the inherited variables that name the models of a gateway whose address is not passed on: the
/// provider does not know them. `removed` are the variables that are not passed on for other reasons.
pub(super) fn gateway_models(removed: &[String], inherited: &[(OsString, OsString)]) -> Vec<String> {
    let is_gateway = |name: &String| name.ends_with("_BASE_URL") || name.starts_with("CLAUDE_CODE_USE_");
    if !removed.iter().any(is_gateway) {
        return Vec::new();
    }
    let set = inherited.iter().filter(|(_, value)| !value.is_empty());
    set.filter_map(|(name, _)| name.to_str()).filter(|name| names_model(name)).map(str::to_owned).collect()
}

/// Whether a variable names a model. Sources: the agent's documentation, the binary of 2.1.332.
fn names_model(name: &str) -> bool {
    let is_default = || name.strip_prefix("ANTHROPIC_DEFAULT_").is_some_and(|rest| rest.contains("_MODEL"));
    ["ANTHROPIC_MODEL", "ANTHROPIC_SMALL_FAST_MODEL", "CLAUDE_CODE_SUBAGENT_MODEL"].contains(&name)
        || is_default()
}

/// The prefix of a family of variables. If one of them is set, a limited agent sleeps until the reset instead
/// of exiting.
const RETRY_WATCHDOG: &str = "CLAUDE_CODE_RETRY_WATCHDOG";

/// Sorted for the binary search.
const COMPETING: [&str; 54] = [
    "AGENT_PROXY_AUTH_TOKEN",
    "ANTHROPIC_API_KEY",
    "ANTHROPIC_AUTH_TOKEN",
    "ANTHROPIC_AWS_API_KEY",
    "ANTHROPIC_AWS_BASE_URL",
    "ANTHROPIC_BASE_URL",
    "ANTHROPIC_BEDROCK_BASE_URL",
    "ANTHROPIC_BEDROCK_MANTLE_BASE_URL",
    "ANTHROPIC_CONFIG_DIR",
    "ANTHROPIC_CUSTOM_HEADERS",
    "ANTHROPIC_FEDERATION_RULE_ID",
    "ANTHROPIC_FOUNDRY_API_KEY",
    "ANTHROPIC_FOUNDRY_AUTH_TOKEN",
    "ANTHROPIC_FOUNDRY_BASE_URL",
    "ANTHROPIC_GOOGLE_CLOUD_BASE_URL",
    "ANTHROPIC_ORGANIZATION_ID",
    "ANTHROPIC_PROFILE",
    "ANTHROPIC_UNIX_SOCKET",
    "ANTHROPIC_VERTEX_BASE_URL",
    "ANTHROPIC_WORKSPACE_ID",
    "AWS_BEARER_TOKEN_BEDROCK",
    "CLAUDECODE",
    "CLAUDE_BG_AUTH_SNAPSHOT_PATH",
    "CLAUDE_CODE_ACCOUNT_UUID",
    "CLAUDE_CODE_API_BASE_URL",
    "CLAUDE_CODE_API_KEY_FILE_DESCRIPTOR",
    "CLAUDE_CODE_CHILD_SESSION",
    "CLAUDE_CODE_CUSTOM_OAUTH_URL",
    "CLAUDE_CODE_GATEWAY_TOKEN_FILE_DESCRIPTOR",
    "CLAUDE_CODE_HFI_BEARER_TOKEN",
    "CLAUDE_CODE_HOST_AUTH_ENV_VAR",
    "CLAUDE_CODE_HOST_CREDS_FILE",
    "CLAUDE_CODE_OAUTH_CLIENT_ID",
    "CLAUDE_CODE_OAUTH_REFRESH_TOKEN",
    "CLAUDE_CODE_OAUTH_SCOPES",
    "CLAUDE_CODE_OAUTH_TOKEN",
    "CLAUDE_CODE_OAUTH_TOKEN_FILE_DESCRIPTOR",
    "CLAUDE_CODE_ORGANIZATION_UUID",
    "CLAUDE_CODE_RATE_LIMIT_TIER",
    "CLAUDE_CODE_SESSIONS_OAUTH_TOKEN",
    "CLAUDE_CODE_SESSION_ACCESS_TOKEN",
    "CLAUDE_CODE_SESSION_ID",
    "CLAUDE_CODE_SIMPLE",
    "CLAUDE_CODE_SUBSCRIPTION_TYPE",
    "CLAUDE_CODE_USER_EMAIL",
    "CLAUDE_CODE_USE_ANTHROPIC_AWS",
    "CLAUDE_CODE_USE_ANTHROPIC_GOOGLE_CLOUD",
    "CLAUDE_CODE_USE_BEDROCK",
    "CLAUDE_CODE_USE_FOUNDRY",
    "CLAUDE_CODE_USE_MANTLE",
    "CLAUDE_CODE_USE_VERTEX",
    "CLAUDE_CODE_WEBSOCKET_AUTH_FILE_DESCRIPTOR",
    "CLAUDE_SESSION_INGRESS_TOKEN_FILE",
    "CLAUDE_TRUSTED_DEVICE_TOKEN",
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_list_is_sorted_and_every_name_in_it_is_found() {
        assert!(COMPETING.is_sorted());
        for name in COMPETING {
            assert!(competes(name), "{name}");
        }
        assert!(competes("CLAUDE_CODE_RETRY_WATCHDOG_MS"));
        assert!(!competes("ANTHROPIC_MODEL") && !competes("PATH"));
    }

    #[test]
    fn the_models_of_a_gateway_are_removed_with_it_and_the_users_own_choice_stays() {
        let models = [
            "ANTHROPIC_DEFAULT_OPUS_MODEL",
            "ANTHROPIC_DEFAULT_QUARTZ_MODEL_NAME",
            "ANTHROPIC_MODEL",
            "ANTHROPIC_SMALL_FAST_MODEL",
            "CLAUDE_CODE_SUBAGENT_MODEL",
        ];
        let names = models.into_iter().chain(["PATH", "ANTHROPIC_BETAS"]);
        let inherited: Vec<(OsString, OsString)> = names.map(|name| (name.into(), "x".into())).collect();
        for gateway in ["ANTHROPIC_BASE_URL", "ANTHROPIC_BEDROCK_BASE_URL", "CLAUDE_CODE_USE_BEDROCK"] {
            assert_eq!(gateway_models(&[gateway.into()], &inherited), models, "{gateway}");
        }
        assert!(gateway_models(&["ANTHROPIC_API_KEY".into()], &inherited).is_empty());
        let empty = [("ANTHROPIC_MODEL".into(), OsString::new())];
        assert!(gateway_models(&["ANTHROPIC_BASE_URL".into()], &empty).is_empty());
    }
}
