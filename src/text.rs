//! Makes text from outside safe for terminals, shells and readers. The only module that cleans and quotes.

mod shown;

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;

pub use shown::{json, terminal};

/// Replaces line breaks, terminal escapes and other harmful characters with blanks, and trims the text.
pub fn one_line(text: &str) -> String {
    harmless(text).trim().to_owned()
}

/// Like `one_line`, without trimming.
pub fn harmless(text: &str) -> String {
    text.chars().map(|letter| if is_harmless(letter) { letter } else { ' ' }).collect()
}

/// Whether a character has no effect beyond itself: it does not control the terminal (C0, C1), break the
/// line, reverse the text around it, or stay invisible. Joiners are allowed, because some scripts need them.
/// Source: UAX #9, table 4; the Unicode standard, 23.2-23.9.
pub fn is_harmless(letter: char) -> bool {
    let is_format = matches!(letter,
        '\u{ad}' | '\u{61c}' | '\u{180e}' | '\u{200b}' | '\u{200e}'..='\u{200f}' | '\u{2028}'..='\u{202e}'
        | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e007f}');
    !letter.is_control() && !is_format
}

/// Quotes a word for a shell and removes harmful characters: users paste hints into a shell, and another user
/// may have chosen the name of a path.
pub fn quoted(word: &str) -> String {
    in_quotes(word, &one_line(word))
}

/// Returns a word unchanged, or `shown` in quotes if the word needs quotes.
pub fn in_quotes(word: &str, shown: &str) -> String {
    let plain = |letter: char| letter.is_ascii_alphanumeric() || "-_./:=,@%+".contains(letter);
    if !word.is_empty() && word.chars().all(plain) {
        word.to_owned()
    } else {
        format!("'{}'", shown.replace('\'', r"'\''"))
    }
}

/// Like `quoted`, for a path.
pub fn quoted_path(path: &Path) -> String {
    quoted(&path.display().to_string())
}

/// Returns a text as one word of bash, zsh and `sh`, always in quotes.
pub fn in_single_quotes(text: &str) -> String {
    format!("'{}'", text.replace('\'', r"'\''"))
}

/// Returns a text as one word of fish. Like `fish_indent`, it adds quotes only if they are needed.
pub fn for_fish(text: &str) -> String {
    if !text.is_empty() && text.chars().all(is_plain) {
        return text.to_owned();
    }
    format!("'{}'", text.replace('\\', r"\\").replace('\'', r"\'"))
}

/// Whether no shell treats the character specially.
pub fn is_plain(letter: char) -> bool {
    letter.is_ascii_alphanumeric() || matches!(letter, '_' | '-' | '.' | '+' | '/')
}

/// Returns any word in a form that bash and zsh read as that word, on one line and without harmful
/// characters.
pub fn pasted(word: &OsStr) -> String {
    if let Some(text) = word.to_str().filter(|text| text.chars().all(is_harmless)) {
        return in_quotes(text, text);
    }
    let bytes = |bytes: &[u8]| bytes.iter().map(|byte| format!("\\x{byte:02x}")).collect::<Vec<_>>().concat();
    let letter = |letter: char| match letter {
        '\n' => "\\n".to_owned(),
        '\'' | '\\' => format!("\\{letter}"),
        _ if !is_harmless(letter) => bytes(letter.to_string().as_bytes()),
        _ => letter.to_string(),
    };
    let chunks = word.as_bytes().utf8_chunks();
    let text =
        chunks.map(|chunk| chunk.valid().chars().map(letter).collect::<String>() + &bytes(chunk.invalid()));
    format!("$'{}'", text.collect::<String>())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn escapes_and_line_breaks_do_not_reach_the_terminal() {
        assert_eq!(one_line("a\u{1b}[31mred\nb\u{9b}2J\r\n"), "a [31mred b 2J");
        assert_eq!(one_line("a\u{202e}b\u{2028}c\u{200b}d\u{e0041}e"), "a b c d e");
        assert_eq!(one_line("می\u{200c}خواهم é 仕事 👩\u{200d}💻"), "می\u{200c}خواهم é 仕事 👩\u{200d}💻");
    }

    #[test]
    fn a_shell_reads_the_quoted_words_of_a_command_unchanged() {
        let words: [&[u8]; 7] = [
            b"--model",
            b"",
            b" two\xc2\xa0 ",
            b"it's \"odd\" $x",
            b"a\n'b' \\1",
            b"\x1b[2Ja\xff0",
            "é\u{9b}".as_bytes(),
        ];
        let line = words.map(|word| pasted(OsStr::from_bytes(word))).join(" ");
        assert!(!line.contains(char::is_control), "{line:?}");
        let ran = std::process::Command::new("bash").args(["-c", &format!("printf '%s\\0' {line}")]).output();
        let printed = ran.unwrap().stdout;
        assert_eq!(printed.strip_suffix(b"\0").unwrap().split(|byte| *byte == 0).collect::<Vec<_>>(), words);
    }
}
