//! Maps a model id to the names it may have in a table. Providers, clouds and agents add prefixes and
//! suffixes to ids; the model, and so its price, is the same. A newer model is a different one, even if its
//! name is similar.

/// Prefixes that gateways and SDKs of the providers add to ids.
const PROVIDERS: [&str; 6] = ["anthropic/", "openai/", "google/", "gemini/", "models/", "anthropic."];

/// The regions of Amazon Bedrock's inference profiles, which precede `anthropic.`. Source: the Bedrock user
/// guide, "Supported Regions and models for inference profiles".
const REGIONS: [&str; 7] = ["us.", "eu.", "apac.", "jp.", "au.", "us-gov.", "global."];

/// Returns the names that an id may have in a table: the id itself, then shorter and shorter forms without
/// prefixes and suffixes.
pub(super) fn of(id: &str) -> Vec<&str> {
    let mut names = Vec::new();
    for whole in [Some(id), without_provider(id)].into_iter().flatten() {
        let mut next = Some(whole);
        while let Some(name) = next {
            names.push(name);
            next = without_ending(name);
        }
    }
    names
}

fn without_provider(id: &str) -> Option<&str> {
    let id = REGIONS
        .iter()
        .find_map(|region| id.strip_prefix(region).filter(|rest| rest.starts_with("anthropic.")))
        .unwrap_or(id);
    PROVIDERS.iter().find_map(|provider| id.strip_prefix(provider))
}

/// Removes one ending that does not change the model: the context length (`[1m]`), the API version (`-v1:0`),
/// `-latest`, or the release date.
fn without_ending(id: &str) -> Option<&str> {
    let plain = ["[1m]", "-latest", "@latest", "@default", "-v1"];
    let plain = plain.iter().find_map(|ending| id.strip_suffix(ending));
    let rest = plain.or_else(|| without_api_version(id)).or_else(|| without_date(id));
    rest.filter(|rest| !rest.is_empty())
}

/// `-v1:0`
fn without_api_version(id: &str) -> Option<&str> {
    let (rest, version) = id.rsplit_once("-v")?;
    let (major, minor) = version.split_once(':')?;
    (is_number(major) && is_number(minor)).then_some(rest)
}

/// `-20251101`, `@20251101`, `-2025-11-01`
fn without_date(id: &str) -> Option<&str> {
    let (at, _) = id.char_indices().rev().nth(8)?;
    let (rest, date) = id.split_at(at);
    let is_date = |digits: &str| digits.len() == 8 && digits.starts_with("20") && is_number(digits);
    if date.strip_prefix(['-', '@']).is_some_and(is_date) {
        return Some(rest);
    }
    let (at, _) = id.char_indices().rev().nth(10)?;
    let (rest, date) = id.split_at(at);
    let parts: Vec<_> = date.strip_prefix('-')?.split('-').collect();
    let lengths: Vec<_> = parts.iter().map(|part| part.len()).collect();
    (lengths == [4, 2, 2] && is_date(&parts.concat())).then_some(rest)
}

fn is_number(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit())
}
