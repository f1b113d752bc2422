//! Cleans whole answers for a terminal. Called by `print`: if a table, page or list forgot to clean a name,
//! the name still cannot control the terminal.

use std::borrow::Cow;
use std::fmt::Write as _;

use super::is_harmless;

/// The replacement for a character that must not be shown.
const MARK: char = '\u{fffd}';

/// Returns an answer with only color escapes, and with no control characters except line breaks and tabs.
pub fn terminal(text: &str) -> Cow<'_, str> {
    if text.chars().all(|letter| letter == '\n' || is_harmless(letter)) {
        return Cow::Borrowed(text);
    }
    let mut clean = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(letter) = rest.chars().next() {
        let kept = kept(letter, rest);
        clean.push_str(&rest[..kept]);
        if kept == 0 {
            clean.push(MARK);
        }
        rest = &rest[kept.max(letter.len_utf8())..];
    }
    Cow::Owned(clean)
}

/// Returns how many bytes at the start of the text to keep. `letter` is its first character.
fn kept(letter: char, text: &str) -> usize {
    match letter {
        '\n' | '\t' => 1,
        '\r' if text[1..].starts_with('\n') => 2,
        '\u{1b}' => color_length(text),
        _ if is_harmless(letter) => letter.len_utf8(),
        _ => 0,
    }
}

/// Returns the length of the color escape at the start of a text; 0 if it is another escape. Source: ECMA-48,
/// SGR.
fn color_length(text: &str) -> usize {
    let Some(inside) = text.strip_prefix("\u{1b}[") else { return 0 };
    let numbers = inside.trim_start_matches(|letter: char| letter.is_ascii_digit() || letter == ';');
    if numbers.starts_with('m') { text.len() - numbers.len() + 1 } else { 0 }
}

/// Returns JSON with harmful characters escaped, which does not change its meaning. The JSON library escapes
/// only C0. Outside of strings JSON contains no such characters.
pub fn json(text: String) -> String {
    if text.chars().all(|letter| letter == '\n' || is_harmless(letter)) {
        return text;
    }
    let mut safe = String::with_capacity(text.len());
    for letter in text.chars() {
        if letter == '\n' || is_harmless(letter) {
            safe.push(letter);
        } else {
            for unit in letter.encode_utf16(&mut [0; 2]) {
                let _ = write!(safe, "\\u{unit:04x}");
            }
        }
    }
    safe
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_color_escapes_are_kept() {
        for (text, shown) in [
            ("a\tb\r\nc\n", "a\tb\r\nc\n"),
            ("\u{1b}[31mred\u{1b}[0m\u{1b}[1;2m", "\u{1b}[31mred\u{1b}[0m\u{1b}[1;2m"),
            ("\u{1b}]0;x\u{7}", "\u{fffd}]0;x\u{fffd}"),
            ("\u{1b}[2J\u{1b}", "\u{fffd}[2J\u{fffd}"),
            ("a\rb\u{8}\u{9b}2Jé", "a\u{fffd}b\u{fffd}\u{fffd}2Jé"),
            ("\u{202e}gpj.exe", "\u{fffd}gpj.exe"),
        ] {
            assert_eq!(terminal(text), shown, "{text:?}");
        }
    }

    #[test]
    fn escaped_json_keeps_its_meaning_and_has_no_harmful_characters() {
        let odd = "a\u{1b}b\u{7f}\u{9b}\u{202e}\u{e0041}\n仕";
        let value = serde_json::json!({ odd: [odd] });
        let text = json(format!("{value:#}"));
        assert!(text.chars().all(|letter| letter == '\n' || is_harmless(letter)), "{text:?}");
        assert_eq!(serde_json::from_str::<serde_json::Value>(&text).unwrap(), value);
    }
}
