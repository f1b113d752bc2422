//! Tables: box drawing where the locale shows it, plain ASCII elsewhere.

use comfy_table::{Cell, CellAlignment, Table, presets};

use super::{paint, shows_unicode};

/// A table with a line under its head.
pub fn plain_table(head: &[&str], rows: Vec<Vec<String>>) -> String {
    aligned_table(head, rows, &[], shows_unicode())
}

/// The same with some columns, such as those of numbers, at the right of their cells.
pub(super) fn aligned_table(head: &[&str], rows: Vec<Vec<String>>, right: &[bool], unicode: bool) -> String {
    let mut table = Table::new();
    // The preset with corners, without lines between the rows.
    table.load_preset(if unicode {
        "││──├─┼┤│    ┬┴┌┐└┘"
    } else {
        presets::ASCII_FULL_CONDENSED
    });
    table.set_header(head.iter().map(Cell::new));
    for row in rows {
        table.add_row(row);
    }
    for (at, _) in right.iter().enumerate().filter(|(_, right)| **right) {
        if let Some(column) = table.column_mut(at) {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
    format!("{table}\n")
}

/// The table with a line above its last row, which is a sum.
pub(super) fn line_before_last(table: &str) -> String {
    let mut lines: Vec<_> = table.lines().collect();
    // Below the last row is the border.
    if lines.len() > HEAD_LINES + 2 {
        lines.insert(lines.len() - 2, lines[HEAD_LINES - 1]);
    }
    lines.join("\n") + "\n"
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
