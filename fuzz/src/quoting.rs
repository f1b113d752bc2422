//! Text that kage writes for shells and tmux, parsed by their grammars: every path is read back unchanged.
//!
//! The grammars here contain only what kage's quoting may use; anything else is an error. `tests/shells.rs`
//! uses the real shells.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::{OsStrExt as _, OsStringExt as _};

use kage::pool::Request;
use kage::report::command;
use kage::shell::{Function, Shell, shim, tmux, tmux_line};
use kage::text::is_harmless;
use kage::text::quoted;

/// The input: words, separated by NULs, which arguments cannot contain.
pub(crate) fn check(data: &[u8]) {
    let words: Vec<&[u8]> = data.split(|&byte| byte == 0).take(8).collect();
    check_command(&words);
    for word in words {
        if let Ok(text) = str::from_utf8(word) {
            check_path(text);
        }
    }
}

/// The command that kage suggests for resuming on another subscription has these words.
fn check_command(words: &[&[u8]]) {
    let line = pasted(words);
    assert!(!line.contains(char::is_control), "{line:?}");
    let read = posix(line.as_bytes()).expect("it consists of quoted words");
    let at = read.iter().position(|word| word == b"--").expect("the command has `--`");
    assert_eq!(read[at + 1..], words.iter().map(|word| word.to_vec()).collect::<Vec<_>>(), "{line}");
}

/// The command that kage suggests, with these words after `--`.
pub(crate) fn pasted(words: &[&[u8]]) -> String {
    let args: Vec<OsString> = words[1..].iter().map(|word| OsString::from_vec(word.to_vec())).collect();
    let to = "work".parse().expect("it is a valid name");
    command(&to, &Request::default(), &[], OsStr::from_bytes(words[0]), &args)
}

/// A path is read back unchanged by every shell, from a shim, by tmux and from a hint.
fn check_path(text: &str) {
    for shell in [Shell::Bash, Shell::Zsh] {
        assert_eq!(posix(shell.quoted(text).as_bytes()), Some(vec![text.as_bytes().to_vec()]), "{shell}");
    }
    assert_eq!(fish(&Shell::Fish.quoted(text)).as_deref(), Some(text));
    let script = shim::text(text, "claude");
    assert!(shim::is_shim(script.as_bytes()));
    let assignment =
        script.split_once("kage=").map(|(_, rest)| rest).and_then(|rest| rest.split_once("\nif "));
    let path = assignment.and_then(|(path, _)| posix(path.as_bytes()));
    assert_eq!(path, Some(vec![text.as_bytes().to_vec()]));
    let control = text.contains(char::is_control);
    if !control && !text.is_empty() {
        assert_eq!(shim::kage_of(&script).as_deref(), Some(text));
        assert_eq!(path_of_tmux_line(&tmux_line(text)).as_deref(), Some(text.as_bytes()));
        // In a hint, characters that could deceive the reader are replaced by blanks.
        if text.trim() == text && text.chars().all(is_harmless) {
            assert_eq!(posix(quoted(text).as_bytes()), Some(vec![text.as_bytes().to_vec()]));
        }
    }
    assert!(tmux(text).starts_with("#!/bin/sh\n"));
    check_functions(text);
}

/// With any path of kage the functions differ only in that path.
fn check_functions(path: &str) {
    let functions = [Function { program: "claude", maintenance: &["mcp", "--version"] }];
    for shell in [Shell::Bash, Shell::Zsh, Shell::Fish] {
        let (usual, odd) = (shell.quoted("/opt/kage"), shell.quoted(path));
        let expected =
            shell.integration("/opt/kage", &functions).split(&usual).collect::<Vec<_>>().join(&odd);
        assert_eq!(shell.integration(path, &functions), expected, "{shell}");
    }
}

