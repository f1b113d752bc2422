//! Tables: box drawing where the locale shows it, plain ASCII elsewhere.

use comfy_table::{Cell, CellAlignment, Table, presets};

use super::width::{end_of, widest, width};
use super::{paint, shows_unicode};

/// A cell is not cut to fewer columns, however narrow the terminal is.
const NARROWEST: usize = 10;

/// Which columns of a table a narrow terminal shows in part or not at all, by their heads.
pub(crate) struct Narrowing<'a> {
    /// Paths, whose end tells more than their beginning.
    pub cut: &'a [&'a str],
    /// What is left out, first to last.
    pub dispensable: &'a [&'a str],
}

/// A table that fits a terminal of so many columns, as far as can be.
pub(crate) fn fitting_table(
    head: &[&str],
    rows: &[Vec<String>],
    narrowing: &Narrowing<'_>,
    columns: Option<usize>,
) -> String {
    let columns = columns.unwrap_or(usize::MAX);
    let mut shown: Vec<usize> = (0..head.len()).collect();
    let mut dispensable = narrowing.dispensable.iter();
    loop {
        let table = cut_table(head, &shown, rows, narrowing.cut, columns);
        if widest(table.lines()) <= columns {
            return table;
        }
        match dispensable.next() {
            Some(label) => shown.retain(|&at| head[at] != *label),
            None => return table,
        }
    }
}

/// A table of some of the columns, in which the widest of those that can be cut lose what is too much.
fn cut_table(head: &[&str], shown: &[usize], rows: &[Vec<String>], cut: &[&str], columns: usize) -> String {
    let table = |room: &[usize]| {
        let cell = |row: &Vec<String>, at: usize| end_of(&row[at], room[at]);
        let rows = rows.iter().map(|row| shown.iter().map(|&at| cell(row, at)).collect());
        plain_table(&shown.iter().map(|&at| head[at]).collect::<Vec<_>>(), rows.collect())
    };
    let mut room = vec![usize::MAX; head.len()];
    let whole = table(&room);
    let mut excess = widest(whole.lines()).saturating_sub(columns);
    for &at in shown.iter().filter(|&&at| cut.contains(&head[at])) {
        room[at] = widest(rows.iter().map(|row| row[at].as_str()));
    }
    while excess > 0 {
        let can_give =
            |at: &&usize| cut.contains(&head[**at]) && room[**at] > NARROWEST.max(width(head[**at]));
        let Some(&at) = shown.iter().filter(can_give).max_by_key(|&&at| room[at]) else { break };
        room[at] -= 1;
        excess -= 1;
    }
    table(&room)
}

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
