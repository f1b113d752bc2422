//! Text for a terminal: without secrets, without escapes, and no wider than the terminal.

use unicode_width::UnicodeWidthStr as _;

use kage::agent::redact::redacted;
use kage::report::width::{clipped, end_of, start_of, width};
use kage::text::one_line;
use kage::text::quoted;

/// The input: a number of columns, and a text.
pub(crate) fn check(data: &[u8]) {
    let Some((&columns, text)) = data.split_first() else { return };
    let text = String::from_utf8_lossy(text);
    let columns = usize::from(columns % 80) + 4;
    secrets(&text);
    one(&text);
    narrow(&one_line(&text), columns);
}

fn secrets(text: &str) {
    let clean = redacted(text);
    assert_eq!(redacted(&clean), clean);
    let of_word = |letter: char| letter.is_ascii_alphanumeric() || "_.-".contains(letter);
    let words = || clean.split(|letter| !of_word(letter));
    assert!(words().all(|word| !word.starts_with("sk-") && !word.starts_with("AIza")), "{clean}");
    // Only words are changed.
    let others =
        |text: &str| text.chars().filter(|letter| !of_word(*letter) && !"[]".contains(*letter)).count();
    assert_eq!(others(text), others(&clean));
}

fn one(text: &str) {
    let line = one_line(text);
    assert!(!line.contains(char::is_control) && line.trim() == line, "{line:?}");
    assert_eq!(one_line(&line), line);
    assert!(!quoted(text).contains(char::is_control));
}

fn narrow(line: &str, columns: usize) {
    assert_eq!(width(line), line.width());
    for cut in [end_of(line, columns), start_of(line, columns), clipped(line, columns)] {
        assert!(cut.width() <= columns, "{cut} in {columns}");
        assert_eq!(clipped(&cut, columns), cut);
    }
    if line.width() <= columns {
        assert_eq!((clipped(line, columns), end_of(line, columns)), (line.to_owned(), line.to_owned()));
    }
}
