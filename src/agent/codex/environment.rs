//! The variables that make Codex use another credential, organization or address.

/// Whether a variable competes with the chosen subscription.
pub(super) fn competes(name: &str) -> bool {
    COMPETING.binary_search(&name).is_ok()
}

/// Sorted for the binary search. Found in the binary of 0.171.0. Not every subcommand reads all of them:
/// `OPENAI_API_KEY` is read only if the config names it, and `OPENAI_BASE_URL` only by older versions.
const COMPETING: [&str; 19] = [
    "CODEX_ACCESS_TOKEN",
    "CODEX_AGENT_IDENTITY_AUTHAPI_BASE_URL",
    "CODEX_AGENT_IDENTITY_JWKS_BASE_URL",
    "CODEX_API_KEY",
    "CODEX_APP_SERVER_CHATGPT_BASE_URL",
    "CODEX_APP_SERVER_LOGIN_ISSUER",
    "CODEX_AUTHAPI_BASE_URL",
    "CODEX_CONNECTORS_TOKEN",
    "CODEX_REFRESH_TOKEN_URL_OVERRIDE",
    "CODEX_REVOKE_TOKEN_URL_OVERRIDE",
    "OPENAI_API_KEY",
    "OPENAI_BASE_URL",
    "OPENAI_FEDERATION_RULE_ID",
    "OPENAI_IDENTITY_TOKEN_FILE",
    "OPENAI_IDENTITY_TOKEN_SOURCE",
    "OPENAI_ORGANIZATION",
    "OPENAI_PROJECT",
    "OPENAI_SPIFFE_AUDIENCE",
    "SPIFFE_ENDPOINT_SOCKET",
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
        assert!(!competes("CODEX_HOME") && !competes("PATH"));
    }
}
