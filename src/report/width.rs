//! Columns: how many a text takes on a terminal, and how it is made to take so many.

use unicode_width::{UnicodeWidthChar as _, UnicodeWidthStr as _};

use super::shows_unicode;

/// The columns of a text. Escapes that paint take none.
pub fn width(text: &str) -> usize {
    anstream::adapter::strip_str(text).to_string().width()
}

pub fn widest<'a>(texts: impl Iterator<Item = &'a str>) -> usize {
    texts.map(width).max().unwrap_or(0)
}

/// The text with blanks behind it.
pub fn padded(text: &str, columns: usize) -> String {
    format!("{text}{}", " ".repeat(columns.saturating_sub(width(text))))
}

/// Rows of cells below each other, two blanks between them; a column that is empty throughout is left out.
pub fn aligned(rows: &[Vec<String>]) -> Vec<String> {
    let count = rows.iter().map(Vec::len).max().unwrap_or(0);
    let cells = |at: usize| rows.iter().filter_map(move |row| row.get(at)).map(String::as_str);
    let widths: Vec<_> = (0..count).map(|at| widest(cells(at))).collect();
    let line = |row: &Vec<String>| {
        let cells = row.iter().zip(&widths).filter(|(_, columns)| **columns > 0);
        let cells: Vec<_> = cells.map(|(cell, &columns)| padded(cell, columns)).collect();
        cells.join("  ").trim_end().to_owned()
    };
    rows.iter().map(line).collect()
}

/// The last columns of a text, behind a mark where something was left out.
pub fn end_of(text: &str, columns: usize) -> String {
    let cut = |room: usize| {
        let kept: Vec<_> = fitting(text.chars().rev(), room.saturating_sub(mark().width())).collect();
        format!("{}{}", mark(), kept.into_iter().rev().collect::<String>())
    };
    narrowed(text, columns, cut)
}

/// The first columns of a text, in front of a mark where something was left out.
pub fn start_of(text: &str, columns: usize) -> String {
    let cut = |room: usize| {
        fitting(text.chars(), room.saturating_sub(mark().width())).chain(mark().chars()).collect()
    };
    narrowed(text, columns, cut)
}

/// A text as it is, or cut. Signs that are drawn as one take other columns together than one by one, such as a flag
/// of two letters, so that a cut may have to be tried with less room.
fn narrowed(text: &str, columns: usize, cut: impl Fn(usize) -> String) -> String {
    if width(text) <= columns {
        return text.to_owned();
    }
    let cuts = (0..=columns).rev().map(cut);
    let mut narrow = cuts.skip_while(|cut| width(cut) > columns);
    narrow.next().unwrap_or_default()
}

fn mark() -> &'static str {
    if shows_unicode() { "…" } else { "..." }
}

fn fitting(letters: impl Iterator<Item = char>, columns: usize) -> impl Iterator<Item = char> {
    let mut room = columns;
    letters.take_while(move |letter| {
        let width = letter.width().unwrap_or(0);
        let has_room = width <= room;
        room = room.saturating_sub(width);
        has_room
    })
}

/// A text in lines of so many columns, broken between words. A word that is too long is broken behind a `/`, or where
/// the line ends.
pub(super) fn wrapped(text: &str, columns: usize) -> Vec<String> {
    let mut lines = vec![String::new()];
    for word in text.split(' ') {
        for (at, piece) in pieces(word, columns).into_iter().enumerate() {
            let line = lines.last_mut().expect("there is one from the beginning");
            let gap = if at == 0 && !line.is_empty() { " " } else { "" };
            let longer = format!("{line}{gap}{piece}");
            if line.is_empty() || width(&longer) <= columns {
                *line = longer;
            } else {
                lines.push(piece.to_owned());
            }
        }
    }
    lines
}

