//! What may go to a terminal of all that an answer holds. Called by `print`, so that no table, page or list that
//! forgot to clean a name can steer the terminal with it.

use std::borrow::Cow;
use std::fmt::Write as _;

use super::is_harmless;

/// What stands in place of a letter that may not be shown.
const MARK: char = '\u{fffd}';

/// An answer whose only escapes are colours, and its only controls those of lines and columns.
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

/// How many bytes of the text stay as they are, which begins with this letter.
fn kept(letter: char, text: &str) -> usize {
    match letter {
        '\n' | '\t' => 1,
        '\r' if text[1..].starts_with('\n') => 2,
        '\u{1b}' => colour(text),
        _ if is_harmless(letter) => letter.len_utf8(),
        _ => 0,
    }
}

/// How long the colour is with which a text begins; 0 where it begins with another escape. Source: ECMA-48, SGR.
fn colour(text: &str) -> usize {
    let Some(inside) = text.strip_prefix("\u{1b}[") else { return 0 };
    let numbers = inside.trim_start_matches(|letter: char| letter.is_ascii_digit() || letter == ';');
    if numbers.starts_with('m') { text.len() - numbers.len() + 1 } else { 0 }
}

/// JSON in which such letters are escaped, which changes nothing for who reads it as JSON. The library leaves all
/// as they are but C0; outside of texts there are none.
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
    fn of_all_escapes_only_colours_stay() {
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
    fn json_means_the_same_and_has_no_such_letter() {
        let odd = "a\u{1b}b\u{7f}\u{9b}\u{202e}\u{e0041}\n仕";
        let value = serde_json::json!({ odd: [odd] });
        let text = json(format!("{value:#}"));
        assert!(text.chars().all(|letter| letter == '\n' || is_harmless(letter)), "{text:?}");
        assert_eq!(serde_json::from_str::<serde_json::Value>(&text).unwrap(), value);
    }
}
