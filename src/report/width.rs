//! The width of text in terminal columns: measuring, padding, cutting and wrapping.

use unicode_width::{UnicodeWidthChar as _, UnicodeWidthStr as _};

use super::shows_unicode;

/// The width of a text in columns. Escapes have no width.
pub fn width(text: &str) -> usize {
    anstream::adapter::strip_str(text).to_string().width()
}

pub fn widest<'a>(texts: impl Iterator<Item = &'a str>) -> usize {
    texts.map(width).max().unwrap_or(0)
}

/// The text, padded with spaces at its end.
pub fn padded(text: &str, columns: usize) -> String {
    format!("{text}{}", " ".repeat(columns.saturating_sub(width(text))))
}

/// Rows of cells in aligned columns, two spaces apart. A column without any text is left out.
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

/// The end of a text, after an ellipsis if its beginning was cut.
pub fn end_of(text: &str, columns: usize) -> String {
    let cut = |room: usize| {
        let kept: Vec<_> = fitting(text.chars().rev(), room.saturating_sub(ellipsis().width())).collect();
        format!("{}{}", ellipsis(), kept.into_iter().rev().collect::<String>())
    };
    narrowed(text, columns, cut)
}

/// The beginning of a text, before an ellipsis if its end was cut.
pub fn start_of(text: &str, columns: usize) -> String {
    let cut = |room: usize| {
        fitting(text.chars(), room.saturating_sub(ellipsis().width())).chain(ellipsis().chars()).collect()
    };
    narrowed(text, columns, cut)
}

/// A text, cut only if it is too wide. Characters that are drawn as one, such as the two of a flag, can be
/// wider or narrower together than separately, so the cut is repeated with less room until it fits.
fn narrowed(text: &str, columns: usize, cut: impl Fn(usize) -> String) -> String {
    if width(text) <= columns {
        return text.to_owned();
    }
    let cuts = (0..=columns).rev().map(cut);
    let mut narrow = cuts.skip_while(|cut| width(cut) > columns);
    narrow.next().unwrap_or_default()
}

fn ellipsis() -> &'static str {
    if shows_unicode() { "…" } else { "..." }
}

fn fitting(characters: impl Iterator<Item = char>, columns: usize) -> impl Iterator<Item = char> {
    let mut room = columns;
    characters.take_while(move |character| {
        let width = character.width().unwrap_or(0);
        let has_room = width <= room;
        room = room.saturating_sub(width);
        has_room
    })
}

/// A text in lines of at most `columns`, broken between words. A word that is too long is broken after a `/`,
/// or at the end of the line.
pub(super) fn wrapped(text: &str, columns: usize) -> Vec<String> {
    let mut lines = vec![String::new()];
    for word in text.split(' ') {
        for (at, piece) in pieces(word, columns).into_iter().enumerate() {
            let line = lines.last_mut().expect("the vector starts with one line");
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
        // Characters that are drawn as one may be wider together than separately.
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

/// A line of a screen, cut at the edge of the screen. All its escapes stay, so that no color continues after
/// it.
pub fn clipped(line: &str, columns: usize) -> String {
    narrowed(line, columns, |room| cut_to(line, room))
}

fn cut_to(line: &str, columns: usize) -> String {
    let (mut room, mut is_full, mut in_escape) = (columns, false, false);
    let mut keeps = |character: char| {
        if in_escape || character == '\u{1b}' {
            in_escape = !character.is_ascii_alphabetic();
            return true;
        }
        let width = character.width().unwrap_or(0);
        is_full |= width > room;
        room = room.saturating_sub(width);
        !is_full
    };
    line.chars().filter(|&character| keeps(character)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_cut_at_its_columns_and_its_color_ends() {
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
    fn a_text_is_broken_between_words_and_a_path_after_a_slash() {
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
    fn a_cut_text_has_an_ellipsis() {
        // The ellipsis has one character or three, depending on the locale.
        for columns in 4..9 {
            for cut in [end_of("projects/api", columns), start_of("projects/api", columns)] {
                assert!(width(&cut) == columns && cut.contains(ellipsis()), "{cut}");
            }
        }
        assert_eq!((end_of("api", 3), start_of("api", 3)), ("api".into(), "api".into()));
    }

    #[test]
    fn characters_that_are_drawn_as_one_are_never_too_wide() {
        let odd = "/srv/🏳️‍🌈/👩‍👩‍👧/❤️/api/一二";
        for columns in 4..24 {
            for cut in [end_of(odd, columns), start_of(odd, columns), clipped(odd, columns)] {
                assert!(width(&cut) <= columns, "{cut} in {columns}");
                assert_eq!(clipped(&cut, columns), cut);
            }
        }
    }

    #[test]
    fn cells_are_aligned_in_columns() {
        let row = |cells: [&str; 3]| cells.map(str::to_owned).to_vec();
        assert_eq!(aligned(&[row(["一", "", "x"]), row(["abc", "", ""])]), ["一   x", "abc"]);
    }
}