/// A word, or the parts of it that fit.
fn pieces(word: &str, columns: usize) -> Vec<&str> {
    let mut pieces = Vec::new();
    let mut rest = word;
    while width(rest) > columns {
        let first = rest.chars().next().map_or(0, char::len_utf8);
        // Signs that are drawn as one may take more columns than one by one.
        let ends =
            (1..=columns).rev().map(|room| fitting(rest.chars(), room).map(char::len_utf8).sum::<usize>());
        let end = ends.into_iter().find(|&end| width(&rest[..end]) <= columns).unwrap_or(0).max(first);
        let end = rest[..end].rfind('/').filter(|&at| at > 0).map_or(end, |at| at + 1);
        pieces.push(&rest[..end]);
        rest = &rest[end..];
    }
    pieces.push(rest);
    pieces
}

/// A line of a screen, cut where the screen ends. Its escapes stay, so that no colour runs on.
pub fn clipped(line: &str, columns: usize) -> String {
    narrowed(line, columns, |room| cut_to(line, room))
}

fn cut_to(line: &str, columns: usize) -> String {
    let (mut room, mut is_full, mut in_escape) = (columns, false, false);
    let mut keeps = |letter: char| {
        if in_escape || letter == '\u{1b}' {
            in_escape = !letter.is_ascii_alphabetic();
            return true;
        }
        let width = letter.width().unwrap_or(0);
        is_full |= width > room;
        room = room.saturating_sub(width);
        !is_full
    };
    line.chars().filter(|&letter| keeps(letter)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_cut_at_the_columns_it_has_and_its_colour_ends() {
        let painted = "a\u{1b}[31m一二\u{1b}[0mb";
        assert_eq!(width(painted), 6);
        for (columns, expected) in [
            (9, painted),
            (6, painted),
            (5, "a\u{1b}[31m一二\u{1b}[0m"),
            (4, "a\u{1b}[31m一\u{1b}[0m"),
            (3, "a\u{1b}[31m一\u{1b}[0m"),
            (0, "\u{1b}[31m\u{1b}[0m"),
        ] {
            assert_eq!(clipped(painted, columns), expected, "{columns}");
        }
    }

    #[test]
    fn a_text_is_broken_between_words_and_a_path_behind_its_parts() {
        let text = "one two /srv/一二三/four five";
        for (columns, expected) in [
            (40, &[text][..]),
            (20, &["one two", "/srv/一二三/four", "five"]),
            (12, &["one two", "/srv/一二三/", "four five"]),
            (11, &["one two", "/srv/", "一二三/four", "five"]),
            (3, &["one", "two", "/sr", "v/", "一", "二", "三/", "fou", "r", "fiv", "e"]),
        ] {
            assert_eq!(wrapped(text, columns), expected, "{columns}");
        }
        let odd = "/srv/🏳️‍🌈/👩‍👩‍👧/❤️/api/一二";
        for columns in 0..30 {
            let lines = wrapped(odd, columns);
            assert_eq!(lines.concat(), odd);
            assert!(columns < 2 || lines.iter().all(|line| width(line) <= columns), "{lines:?} in {columns}");
        }
    }

    #[test]
    fn what_is_too_long_has_a_mark() {
        // Whether the mark is one letter or three is the locale's.
        for columns in 4..9 {
            for cut in [end_of("projects/api", columns), start_of("projects/api", columns)] {
                assert!(width(&cut) == columns && cut.contains(mark()), "{cut}");
            }
        }
        assert_eq!((end_of("api", 3), start_of("api", 3)), ("api".into(), "api".into()));
    }

    #[test]
    fn signs_that_are_drawn_as_one_are_no_wider_for_it() {
        let odd = "/srv/🏳️‍🌈/👩‍👩‍👧/❤️/api/一二";
        for columns in 4..24 {
            for cut in [end_of(odd, columns), start_of(odd, columns), clipped(odd, columns)] {
                assert!(width(&cut) <= columns, "{cut} in {columns}");
                assert_eq!(clipped(&cut, columns), cut);
            }
        }
    }

    #[test]
    fn cells_stand_below_each_other() {
        let row = |cells: [&str; 3]| cells.map(str::to_owned).to_vec();
        assert_eq!(aligned(&[row(["一", "", "x"]), row(["abc", "", ""])]), ["一   x", "abc"]);
    }
}