/// The words of a bash or zsh command line; `None` if it contains more than quoted words.
fn posix(line: &[u8]) -> Option<Vec<Vec<u8>>> {
    let mut words = Vec::new();
    let mut word: Option<Vec<u8>> = None;
    let mut at = 0;
    while let Some(&byte) = line.get(at) {
        at += 1;
        let known = word.get_or_insert_default();
        match byte {
            b' ' => {
                words.extend(word.take().filter(|_| line.get(at.wrapping_sub(2)) != Some(&b' ')));
            }
            b'\'' => {
                let end = at + line[at..].iter().position(|&byte| byte == b'\'')?;
                known.extend_from_slice(&line[at..end]);
                at = end + 1;
            }
            b'\\' => {
                known.push(*line.get(at)?);
                at += 1;
            }
            b'$' if line.get(at) == Some(&b'\'') => at = ansi(line, at + 1, known)?,
            byte if byte.is_ascii_alphanumeric() || b"-_./:=,@%+".contains(&byte) => known.push(byte),
            _ => return None,
        }
    }
    words.extend(word);
    Some(words)
}

/// Parses the text after `$'`. Returns the position after its end.
fn ansi(line: &[u8], mut at: usize, word: &mut Vec<u8>) -> Option<usize> {
    loop {
        match line.get(at)? {
            b'\'' => return Some(at + 1),
            b'\\' => {
                let (byte, length) = match line.get(at + 1)? {
                    b'n' => (b'\n', 2),
                    b'x' => {
                        let digits = str::from_utf8(line.get(at + 2..at + 4)?).ok()?;
                        (u8::from_str_radix(digits, 16).ok()?, 4)
                    }
                    &byte @ (b'\'' | b'\\') => (byte, 2),
                    _ => return None,
                };
                word.push(byte);
                at += length;
            }
            &byte => {
                word.push(byte);
                at += 1;
            }
        }
    }
}

/// One word of fish. Inside quotes a backslash is literal, except before a quote or another backslash.
fn fish(word: &str) -> Option<String> {
    let Some(inside) = word.strip_prefix('\'') else {
        let plain = |letter: char| letter.is_ascii_alphanumeric() || "_-.+/".contains(letter);
        return Some(word.to_owned()).filter(|word| !word.is_empty() && word.chars().all(plain));
    };
    let mut text = String::new();
    let mut letters = inside.chars();
    loop {
        match letters.next()? {
            '\'' => return Some(text).filter(|_| letters.next().is_none()),
            '\\' => match letters.next()? {
                letter @ ('\\' | '\'') => text.push(letter),
                letter => text.extend(['\\', letter]),
            },
            letter => text.push(letter),
        }
    }
}

/// The path in the line for tmux. tmux first unescapes the double-quoted string, then expands formats in the
/// command; a shell parses the rest.
fn path_of_tmux_line(line: &str) -> Option<Vec<u8>> {
    let inside = line.strip_prefix("run-shell \"")?.strip_suffix("\" # added by kage")?;
    let mut text = String::new();
    let mut letters = inside.chars();
    while let Some(letter) = letters.next() {
        match letter {
            '\\' => text.push(letters.next().filter(|letter| "\\\"$".contains(*letter))?),
            '"' | '$' => return None,
            letter => text.push(letter),
        }
    }
    let command = expanded(&text)?;
    // The command contains the path twice, so its length gives the path, even if the path contains these
    // parts.
    let (begins, between, ends) = ("if [ -x ", " ]; then ", " init tmux | sh; fi");
    let both = command.strip_prefix(begins)?.strip_suffix(ends)?;
    let path = both.get(..both.len().checked_sub(between.len())? / 2)?;
    let whole = format!("{begins}{path}{between}{path}{ends}");
    let mut words = posix(path.as_bytes())?;
    (whole == command && words.len() == 1).then(|| words.remove(0))
}

/// Two `#` become one, except before a `[`, where they are kept for styles. Source: tmux 3.3,
/// `format_expand1`.
fn expanded(text: &str) -> Option<String> {
    let mut plain = String::new();
    let mut rest = text;
    while let Some(at) = rest.find('#') {
        plain.push_str(&rest[..at]);
        let after = rest[at..].trim_start_matches('#');
        let count = rest.len() - at - after.len();
        if after.starts_with('[') {
            plain.push_str(&"#".repeat(count));
        } else if count.is_multiple_of(2) {
            plain.push_str(&"#".repeat(count / 2));
        } else {
            return None;
        }
        rest = after;
    }
    Some(plain + rest)
}
