//! Removes secrets from messages of agents and providers. Evidence is stored in the state and shown, and a
//! provider may quote the key that it refuses.

/// The replacement for a word that may be a secret.
const MASK: &str = "[redacted]";
/// A word of at least this length with both letters and digits is not a natural word.
const LONG: usize = 32;
/// A word that begins with `ey` (base64 of JSON) and has at least this many more characters is a token.
const ENCODED: usize = 20;

/// Returns the text with `[redacted]` in place of words that may be secrets.
pub fn redacted(text: &str) -> String {
    let mut rest = text;
    let mut clean = String::with_capacity(text.len());
    while let Some(begins) = rest.find(is_word_letter) {
        let (between, from) = rest.split_at(begins);
        let (word, after) = from.split_at(from.find(|letter| !is_word_letter(letter)).unwrap_or(from.len()));
        clean.push_str(between);
        clean.push_str(if may_be_secret(word) { MASK } else { word });
        rest = after;
    }
    clean + rest
}

fn is_word_letter(letter: char) -> bool {
    letter.is_ascii_alphanumeric() || ['_', '.', '-'].contains(&letter)
}

fn may_be_secret(word: &str) -> bool {
    let has = |kind: fn(&u8) -> bool| word.bytes().any(|byte| kind(&byte));
    let is_encoded = word.starts_with("ey") && word.len() >= ENCODED + 2;
    let is_long = word.len() >= LONG && has(u8::is_ascii_alphabetic) && has(u8::is_ascii_digit);
    word.starts_with("sk-") || word.starts_with("AIza") || is_encoded || is_long
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_that_may_be_secrets_are_masked_and_other_text_is_kept() {
        for (text, expected) in [
            ("", ""),
            ("You've hit your limit · resets 1pm (UTC)", "You've hit your limit · resets 1pm (UTC)"),
            (
                "Incorrect API key provided: sk-proj-x. Find yours",
                "Incorrect API key provided: [redacted] Find yours",
            ),
            ("key=AIzaSyInvented,next", "key=[redacted],next"),
            ("('sk-ant-oat01-x')", "('[redacted]')"),
            ("Bearer eyJhbGciOiJIUzI1NiJ9abc", "Bearer [redacted]"),
            ("eyes and eyJshort", "eyes and eyJshort"),
            ("token \"0123456789abcdef0123456789abcdef\"", "token \"[redacted]\""),
            ("0123456789abcdef0123456789abcde", "0123456789abcdef0123456789abcde"),
            ("11111111-2222-4333-8444-555555555555", "11111111-2222-4333-8444-555555555555"),
            ("authentication_failed_for_this_organization", "authentication_failed_for_this_organization"),
            ("token\u{a0}sk-x\u{2019}s", "token\u{a0}[redacted]\u{2019}s"),
        ] {
            assert_eq!(redacted(text), expected, "{text}");
        }
    }
}
