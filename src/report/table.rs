//! Tables: box drawing where the locale shows it, plain ASCII elsewhere.

use comfy_table::{Cell, Table, presets};

use super::{paint, shows_unicode};

/// A table with a line under its head.
pub(crate) fn plain_table(head: &[&str], rows: Vec<Vec<String>>) -> String {
    let mut table = Table::new();
    // The preset with corners, without lines between the rows.
    table.load_preset(if shows_unicode() {
        "││──├─┼┤│    ┬┴┌┐└┘"
    } else {
        presets::ASCII_FULL_CONDENSED
    });
    table.set_header(head.iter().map(Cell::new));
    for row in rows {
        table.add_row(row);
    }
    format!("{table}\n")
}

/// Lines of a table before its first row: the border, the head, the line under it.
const HEAD_LINES: usize = 3;

/// Paints the status that begins a cell of each row. The table is finished by then, so that escapes do not
/// count as width; and only that cell is painted, for a name or a description may be the same word.
pub(super) fn painted_table(head: &[&str], rows: Vec<Vec<String>>, statuses: &[&str]) -> String {
    let column = head.iter().position(|&label| label == "Status").unwrap_or(0);
    let table = plain_table(head, rows);
    let lines = table.lines().enumerate().map(|(at, line)| {
        let status = at.checked_sub(HEAD_LINES).and_then(|row| statuses.get(row));
        let painted = status.map_or_else(|| line.to_owned(), |status| paint_cell(line, column, status));
        painted + "\n"
    });
    lines.collect()
}

/// The cells in front hold names, which have no separator in them.
fn paint_cell(line: &str, column: usize, status: &str) -> String {
    let start = line.match_indices(['│', '|']).nth(column).map_or(0, |(at, _)| at);
    let (before, cell) = line.split_at(start);
    format!("{before}{}", cell.replacen(status, &paint::status(status), 1))
}
